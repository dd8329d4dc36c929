"""history, logs, explain and incidents, with one running supervisor that has a past."""

import os
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, living

JOBS = """
jobs:
  talker: {command: "printf 'one\\ntwo\\nthree\\n'", cron: "0 4 29 2 *"}
  broken: {command: "echo oh no; exit 3"}
  slow: {command: "echo begun; read line < go; echo over"}
  never: {command: ["true"]}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with living(JOBS) as sandbox:
        sandbox.ask("run", "talker", "broken", "--wait")
        yield sandbox


def test_history_is_newest_first(sandbox: Sandbox) -> None:
    lines = sandbox.says("history").splitlines()

    assert lines[0].split() == ["RUN", "JOB", "DUE", "WHEN", "TRIGGER", "STATE", "TOOK", "DETAIL"]
    assert [line.split()[1] for line in lines[1:]] == ["broken", "talker"]
    assert lines[1].endswith("exit status 3")


def test_history_can_be_narrowed_down(sandbox: Sandbox) -> None:
    failed = sandbox.json("history", "--state", "failed", "--since", "1h")["runs"]

    assert [run["job"] for run in failed] == ["broken"]
    assert sandbox.json("history", "talker", "--since", "2999-01-01")["runs"] == []
    assert len(sandbox.json("history", "-n", "1")["runs"]) == 1
    assert sandbox.says("history", "never") == "no runs\n"


def test_a_run_is_explained_by_its_number(sandbox: Sandbox) -> None:
    first = sandbox.says("explain", "1")

    assert first.startswith("Run 1 of talker was asked for at ")
    assert "It succeeded" in first
    assert sandbox.says("explain", "talker", "--run", "1") == first
    assert sandbox.json("explain", "2")["job"] == "broken"


def test_a_run_of_another_job_is_not_explained(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("explain", "talker", "--run", "2")

    assert (status, "run 2 is one of broken" in said) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("history", "nobody"),
        ("history", "--state", "fine"),
        ("history", "--since", "5 parsecs"),
        ("history", "talker", "--actions"),
        ("history", "talker", "--reloads"),
        ("history", "--actions", "--reloads"),
        ("explain", "talker", "--at", "noon"),
        ("explain", "talker", "--at", "0001-01-01"),
        ("explain", "talker", "--at", "9999-12-31"),
        ("explain", "1", "--at", "02:00"),
        ("explain", "talker", "--run", "1", "--at", "02:00"),
        ("explain", "talker", "--run", "999"),
        ("explain", "talker", "--run", "0"),
        ("explain", "1", "--run", "2"),
        ("explain", "999"),
        ("logs", "nobody"),
        ("logs", "999"),
        ("incidents", "ack", "999"),
    ],
    ids=" ".join,
)
def test_a_question_that_makes_no_sense_exits_2(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert sandbox.refuses(*words)[0] == 2


def test_actions_say_who_asked(sandbox: Sandbox) -> None:
    actions = sandbox.json("history", "--actions")["actions"]

    assert ("run", "talker") in [(each["verb"], each["what"]) for each in actions]
    assert "uid " in sandbox.says("history", "--actions")


def test_logs_are_of_a_run_or_of_the_newest_run_of_a_job(sandbox: Sandbox) -> None:
    run = sandbox.json("history", "broken")["runs"][0]["id"]

    assert sandbox.says("logs", "talker") == "one\ntwo\nthree\n"
    assert sandbox.says("logs", "talker", "-n", "2") == "two\nthree\n"
    assert sandbox.says("logs", "talker", "-n", "0") == ""
    assert sandbox.says("logs", str(run)) == "oh no\n"
    assert sandbox.refuses("logs", "never") == (
        1,
        "nightshift: never has not run yet\n  hint: nightshift run never\n",
    )


def test_a_log_is_followed_until_the_run_ends(sandbox: Sandbox) -> None:
    os.mkfifo(sandbox.root / "go")
    sandbox.says("run", "slow")
    follower = sandbox.begin("logs", "slow", "-f")
    assert follower.stdout is not None
    first = follower.stdout.readline()

    (sandbox.root / "go").write_text("now\n")
    rest, _ = follower.communicate(timeout=10)

    assert (first, rest, follower.returncode) == ("begun\n", "over\n", 0)


def test_explain_tells_the_story_of_the_newest_run(sandbox: Sandbox) -> None:
    said = sandbox.says("explain", "broken")

    assert "was asked for at" in said
    assert "It failed at" in said
    assert sandbox.json("explain", "never")["facts"][0] == "never has not run yet."
    assert "no slot of talker" in sandbox.says("explain", "talker", "--at", "2026-01-01 12:00")


def test_an_incident_is_listed_and_acknowledged(sandbox: Sandbox) -> None:
    number = sandbox.json("incidents")["incidents"][0]["id"]
    before = sandbox.says("incidents")

    body = sandbox.json("incidents", "ack", str(number), "--for", "2h", "--reason", "known")

    assert before.splitlines()[1].split()[1:4] == ["broken", "error", "exit"]
    assert " open " in before
    assert body == {"acked": number}
    assert "acked, reminds in 1h" in sandbox.says("incidents")
    assert "broken" in sandbox.says("status").splitlines()[-1]
