"""history, logs, explain and incidents without a supervisor, read from the ledger."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from supervisor.ledger.migrations import SCHEMA_VERSION
from tests.acceptance.daemon import Sandbox, supervised
from tests.other_user import can_enter
from tests.waiting import until

JOBS = """
timezone: Asia/Tokyo
jobs:
  talker: {command: "printf 'one\\ntwo\\n'; echo $TOKEN", env: {TOKEN: a-long-token-7}}
  broken: {command: "echo oh no; exit 3"}
  nightly: {command: ["true"], cron: "0 4 29 2 *"}
  sleeper: {command: [/bin/sleep, "60"]}
"""
# Their output holds no age, and does not name the next slot.
QUESTIONS = [
    ("history", "--json"),
    ("history", "--state", "failed", "--since", "1h", "--json"),
    ("history", "--actions", "--json"),
    ("history", "nightly"),
    ("history", "unheard-of"),
    ("history", "--since", "9999-01-01"),
    ("logs", "talker"),
    ("logs", "talker", "-n", "1"),
    ("logs", "broken", "-f"),
    ("logs", "2", "--follow", "-n", "1"),
    ("logs", "nightly"),
    ("logs", "unheard-of"),
    ("logs", "999"),
    ("explain", "1"),
    ("explain", "broken"),
    ("explain", "broken", "--json"),
    ("explain", "talker", "--run", "2"),
    ("explain", "talker", "--at", "2026-01-01 12:00"),
    ("explain", "nightly", "--at", "2026-01-01 12:00"),
    ("explain", "talker", "--at", "0001-01-01"),
    ("explain", "unheard-of"),
    ("explain", "999"),
    ("incidents", "--json"),
]
Answers = dict[tuple[str, ...], tuple[int, str]]


def asked(sandbox: Sandbox) -> Answers:
    """Return exit status and standard output of each command."""
    found = {}
    for words in QUESTIONS:
        done = sandbox.ask(*words)
        assert "Traceback" not in done.stderr
        found[words] = (done.returncode, done.stdout)
    return found


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def stopped() -> Iterator[tuple[Sandbox, Answers]]:
    """Make a folder whose supervisor ran two jobs and stopped; with the answers it gave."""
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.ask("run", "talker", "broken", "--wait")
            before = asked(sandbox)
        yield sandbox, before


def test_the_answers_are_those_of_the_supervisor(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, before = stopped

    assert asked(sandbox) == before
    assert before["logs", "talker"] == (0, "one\ntwo\n***\n")
    assert before["explain", "1"][1].count(" JST") == 3


def test_an_unknown_job_is_refused_in_json_too(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, _ = stopped

    done = sandbox.ask("history", "unheard-of", "--json")

    assert (done.returncode, json.loads(done.stdout)["error"]) == (
        2,
        'no job is called "unheard-of"',
    )


def test_one_line_says_what_is_read(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, _ = stopped
    ledger = sandbox.state / "ledger.sqlite3"

    for words in (("history",), ("logs", "talker", "-f"), ("incidents", "--json")):
        assert sandbox.ask(*words).stderr == (
            f"no supervisor answers at {sandbox.socket}; reading the ledger {ledger}\n"
        )


def test_nothing_is_created_or_changed(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, _ = stopped
    before = contents(sandbox.state)

    asked(sandbox)

    assert contents(sandbox.state) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")
def test_a_folder_that_may_only_be_read_is_enough(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, before = stopped
    if not can_enter(Path(__file__).parent):
        pytest.skip("other users may not enter the folder of the project")
    for path in (sandbox.root, sandbox.state, *sandbox.state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)

    done = sandbox.ask("history", "--json", uid=65534)

    assert (done.returncode, done.stdout) == before["history", "--json"]


def test_verbs_that_need_a_supervisor_still_say_so(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, _ = stopped

    for words in (("status",), ("jobs",), ("run", "talker"), ("incidents", "ack", "1")):
        assert sandbox.refuses(*words)[0] == 3


def test_a_socket_that_is_named_alone_leads_to_no_ledger(stopped: tuple[Sandbox, Answers]) -> None:
    sandbox, _ = stopped

    status, said = sandbox.refuses("history", "--socket", str(sandbox.root / "other"))

    assert (status, "ledger" in said) == (3, False)
    words = ("--state", str(sandbox.state), "history", "--socket", "other")
    assert sandbox.ask(*words).returncode == 0


def test_the_output_of_a_local_run_is_had_afterwards() -> None:
    with Sandbox(JOBS) as sandbox:
        sandbox.ask("run", "talker", "--local")

        done = sandbox.ask("logs", "talker")

        assert (done.returncode, done.stdout) == (0, "one\ntwo\n***\n")
        assert sandbox.ask("explain", "talker").stdout.startswith("Run 1 of talker was asked for")


def test_secrets_are_those_of_jobs_yaml_if_no_other_text_is_kept() -> None:
    with Sandbox(JOBS) as sandbox:
        sandbox.ask("run", "talker", "--local")
        (sandbox.state / "jobs.accepted.yaml").unlink()
        of_file = sandbox.ask("logs", "talker")
        sandbox.config.unlink()
        of_nothing = sandbox.ask("logs", "talker")

    assert of_file.stdout == "one\ntwo\n***\n"
    assert of_nothing.stdout.startswith("one\ntwo\n")
    assert "not all secrets in output are masked" in of_nothing.stderr


def test_a_run_that_a_killed_supervisor_left_open_is_not_said_to_run() -> None:
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox) as process:
            sandbox.ask("run", "sleeper")
            until(lambda: sandbox.json("history")["runs"][0]["state"] == "running")
            process.send_signal(signal.SIGKILL)
            process.wait()

        done = sandbox.ask("explain", "sleeper")
        (sandbox.state / "ledger.sqlite3-shm").unlink(missing_ok=True)

        assert "\nIt was running when the ledger was last written.\n" in done.stdout
        assert sandbox.ask("explain", "sleeper").stdout == done.stdout


@pytest.fixture
def local() -> Iterator[Sandbox]:
    """Make a folder in which one job has run, without a supervisor."""
    with Sandbox(JOBS) as sandbox:
        sandbox.ask("run", "talker", "broken", "--local")
        yield sandbox


def changed(sandbox: Sandbox, statements: str) -> None:
    with closing(sqlite3.connect(sandbox.state / "ledger.sqlite3")) as db:
        db.executescript(statements)


def test_a_ledger_of_a_newer_schema_is_read_as_far_as_it_can_be(local: Sandbox) -> None:
    changed(
        local,
        "ALTER TABLE runs ADD COLUMN added_later TEXT;"
        f"PRAGMA user_version = {SCHEMA_VERSION + 1};"
        "ALTER TABLE incidents RENAME COLUMN cause TO causes;"
        "UPDATE runs SET state = 'parked' WHERE id = 1",
    )

    history = local.ask("history", "--json")
    incidents = local.ask("incidents")

    assert [run["id"] for run in json.loads(history.stdout)["runs"]] == [2]
    newer = SCHEMA_VERSION + 1
    assert f"of schema {newer} (this nightshift writes {SCHEMA_VERSION})" in history.stderr
    assert "a row of the ledger cannot be read and is left out" in history.stderr
    assert (incidents.returncode, f"its schema is {newer}" in incidents.stderr) == (1, True)


def test_a_ledger_of_an_older_schema_is_read_and_not_migrated(local: Sandbox) -> None:
    changed(
        local,
        "ALTER TABLE incidents DROP COLUMN recovery_at; PRAGMA user_version = 2",
    )
    before = contents(local.state)

    assert local.ask("history").returncode == 0
    status, said = local.refuses("incidents")
    assert (status, f"its schema is 2: nightshift start makes it {SCHEMA_VERSION}" in said) == (
        1,
        True,
    )
    assert contents(local.state) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no ledger"), (b"", "is no ledger"), (b"noise" * 999, "cannot be read")],
    ids=["none", "empty", "noise"],
)
def test_without_a_ledger_the_answer_is_that_no_supervisor_answers(
    content: bytes | None, said: str
) -> None:
    with Sandbox(JOBS) as sandbox:
        sandbox.state.mkdir()
        if content is not None:
            (sandbox.state / "ledger.sqlite3").write_bytes(content)
        before = contents(sandbox.state)

        for words in (("history",), ("logs", "talker"), ("explain", "1"), ("incidents",)):
            status, complaint = sandbox.refuses(*words)

            assert status == 3
            assert f"no supervisor answers at {sandbox.socket}" in complaint
            assert said in complaint
            assert "nightshift start begins one" in complaint
        assert contents(sandbox.state) == before
