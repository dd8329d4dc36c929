"""docs/restore.md, as an operator reads it: each command is typed and must succeed."""

import pytest

from tests.acceptance.daemon import House, supervised
from tests.acceptance.handbook import ROOT, blocks, generate_catalogue, typed


@pytest.fixture
def house():
    with House((ROOT / "jobs.yaml").read_text()) as made:
        generate_catalogue(made)
        yield made


def test_every_command_of_the_restore_runbook_succeeds(house):
    house.says("run", "--all", "--local", "--yes", "--log-level", "error")

    with supervised(house):
        printed = typed(house, blocks("docs/restore.md", "sh"))

    assert "verified" in printed
    assert "\n1000\n" in printed
    assert "success" in printed
    assert "checked: both SHA-256" in printed
    assert "checked: gzip's CRC-32 and length" in printed
    assert "damaged" not in printed
