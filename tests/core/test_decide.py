"""`decide` as a function: its table is complete, and its arguments are not modified."""

from typing import get_args

import pytest

from supervisor.core import control_requests as req
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Overlap, Problem
from supervisor.core.decide import TABLE, decide, next_minute, next_wakeup
from supervisor.core.model import State
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Done

ATTEMPT_EVENTS = {
    ev.Started: lambda at, run, n: ev.Started(at, run, n, 4711),
    ev.MessageReceived: lambda at, run, n: ev.MessageReceived(at, run, n, Done({})),
    ev.Exited: lambda at, run, n: ev.Exited(at, run, n, 0),
    ev.TreeEmpty: ev.TreeEmpty,
    ev.LaunchFailed: lambda at, run, n: ev.LaunchFailed(at, run, n, "no"),
    ev.KeeperLost: ev.KeeperLost,
    ev.Survived: lambda at, run, n: ev.Survived(at, run, n, ("7 sleep",)),
}


def running():
    harness = Harness(job("a", worker="w.f", cron="0 2 * * *", retries=1, retry_delay_s=5))
    harness.at("02:00")
    return harness


def retrying():
    harness = running()
    harness.exits("a", status=1)
    return harness


def pending():
    harness = retrying()
    harness.after(seconds=6)
    return harness


def success():
    harness = running()
    harness.says("a", Done({}))
    harness.exits("a")
    return harness


def failed():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.exits("a", status=1)
    return harness


def cancelled():
    harness = running()
    harness.asks(req.CancelJob("a"))
    harness.exits("a", signal=15)
    return harness


def interrupted():
    harness = Harness(job("a"))
    harness.asks(req.RunJobs(("a",)))
    harness.send(ev.StopAsked(harness.clocks()))
    harness.exits("a", signal=15)
    return harness


# A service in which attempt 1.1 has a process tree and its run is in this state.
SCENES = {
    State.PENDING: pending,
    State.RUNNING: running,
    State.RETRYING: retrying,
    State.SUCCESS: success,
    State.FAILED: failed,
    State.CANCELLED: cancelled,
    State.INTERRUPTED: interrupted,
}


def test_every_state_is_a_key_of_the_table():
    assert set(TABLE) == set(State)


def test_the_table_names_no_event_that_is_not_about_an_attempt():
    assert {event for rules in TABLE.values() for event in rules} <= set(get_args(ev.AttemptEvent))


@pytest.mark.parametrize("state", list(SCENES))
def test_each_state_of_the_table_is_as_named(state):
    assert SCENES[state]().run("a").state is state


@pytest.mark.parametrize("state", [State.SKIPPED, State.MISSED])
def test_a_run_that_never_began_ignores_events(state):
    assert TABLE[state] == {}


@pytest.mark.parametrize("state", list(SCENES))
@pytest.mark.parametrize("kind", list(ATTEMPT_EVENTS), ids=lambda kind: kind.__name__)
def test_a_pair_that_is_listed_is_acted_on_and_another_yields_one_note(state, kind):
    harness = SCENES[state]()
    before = repr(harness.scheduler)

    scheduler, actions = decide(harness.scheduler, ATTEMPT_EVENTS[kind](harness.clocks(), 1, 1))

    if kind in TABLE[state]:
        changed = repr(scheduler) != before or bool(actions)
        # A keeper may be lost after its run has ended: listed, without an effect.
        assert changed == (kind is not ev.KeeperLost or state is State.RUNNING)
    else:
        assert repr(scheduler) == before
        assert [type(action) for action in actions] == [effects.Note]


