"""README.md and the pages of daily use: their blocks, and commands within sentences."""

import re
import shutil
from collections.abc import Iterator

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
from tests.acceptance.doc_pages import ROOT, blocks, generate_catalogue, typed
from tests.waiting import until
from tests.webhook import Webhook

PAGES = ("README.md", "docs/daily-use.md", "docs/your-own-jobs.md", "docs/workers.md")
(DAY_BY_DAY,) = blocks("docs/daily-use.md", "sh")
(RESTORE,) = blocks("docs/workers.md", "sh")
(TRY,) = blocks("docs/your-own-jobs.md", "sh")
(UPGRADE,) = blocks("docs/upgrading.md", "sh")
# Three jobs that failed are three incidents; the page acknowledges the third.
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
# Run by other tests: those that stay in the terminal, and those that write jobs.yaml.
ELSEWHERE = {"nightshift web", "nightshift init", "nightshift start"}


def in_the_text() -> list[str]:
    """Return the commands that these pages name within their sentences."""
    texts = [
        re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.M | re.S) for page in PAGES
    ]
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", "".join(texts)))
    named = {span for span in spans if span.split(" ")[0] in ("nightshift", "curl")}
    return sorted(named - ELSEWHERE)


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


def test_last_tuesdays_copy_is_restored_beside_the_database() -> None:
    with Sandbox((ROOT / "jobs.yaml").read_text()) as sandbox:
        generate_catalogue(sandbox)
        clock = Clock(sandbox, "2026-02-09 22:00:00")  # a Monday
        sandbox.says("run", "--all", "--local", "--yes", "--log-level", "error")
        clock.set("2026-02-12 15:00:00")

        with supervised(sandbox):
            typed(sandbox, [RESTORE])

        assert (sandbox.root / "look.sqlite3.db").read_bytes().startswith(b"SQLite format 3")


def test_a_function_of_ones_own_runs_as_the_page_says() -> None:
    (function,) = blocks("docs/your-own-jobs.md", "python")
    commands, job = blocks("docs/your-own-jobs.md", "yaml")
    with Sandbox(commands + job.removeprefix("jobs:\n")) as sandbox:
        (sandbox.root / "etl").mkdir()
        (sandbox.root / "etl" / "nightly.py").write_text(function)

        printed = typed(sandbox, [TRY])

    assert "3 jobs, no mistakes" in printed
    assert "loading /srv/incoming for " in printed


def test_the_commands_before_an_upgrade_succeed() -> None:
    with Sandbox("jobs: {hello: {command: echo hi}}") as sandbox:
        assert "no mistakes" in typed(sandbox, [UPGRADE])


@pytest.mark.parametrize("command", in_the_text())
def test_a_command_in_the_text_is_one(served: Sandbox, command: str) -> None:
    if command.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    command = re.sub(r"\bJOB\b", "backup-database", command)
    # Without a supervisor: in a state folder that is not in use.
    alone = " --state alone" if "--local" in command else ""

    assert typed(served, [command + alone])


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    """Run each of the shipped jobs once; the service keeps running."""
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
