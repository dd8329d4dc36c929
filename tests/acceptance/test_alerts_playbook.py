"""docs/alerts.md: each command on the page must succeed."""

import pytest

from supervisor.core import incidents
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.doc_pages import ROOT, blocks, typed
from tests.webhook import Webhook

PAGE = "docs/alerts.md"
JOBS = """
notify: {slack: "${HOOK}"}
jobs:
  backup-database: {command: "echo copying; test -e fixed", cron: "0 0 * * *"}
"""


def test_every_command_of_the_playbook_succeeds():
    with Webhook() as hook, Sandbox(JOBS) as sandbox:
        sandbox.environ["HOOK"] = hook.url
        with supervised(sandbox):
            sandbox.ask("run", "backup-database", "--wait")
            (sandbox.root / "fixed").touch()

            everything = typed(sandbox, blocks(PAGE, "sh"))

    assert "the test alert has arrived" in everything
    assert "no reminders for 3d" in everything
    assert "copying" in everything
    assert "success" in everything


@pytest.mark.parametrize("kind", sorted(incidents.SEVERITY))
def test_the_playbook_knows_every_kind_of_alert(kind):
    assert f"`{kind}`" in (ROOT / PAGE).read_text()