@pytest.mark.parametrize("kind", list(ATTEMPT_EVENTS), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("key", [(1, 2), (77, 1)], ids=["another attempt", "another run"])
def test_a_late_event_of_an_unknown_run_changes_nothing_and_is_noted(kind, key):
    harness = running()
    before = repr(harness.scheduler)

    scheduler, actions = decide(harness.scheduler, ATTEMPT_EVENTS[kind](harness.clocks(), *key))

    assert repr(scheduler) == before
    assert [type(action) for action in actions] == [effects.Note]


def everything_at(harness):
    """Return one event of each type, at the current time."""
    at = harness.clocks()
    later = ev.At(instant("2026-01-06 12:00"), harness.mono + 100_000)
    requests = [
        req.RunJobs(("a",)), req.RunAll(), req.CancelJob("a"), req.CancelRun(1),
        req.PauseJob("a", 60), req.PauseJob("", None), req.ResumeJob("a", from_now=True),
        req.ResumeJob("", from_now=True), req.AckIncident(1, 60), req.StopService(),
        req.StopService(60.0),
    ]  # fmt: skip
    return [
        *(make(at, 1, 1) for make in ATTEMPT_EVENTS.values()),
        *(ev.Requested(at, 1, ev.Peer(0, 1), request) for request in requests),
        ev.TimePassed(later),
        ev.TimePassed(ev.At(instant("2026-01-01 00:00"), harness.mono + 1)),
        ev.Reloaded(at, harness.config),
        ev.Reloaded(at, type(harness.config)(())),
        ev.ReloadRefused(at, (Problem(1, 1, "jobs", "bad"),)),
        ev.StopAsked(at),
        ev.LedgerWriteFailed(at, ((1, 1),), "disk full"),
        ev.LedgerRecovered(at),
        ev.Restored(later, harness.config, ev.Memory(tuple(harness.ledger.runs.values()))),
    ]


@pytest.mark.parametrize("state", list(SCENES))
def test_the_given_state_is_never_modified(state):
    harness = SCENES[state]()
    given = harness.scheduler
    before = repr(given)

    for event in everything_at(harness):
        decide(given, event)

    assert repr(given) == before


@pytest.mark.parametrize("state", list(SCENES))
def test_the_same_event_has_the_same_outcome(state):
    harness = SCENES[state]()

    first = [repr(decide(harness.scheduler, event)) for event in everything_at(harness)]
    second = [repr(decide(harness.scheduler, event)) for event in everything_at(harness)]

    assert first == second


def test_a_launch_comes_after_its_record():
    launched, unrecorded = 0, []

    for scene in SCENES.values():
        harness = scene()
        for event in everything_at(harness):
            _, actions = decide(harness.scheduler, event)
            recorded = set()
            for action in actions:
                if isinstance(action, effects.Record) and hasattr(action.row, "trigger"):
                    recorded.add((action.row.id, action.row.attempt, action.row.state))
                if isinstance(action, effects.Launch):
                    launched += 1
                    if (action.run.id, action.run.attempt, "running") not in recorded:
                        unrecorded.append(action)

    assert launched > 0
    assert unrecorded == []


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-05 02:00:00", "2026-01-05 02:01"),
        ("2026-01-05 02:00:59", "2026-01-05 02:01"),
        ("2026-01-05 23:59:30", "2026-01-06 00:00"),
    ],
)
def test_the_next_minute_is_strictly_later(now, expected):
    assert next_minute(instant(now)) == instant(expected)


def test_without_timers_only_the_next_minute_matters():
    assert next_wakeup(Harness(job("a", cron="* * * * *")).scheduler) is None


@pytest.mark.parametrize(
    ("fields", "ending", "expected_s"),
    [
        ({"timeout_s": 90.0}, None, 90),
        ({"retries": 1, "retry_delay_s": 30.0, "timeout_s": 90.0}, 1, 30),
    ],
    ids=["a deadline", "a backoff"],
)
def test_the_next_waking_is_the_nearest_timer(fields, ending, expected_s):
    harness = Harness(job("a", cron="0 2 * * *", **fields))
    harness.at("02:00")

    if ending is not None:
        harness.ends("a", status=ending)

    assert next_wakeup(harness.scheduler) == pytest.approx(harness.mono + expected_s)


def test_the_end_of_a_grace_is_a_timer_too():
    harness = Harness(job("a", cron="* * * * *", overlap=Overlap.REPLACE, kill_grace_s=7))
    harness.at("00:02")

    assert next_wakeup(harness.scheduler) == harness.mono + 7
