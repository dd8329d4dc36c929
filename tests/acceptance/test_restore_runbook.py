"""docs/restore.md: each command must succeed."""

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.doc_pages import ROOT, blocks, generate_catalogue, typed


@pytest.fixture
def sandbox():
    with Sandbox((ROOT / "jobs.yaml").read_text()) as made:
        generate_catalogue(made)
        yield made


def test_every_command_of_the_restore_runbook_succeeds(sandbox):
    sandbox.says("run", "--all", "--local", "--yes", "--log-level", "error")

    with supervised(sandbox):
        printed = typed(sandbox, blocks("docs/restore.md", "sh"))

    assert "verified" in printed
    assert "\n1000\n" in printed
    assert "success" in printed
    assert "checked: both SHA-256" in printed
    assert "checked: gzip's CRC-32 and length" in printed
    assert "damaged" not in printed
