"""Ledger queries of a simulation: remembered state, and durations."""

from contextlib import closing
from datetime import timedelta

from supervisor.core import effects
from supervisor.core.model import Attempt, JobRecord, Pause, State
from supervisor.ledger.queries import History
from tests.edge.fixtures_ledger import AT, run


def ended(number, took_s, **changes):
    """Return a successful run of two attempts; took_s: duration of the second."""
    made = run(number, attempt=2, **changes)
    due = made.due
    first = Attempt(number, 1, due, ended_at=due + timedelta(hours=1))
    begun = due + timedelta(hours=2)
    last = Attempt(number, 2, begun, ended_at=begun + timedelta(seconds=took_s))
    return [effects.Record(made), effects.Record(first), effects.Record(last)]


def test_durations_are_those_of_the_attempts_that_succeeded_newest_first(store, tmp_path):
    store.write(
        [
            *ended(1, 10.5),
            *ended(2, 20),
            *ended(3, 30, dry_run=True),
            *ended(4, 40, state=State.FAILED),
            *ended(5, 50, job="other"),
        ]
    )

    with closing(History(tmp_path)) as history:
        assert history.durations_s("sync") == [20.0, 10.5]
        assert history.durations_s("sync", most=1) == [20.0]
        assert history.durations_s("unknown") == []


def test_a_reader_remembers_what_a_new_supervisor_would(store, tmp_path):
    pause = Pause(None, "uid 1000")
    marks = [JobRecord("sync", AT), JobRecord("other", AT, pause)]
    runs = [action for number in range(1, 15) for action in ended(number, 1)]
    store.write([*runs, *map(effects.Record, marks), effects.RecordPause(pause)])

    with closing(History(tmp_path)) as history:
        assert tuple(history.remembered()) == store.memory().runs
        assert sorted(history.marks(), key=lambda mark: mark.job) == marks[::-1]
        assert history.paused() == pause
