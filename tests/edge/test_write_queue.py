"""The write queue of the ledger: the newest version of each row, written once, never lost."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.core import effects
from supervisor.core.config_model import Job
from supervisor.core.model import Attempt, Run, State, Trigger, replace
from supervisor.ledger.store import Store
from supervisor.ledger.write_queue import RETRY_S, SOON_S, WriteQueue

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)
RUN = Run(1, "a", AT, Trigger.SCHEDULE, State.RUNNING, slot=AT, attempt=1, started_at=AT)
FIRST = Attempt(1, 1, AT)
LAUNCHED = (
    effects.Record(RUN),
    effects.Record(FIRST, soon=True),
    effects.Launch(RUN, Job("a", 0)),
)
ENDED = replace(FIRST, pid=7, ended_at=AT)


@pytest.fixture
def backlog(tmp_path: Path):
    store = Store(tmp_path)
    yield WriteQueue(store)
    store.close()


def attempts(folder: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger:
        return ledger.execute("SELECT pid, ended_at IS NOT NULL FROM attempts").fetchall()


def runs(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger:
        return [state for (state,) in ledger.execute("SELECT state FROM runs")]


def test_a_run_is_in_the_ledger_before_its_launch_and_its_first_attempt_soon(backlog, tmp_path):
    assert backlog.take(LAUNCHED, 10.0) == ""

    assert (runs(tmp_path), attempts(tmp_path)) == (["running"], [])
    assert backlog.flush_at == 10.0 + SOON_S


def test_what_rests_is_written_when_its_time_has_come(backlog, tmp_path):
    backlog.take(LAUNCHED, 10.0)
    backlog.take((effects.Record(replace(FIRST, pid=7), soon=True),), 10.1)

    assert backlog.flush(10.5) == ""

    assert attempts(tmp_path) == [(7, 0)]
    assert backlog.flush_at is None


def test_what_rests_does_not_come_after_what_took_its_place(backlog, tmp_path):
    backlog.take(LAUNCHED, 10.0)
    backlog.take((effects.Record(ENDED),), 10.1)

    backlog.flush(10.5)

    assert attempts(tmp_path) == [(7, 1)]


def test_another_commit_does_not_take_what_rests_with_it(backlog, tmp_path):
    backlog.take(LAUNCHED, 10.0)

    backlog.take((effects.Record(replace(RUN, id=2, slot=None)),), 10.1)

    assert (runs(tmp_path), attempts(tmp_path)) == (["running", "running"], [])


def test_a_launch_that_cannot_be_recorded_leaves_no_attempt_behind(backlog, tmp_path):
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in backlog.take(LAUNCHED, 10.0)
        assert backlog.flush_at == 10.0 + RETRY_S
        backlog.take((effects.Record(replace(RUN, state=State.CANCELLED)),), 11.0)

    assert backlog.flush(15.0) == ""

    assert (runs(tmp_path), attempts(tmp_path)) == (["cancelled"], [])
    assert not backlog.is_broken


def test_what_rested_when_the_ledger_broke_is_written_when_it_is_whole(backlog, tmp_path):
    backlog.take(LAUNCHED, 10.0)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in backlog.flush(10.5)
    backlog.take((effects.Record(replace(FIRST, pid=7), soon=True),), 11.0)

    assert backlog.flush(15.5) == ""

    assert attempts(tmp_path) == [(7, 0)]
