"""docs/alerts.md, as somebody reads it at three in the morning: each command must succeed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core import incident
from tests.acceptance.daemon import House, supervised
from tests.webhook import Webhook

PLAYBOOK = Path(__file__).parents[2] / "docs" / "alerts.md"
TEXT = PLAYBOOK.read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.M | re.S)
JOBS = """
notify: {slack: "${HOOK}"}
jobs:
  backup-database: {command: "echo copying; test -e mended", cron: "0 0 * * *"}
"""


def test_every_command_of_the_playbook_succeeds():
    with Webhook() as hook, House(JOBS) as house:
        house.environ["HOOK"] = hook.url
        with supervised(house):
            house.ask("run", "backup-database", "--wait")
            (house.root / "mended").touch()

            printed = [_type(house, block) for block in COMMANDS]

    everything = "".join(printed)
    assert "the test alert has arrived" in everything
    assert "no reminders for 3d" in everything
    assert "copying" in everything
    assert "success" in everything


@pytest.mark.parametrize("kind", sorted(incident.SEVERITY))
def test_the_playbook_knows_every_kind_of_alert(kind):
    assert f"`{kind}`" in TEXT


def _type(house: House, block: str) -> str:
    """Type a block of commands into a shell that stops at the first failure."""
    nightshift = f'nightshift() {{ {sys.executable} -m supervisor "$@"; }}\n'
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", nightshift + block],
        cwd=house.root,
        env=house.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout
