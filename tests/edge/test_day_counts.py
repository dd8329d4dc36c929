"""Counts of ended runs by day: each row is read once, and none is counted twice."""

from datetime import UTC, datetime, timedelta

import pytest

from supervisor.core.calendar_views import DayBounds
from supervisor.core.effects import Record
from supervisor.core.model import Run, State, Trigger, replace
from supervisor.ledger.day_counts import DayCounts
from supervisor.ledger.queries import History

NOW = datetime(2026, 2, 9, 12, tzinfo=UTC)
DAYS = DayBounds((NOW - timedelta(days=2)).date(), NOW.date(), UTC)


def run(number, state=State.SUCCESS, days_ago=0, job="sync"):
    return Run(number, job, NOW - timedelta(days=days_ago), Trigger.MANUAL, state)


def write(store, *runs):
    store.write([Record(each) for each in runs])


@pytest.fixture
def counted(store, tmp_path):
    history = History(store.path.parent)
    yield DayCounts(history, DAYS)
    history.close()


def loaded(counted, newest, open_runs=()):
    for _ in counted.load(newest, open_runs):
        pass
    counted.update(open_runs)
    return {
        (job, day.day, state): count
        for job, days in counted.counts.items()
        for day, states in days.items()
        for state, count in states.items()
    }


def test_ended_runs_are_counted_by_job_day_and_state(store, counted):
    write(
        store,
        run(1),
        run(2, State.FAILED),
        run(3, days_ago=1),
        run(4, days_ago=1, job="backup"),
        run(5, days_ago=9),
    )

    assert loaded(counted, 5) == {
        ("sync", 9, "success"): 1,
        ("sync", 9, "failed"): 1,
        ("sync", 8, "success"): 1,
        ("backup", 8, "success"): 1,
    }


def test_new_and_ended_runs_are_added_once(store, counted):
    write(store, run(1), run(2, State.RUNNING))
    assert loaded(counted, 2, [2]) == {("sync", 9, "success"): 1}

    write(store, run(2, State.FAILED), run(3, State.PENDING), run(4))
    for _ in range(3):
        counted.update([3])
    assert counted.counts["sync"][NOW.date()] == {"success": 2, "failed": 1}

    write(store, replace(run(3), state=State.CANCELLED))
    for _ in range(3):
        counted.update([])
    assert counted.counts["sync"][NOW.date()] == {"success": 2, "failed": 1, "cancelled": 1}


def test_a_run_whose_end_is_not_written_yet_is_counted_when_it_is(store, counted):
    write(store, run(1, State.RUNNING))
    assert loaded(counted, 1) == {}

    write(store, run(1))
    counted.update([])

    assert counted.counts["sync"][NOW.date()] == {"success": 1}
