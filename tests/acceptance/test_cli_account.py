"""history, logs, explain, incidents: against one living supervisor with a past."""

import os
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import House, living

JOBS = """
jobs:
  talker: {command: "printf 'one\\ntwo\\nthree\\n'", cron: "0 4 29 2 *"}
  broken: {command: "echo oh no; exit 3"}
  slow: {command: "echo begun; read line < go; echo over"}
  never: {command: ["true"]}
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with living(JOBS) as house:
        house.ask("run", "talker", "broken", "--wait")
        yield house


def test_history_is_newest_first(house: House) -> None:
    lines = house.says("history").splitlines()

    assert lines[0].split() == ["RUN", "JOB", "DUE", "WHEN", "TRIGGER", "STATE", "TOOK", "DETAIL"]
    assert [line.split()[1] for line in lines[1:]] == ["broken", "talker"]
    assert lines[1].endswith("exit status 3")


def test_history_can_be_narrowed_down(house: House) -> None:
    failed = house.json("history", "--state", "failed", "--since", "1h")["runs"]

    assert [run["job"] for run in failed] == ["broken"]
    assert house.json("history", "talker", "--since", "2999-01-01")["runs"] == []
    assert len(house.json("history", "-n", "1")["runs"]) == 1
    assert house.says("history", "never") == "no runs\n"


def test_a_run_is_explained_by_its_number(house: House) -> None:
    first = house.says("explain", "1")

    assert first.startswith("Run 1 of talker was asked for at ")
    assert "It succeeded" in first
    assert house.says("explain", "talker", "--run", "1") == first
    assert house.json("explain", "2")["job"] == "broken"


def test_a_run_of_another_job_is_not_explained(house: House) -> None:
    status, said = house.refuses("explain", "talker", "--run", "2")

    assert (status, "run 2 is one of broken" in said) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("history", "nobody"),
        ("history", "--state", "fine"),
        ("history", "--since", "5 parsecs"),
        ("history", "talker", "--actions"),
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
def test_a_question_that_makes_no_sense_exits_2(house: House, words: tuple[str, ...]) -> None:
    assert house.refuses(*words)[0] == 2


def test_actions_say_who_asked(house: House) -> None:
    actions = house.json("history", "--actions")["actions"]

    assert ("run", "talker") in [(each["verb"], each["what"]) for each in actions]
    assert "uid " in house.says("history", "--actions")


def test_logs_are_of_a_run_or_of_the_newest_run_of_a_job(house: House) -> None:
    run = house.json("history", "broken")["runs"][0]["id"]

    assert house.says("logs", "talker") == "one\ntwo\nthree\n"
    assert house.says("logs", "talker", "-n", "2") == "two\nthree\n"
    assert house.says("logs", "talker", "-n", "0") == ""
    assert house.says("logs", str(run)) == "oh no\n"
    assert house.refuses("logs", "never") == (
        1,
        "nightshift: never has not run yet\n  hint: nightshift run never\n",
    )


def test_a_log_is_followed_until_the_run_ends(house: House) -> None:
    os.mkfifo(house.root / "go")
    house.says("run", "slow")
    follower = house.begin("logs", "slow", "-f")
    assert follower.stdout is not None
    first = follower.stdout.readline()

    (house.root / "go").write_text("now\n")
    rest, _ = follower.communicate(timeout=10)

    assert (first, rest, follower.returncode) == ("begun\n", "over\n", 0)


def test_explain_tells_the_story_of_the_newest_run(house: House) -> None:
    said = house.says("explain", "broken")

    assert "was asked for at" in said
    assert "It failed at" in said
    assert house.json("explain", "never")["facts"] == ["never has not run yet."]
    assert "no slot of talker" in house.says("explain", "talker", "--at", "2026-01-01 12:00")


def test_an_incident_is_listed_and_acknowledged(house: House) -> None:
    number = house.json("incidents")["incidents"][0]["id"]
    before = house.says("incidents")

    body = house.json("incidents", "ack", str(number), "--for", "2h", "--reason", "known")

    assert before.splitlines()[1].split()[1:4] == ["broken", "error", "exit"]
    assert " open " in before
    assert body == {"acked": number}
    assert "acked, reminds in 1h" in house.says("incidents")
    assert "broken" in house.says("status").splitlines()[-1]
