"""README.md, as a newcomer types it: each block of commands, and each command in its text.

The first block is quickstart's, which has a test of its own, and that of all tests.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import LIMIT_S, House, supervised
from tests.acceptance.doc_pages import ROOT, blocks, generate_catalogue, typed
from tests.waiting import until
from tests.webhook import Webhook

PAGE = "README.md"
BLOCKS = blocks(PAGE, "sh")
TWO_COMMANDS, SERVICE, FROM_CRON, RESTORE, DAY_BY_DAY = BLOCKS
# Three jobs that failed are three incidents; the third is the one that README acknowledges.
A_DAY = """
timezone: America/New_York
defaults: {kill_grace: 100ms}
jobs:
  a: {command: "exit 3"}
  b: {command: "exit 3"}
  c: {command: "exit 3"}
  report: {command: "echo read 3 lines", cron: "0 2 * * *"}
  long: {command: "sleep 600"}
"""
# Named as a verb; it asks whose.
COMPLETED = {"nightshift logs": "nightshift logs validate-data-integrity"}


def in_the_text() -> list[str]:
    """The commands that README names within its sentences."""
    text = re.sub(r"^```.*?^```", "", (ROOT / PAGE).read_text(), flags=re.M | re.S)
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
    return [span for span in spans if span.split(" ")[0] in ("nightshift", "curl")]


def test_the_two_commands_are_there_to_be_run() -> None:
    scripts = [ROOT / row.split("#")[0].strip() for row in TWO_COMMANDS.splitlines()]

    assert [script.name for script in scripts] == ["quickstart", "test"]
    for script in scripts:
        subprocess.run(["sh", "-n", script], check=True)


def test_the_service_is_begun_and_looked_at_as_readme_says() -> None:
    begin, look = SERVICE.splitlines()
    with House((ROOT / "jobs.yaml").read_text()) as house:
        del house.environ["NIGHTSHIFT_STATE_DIR"]
        venv = house.root / ".venv" / "bin" / "nightshift"
        venv.parent.mkdir(parents=True)
        venv.write_text(f'#!/bin/sh\nexec {sys.executable} -m supervisor "$@"\n')
        venv.chmod(0o755)
        (house.root / "var").mkdir()
        house.socket = house.root / "var" / "state" / "nightshift.sock"
        service = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {begin}"],
            cwd=house.root,
            env=house.environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: raw_client.is_healthy(house), within_s=LIMIT_S)
            seen = typed(house, [look])
        finally:
            service.terminate()
            service.wait(LIMIT_S)

    assert service.returncode == 0
    assert "database-health-check" in seen


def test_a_crontab_becomes_a_jobs_yaml_without_mistakes() -> None:
    with House() as house:
        crontab = house.root / "bin" / "crontab"
        crontab.parent.mkdir()
        crontab.write_text("#!/bin/sh\necho '30 6 * * 1-5 echo morning'\n")
        crontab.chmod(0o755)

        assert "no mistakes" in typed(house, [FROM_CRON])


def test_last_tuesdays_copy_is_restored_beside_the_database() -> None:
    with House((ROOT / "jobs.yaml").read_text()) as house:
        generate_catalogue(house)
        clock = Clock(house, "2026-02-09 22:00:00")  # a Monday
        house.says("run", "--all", "--local", "--yes", "--log-level", "error")
        clock.set("2026-02-12 15:00:00")

        with supervised(house):
            typed(house, [RESTORE])

        assert (house.root / "look.sqlite3.db").read_bytes().startswith(b"SQLite format 3")


def test_every_command_of_day_by_day_succeeds() -> None:
    with House(A_DAY) as house, supervised(house) as supervisor:
        for job in "abc":
            house.ask("run", job, "--wait")
        house.says("run", "long")
        until(lambda: [run["pid"] for run in raw_client.status(house)["runs"]])
        commands = DAY_BY_DAY.replace("cancel JOB", "cancel long").replace("JOB", "report")

        printed = typed(house, [commands])
        supervisor.wait(LIMIT_S)

    assert supervisor.returncode == 0
    assert "read 3 lines" in printed
    assert "no reminders for 3d" in printed
    assert "cancelled" in printed


@pytest.mark.parametrize("command", in_the_text())
def test_a_command_in_the_text_is_one(served: House, command: str) -> None:
    if command.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    words, _, choice = COMPLETED.get(command, command).rpartition(" ")

    for each in choice.split("|"):
        assert typed(served, [f"{words} {each}"])


@pytest.fixture(scope="module")
def served() -> Iterator[House]:
    """The shipped jobs after a night, with a service that may be asked."""
    with Webhook() as hook, House((ROOT / "jobs.yaml").read_text()) as house:
        house.environ["NOTIFICATION_WEBHOOK_URL"] = hook.url
        house.state = house.root / "var" / "state"
        house.socket = house.state / "nightshift.sock"
        house.environ["NIGHTSHIFT_STATE_DIR"] = str(house.state)
        generate_catalogue(house)
        house.says("run", "--all", "--local", "--yes", "--log-level", "error")
        edited = house.config.read_text().replace('"0 2 * * *"', '"15 2 * * *"')
        (house.root / "new.yaml").write_text(edited)
        with supervised(house):
            yield house
