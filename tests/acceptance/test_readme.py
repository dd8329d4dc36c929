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
from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
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
    with Sandbox((ROOT / "jobs.yaml").read_text()) as sandbox:
        del sandbox.environ["NIGHTSHIFT_STATE_DIR"]
        venv = sandbox.root / ".venv" / "bin" / "nightshift"
        venv.parent.mkdir(parents=True)
        venv.write_text(f'#!/bin/sh\nexec {sys.executable} -m supervisor "$@"\n')
        venv.chmod(0o755)
        (sandbox.root / "var").mkdir()
        sandbox.socket = sandbox.root / "var" / "state" / "nightshift.sock"
        service = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {begin}"],
            cwd=sandbox.root,
            env=sandbox.environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: raw_client.is_healthy(sandbox), within_s=LIMIT_S)
            seen = typed(sandbox, [look])
        finally:
            service.terminate()
            service.wait(LIMIT_S)

    assert service.returncode == 0
    assert "database-health-check" in seen


def test_a_crontab_becomes_a_jobs_yaml_without_mistakes() -> None:
    with Sandbox() as sandbox:
        crontab = sandbox.root / "bin" / "crontab"
        crontab.parent.mkdir()
        crontab.write_text("#!/bin/sh\necho '30 6 * * 1-5 echo morning'\n")
        crontab.chmod(0o755)

        assert "no mistakes" in typed(sandbox, [FROM_CRON])


def test_last_tuesdays_copy_is_restored_beside_the_database() -> None:
    with Sandbox((ROOT / "jobs.yaml").read_text()) as sandbox:
        generate_catalogue(sandbox)
        clock = Clock(sandbox, "2026-02-09 22:00:00")  # a Monday
        sandbox.says("run", "--all", "--local", "--yes", "--log-level", "error")
        clock.set("2026-02-12 15:00:00")

        with supervised(sandbox):
            typed(sandbox, [RESTORE])

        assert (sandbox.root / "look.sqlite3.db").read_bytes().startswith(b"SQLite format 3")


def test_every_command_of_day_by_day_succeeds() -> None:
    with Sandbox(A_DAY) as sandbox, supervised(sandbox) as supervisor:
        for job in "abc":
            sandbox.ask("run", job, "--wait")
        sandbox.says("run", "long")
        until(lambda: [run["pid"] for run in raw_client.status(sandbox)["runs"]])
        commands = DAY_BY_DAY.replace("cancel JOB", "cancel long").replace("JOB", "report")

        printed = typed(sandbox, [commands])
        supervisor.wait(LIMIT_S)

    assert supervisor.returncode == 0
    assert "read 3 lines" in printed
    assert "no reminders for 3d" in printed
    assert "cancelled" in printed


@pytest.mark.parametrize("command", in_the_text())
def test_a_command_in_the_text_is_one(served: Sandbox, command: str) -> None:
    if command.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    words, _, choice = COMPLETED.get(command, command).rpartition(" ")

    for each in choice.split("|"):
        assert typed(served, [f"{words} {each}"])


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    """The shipped jobs after a night, with a service that may be asked."""
    with Webhook() as hook, Sandbox((ROOT / "jobs.yaml").read_text()) as sandbox:
        sandbox.environ["NOTIFICATION_WEBHOOK_URL"] = hook.url
        sandbox.state = sandbox.root / "var" / "state"
        sandbox.socket = sandbox.state / "nightshift.sock"
        sandbox.environ["NIGHTSHIFT_STATE_DIR"] = str(sandbox.state)
        generate_catalogue(sandbox)
        sandbox.says("run", "--all", "--local", "--yes", "--log-level", "error")
        edited = sandbox.config.read_text().replace('"0 2 * * *"', '"15 2 * * *"')
        (sandbox.root / "new.yaml").write_text(edited)
        with supervised(sandbox):
            yield sandbox
