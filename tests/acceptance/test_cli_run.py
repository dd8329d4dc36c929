"""run, cancel, pause and resume, with one running supervisor."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until

JOBS = """
max_concurrent: 4
jobs:
  hello: {command: [/bin/echo, hi], cron: "0 4 29 2 *"}
  broken: {command: "echo oh no; exit 3"}
  twice: {command: "exit 4", retries: 1, retry_delay: 600ms}
  later: {command: ["true"], deps: [broken]}
  sleeper: {command: [/bin/sleep, "60"]}
  snoozer: {command: [/bin/sleep, "60"]}
  off: {command: ["true"], enabled: false}
  mine: {worker: "mine:work", with: {size: 1}}
"""
WORKER = """
def work(params, report):
    report.progress(1, 2, "sets")
    report.log(f"would add {params['size']} sets" if report.dry_run else "adding")
    return {"added": params["size"], "empty": ""}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "mine.py").write_text(WORKER)
        with supervised(sandbox):
            yield sandbox


def test_run_says_which_run_it_began(sandbox: Sandbox) -> None:
    body = sandbox.json("run", "hello", "--wait")
    said = sandbox.says("run", "hello")

    assert (body["job"], body["state"], body["trigger"]) == ("hello", "success", "manual")
    assert said.startswith(f"run {body['id'] + 1} of hello is ")


def test_waiting_for_a_failure_exits_1_with_a_line_for_each_change(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "twice", "--wait")

    assert done.returncode == 1
    assert "retrying: exit status 4" in done.stdout
    assert "failed in" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("exit status 4")


def test_several_jobs_are_waited_for_together(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "hello", "broken", "--wait", "--json")

    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert (done.returncode, states) == (1, ["success", "failed"])


def test_with_deps_the_dependency_goes_first(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "later", "--with-deps", "--wait")

    assert done.returncode == 1
    assert "dependency broken failed" in done.stdout


def test_a_dry_run_prints_the_plan_of_the_worker(sandbox: Sandbox) -> None:
    said = sandbox.says("run", "mine", "--dry-run", "--set", "size=5")

    assert "would add 5 sets" in said
    assert "added=5" in said
    assert "empty" not in said


def test_a_dry_run_of_a_command_is_a_mistake_of_usage(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("run", "hello", "--dry-run")

    assert (status, "hello is a command" in said) == (2, True)


def test_none_of_several_jobs_begins_if_one_is_unknown(sandbox: Sandbox) -> None:
    before = sandbox.json("history", "hello")["runs"]

    status, said = sandbox.refuses("run", "hello", "helo")

    assert (status, "helo" in said) == (2, True)
    assert sandbox.json("history", "hello")["runs"] == before


def test_a_disabled_job_is_refused(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("run", "off")

    assert (status, "disabled" in said, "hint:" in said) == (1, True, True)


def test_ctrl_c_while_waiting_leaves_the_run_alone(sandbox: Sandbox) -> None:
    waiting = sandbox.begin("run", "sleeper", "--wait")
    assert waiting.stdout is not None
    # On a busy machine the run is pending first.
    assert any("sleeper: running" in line for line in iter(waiting.stdout.readline, ""))

    waiting.send_signal(signal.SIGINT)
    _, complaint = waiting.communicate(timeout=60)

    assert waiting.returncode == 130
    assert "goes on" in complaint
    assert "Traceback" not in complaint
    assert "run" in sandbox.says("show", "sleeper")
    assert sandbox.refuses("run", "sleeper")[0] == 1
    assert sandbox.says("cancel", "sleeper").startswith("cancelled: run ")


def test_a_run_is_cancelled_by_its_number(sandbox: Sandbox) -> None:
    run = sandbox.json("run", "snoozer")["run"]["id"]

    assert sandbox.json("cancel", str(run)) == {"cancelled": [run]}
    until(lambda: sandbox.json("history", "snoozer")["runs"][0]["state"] == "cancelled")
    assert sandbox.refuses("cancel", "snoozer")[0] == 1
    status, said = sandbox.refuses("cancel", "999")
    assert (status, "no run 999 is known" in said) == (2, True), said


def test_a_pause_is_shown_and_lifted(sandbox: Sandbox) -> None:
    sandbox.says("pause", "hello", "--for", "2h", "--reason", "moving")
    shown = sandbox.says("show", "hello")
    sandbox.says("resume", "hello")

    assert "paused  until" in shown
    assert "paused" not in sandbox.says("show", "hello")
    assert sandbox.json("pause") == {"paused": "all"}
    assert "paused  all jobs, until resumed, by uid" in sandbox.says("status")
    assert sandbox.json("resume") == {"resumed": "all"}
    assert sandbox.refuses("pause", "helo")[0] == 2


def test_all_jobs_are_not_run_without_a_yes(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "--all")

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()][:3] == [
        "hello",
        "broken",
        "twice",
    ]


def test_all_and_only_run_the_chosen_jobs(sandbox: Sandbox) -> None:
    done = sandbox.ask("run", "--all", "--only", "mine", "--only", "hello", "--yes", "--wait")

    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()[-2:]]
    assert [row[1:3] for row in rows] == [["hello", "success"], ["mine", "success"]]


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "hello", "--all"),
        ("run", "hello", "--only", "hello"),
        ("run", "mine", "--set", "size"),
        ("run", "hello", "--log-level", "info"),
        ("run", "--all", "--only", "helo", "--yes"),
        ("pause", "hello", "--for", "5 parsecs"),
        ("run", "../status"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_exits_2(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert sandbox.refuses(*words)[0] == 2
