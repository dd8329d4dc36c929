"""`nightshift run --local`: the supervisor runs inside the command's own process."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until

JOBS = """
jobs:
  hello: {command: [/bin/echo, hi], cron: "* * * * *"}
  broken: {command: "exit 3", run_on_startup: true}
  after: {command: ["true"], deps: [hello]}
  sleeper: {command: [/bin/sleep, "60"]}
  mine: {worker: "mine:work"}
"""
WORKER = """
def work(params, report):
    report.log("would count to 7" if report.dry_run else "counting")
    return {"counted": 7}
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "mine.py").write_text(WORKER)
        yield sandbox


def test_a_local_run_succeeds_and_gives_its_account(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "mine", "--local")

    assert (done.returncode, done.stderr) == (0, "")
    row = done.stdout.splitlines()[-1].split()
    assert (row[1], row[2], row[-1]) == ("mine", "success", "counted=7")
    assert not sandbox.socket.exists()


def test_a_local_run_that_fails_exits_1_and_runs_nothing_else(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "broken", "hello", "--local", "--json")

    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [(run["id"], run["job"], run["state"]) for run in runs] == [
        (1, "broken", "failed"),
        (2, "hello", "success"),
    ]


def test_what_ran_locally_stands_in_the_ledger(sandbox: Sandbox) -> None:
    sandbox.says("run", "after", "--with-deps", "--local")

    with supervised(sandbox):
        jobs = [run["job"] for run in sandbox.json("history", "--state", "success")["runs"]]

    assert sorted(jobs) == ["after", "hello"]


def test_a_local_dry_run_prints_the_plan(sandbox: Sandbox) -> None:
    assert "would count to 7" in sandbox.says("run", "mine", "--local", "--dry-run")


def test_ctrl_c_ends_a_local_run_and_its_process(sandbox: Sandbox) -> None:
    running = sandbox.begin("run", "sleeper", "--local")
    assert running.stdout is not None
    until(lambda: "sleeper: running" in running.stdout.readline())

    running.send_signal(signal.SIGINT)
    said, complaint = running.communicate(timeout=10)

    assert running.returncode == 1
    assert "Traceback" not in complaint
    assert "sleeper" in said


@pytest.mark.parametrize(
    ("words", "status"),
    [(("nobody",), 2), (("hello", "--dry-run"), 2), (("mine", "--log-level", "loud"), 2)],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else str(each),
)
def test_a_local_run_that_cannot_begin_says_why(
    sandbox: Sandbox, words: tuple[str, ...], status: int
) -> None:
    assert sandbox.refuses("run", *words, "--local")[0] == status


def test_a_local_run_of_a_bad_file_exits_2(sandbox: Sandbox) -> None:
    sandbox.config.write_text("jobs: {a: {comand: x}}\n")

    for words in (("run", "a", "--local"), ("run", "--all", "--local", "--yes")):
        status, said = sandbox.refuses(*words)
        assert (status, "jobs.yaml:1:12: jobs.a.comand:" in said) == (2, True)
