"""`decide` as a function: its table is complete, and its arguments are not modified."""

import pytest

from supervisor.core import control_requests as req
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.decide import TABLE, decide, next_minute, next_wakeup
from supervisor.core.model import Overlap, Problem, State
from tests.core.core_harness import Night, instant, job
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
    night = Night(job("a", worker="w.f", cron="0 2 * * *", retries=1, retry_delay_s=5))
    night.at("02:00")
    return night


def retrying():
    night = running()
    night.exits("a", status=1)
    return night


def pending():
    night = retrying()
    night.after(seconds=6)
    return night


def success():
    night = running()
    night.says("a", Done({}))
    night.exits("a")
    return night


def failed():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")
    night.exits("a", status=1)
    return night


def cancelled():
    night = running()
    night.asks(req.CancelJob("a"))
    night.exits("a", signal=15)
    return night


def interrupted():
    night = Night(job("a"))
    night.asks(req.RunJobs(("a",)))
    night.send(ev.StopAsked(night.clocks()))
    night.exits("a", signal=15)
    return night


# A Night in which attempt 1.1 has a process tree and its run is in this state.
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
    assert {event for rules in TABLE.values() for event in rules} <= set(ATTEMPT_EVENTS)


@pytest.mark.parametrize("state", list(SCENES))
def test_each_scene_is_what_it_says(state):
    assert SCENES[state]().run("a").state is state


@pytest.mark.parametrize("state", [State.SKIPPED, State.MISSED])
def test_what_never_began_heeds_no_event(state):
    assert TABLE[state] == {}


@pytest.mark.parametrize("state", list(SCENES))
@pytest.mark.parametrize("kind", list(ATTEMPT_EVENTS), ids=lambda kind: kind.__name__)
def test_a_pair_that_is_listed_is_acted_on_and_another_yields_one_note(state, kind):
    night = SCENES[state]()
    before = repr(night.world)

    world, actions = decide(night.world, ATTEMPT_EVENTS[kind](night.clocks(), 1, 1))

    if kind in TABLE[state]:
        assert repr(world) != before or actions or kind is ev.KeeperLost
    else:
        assert repr(world) == before
        assert [type(action) for action in actions] == [effects.Note]


@pytest.mark.parametrize("kind", list(ATTEMPT_EVENTS), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("key", [(1, 2), (77, 1)], ids=["another attempt", "another run"])
def test_a_late_word_of_nobody_changes_nothing_and_yields_one_note(kind, key):
    night = running()
    before = repr(night.world)

    world, actions = decide(night.world, ATTEMPT_EVENTS[kind](night.clocks(), *key))

    assert repr(world) == before
    assert [type(action) for action in actions] == [effects.Note]


def everything_at(night):
    """Return one event of each type, at the current time."""
    at = night.clocks()
    later = ev.At(instant("2026-01-06 12:00"), night.mono + 100_000)
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
        ev.TimePassed(ev.At(instant("2026-01-01 00:00"), night.mono + 1)),
        ev.Reloaded(at, night.config),
        ev.Reloaded(at, type(night.config)(())),
        ev.ReloadRefused(at, (Problem(1, 1, "jobs", "bad"),)),
        ev.StopAsked(at),
        ev.LedgerWriteFailed(at, ((1, 1),), "disk full"),
        ev.LedgerRecovered(at),
        ev.Restored(later, night.config, ev.Memory(tuple(night.ledger.runs.values()))),
    ]


@pytest.mark.parametrize("state", list(SCENES))
def test_the_world_that_was_given_is_never_changed(state):
    night = SCENES[state]()
    given = night.world
    before = repr(given)

    for event in everything_at(night):
        decide(given, event)

    assert repr(given) == before


@pytest.mark.parametrize("state", list(SCENES))
def test_the_same_event_has_the_same_outcome(state):
    night = SCENES[state]()

    first = [repr(decide(night.world, event)) for event in everything_at(night)]
    second = [repr(decide(night.world, event)) for event in everything_at(night)]

    assert first == second


@pytest.mark.parametrize("state", list(SCENES))
def test_a_launch_comes_after_its_record(state):
    night = SCENES[state]()

    for event in everything_at(night):
        _, actions = decide(night.world, event)
        recorded = set()
        for action in actions:
            if isinstance(action, effects.Record) and hasattr(action.row, "trigger"):
                recorded.add((action.row.id, action.row.attempt, action.row.state))
            if isinstance(action, effects.Launch):
                assert (action.run.id, action.run.attempt, "running") in recorded


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
    assert next_wakeup(Night(job("a", cron="* * * * *")).world) is None


@pytest.mark.parametrize(
    ("fields", "ending", "expected_s"),
    [
        ({"timeout_s": 90.0}, None, 90),
        ({"retries": 1, "retry_delay_s": 30.0, "timeout_s": 90.0}, 1, 30),
    ],
    ids=["a deadline", "a backoff"],
)
def test_the_next_waking_is_the_nearest_timer(fields, ending, expected_s):
    night = Night(job("a", cron="0 2 * * *", **fields))
    night.at("02:00")

    if ending is not None:
        night.ends("a", status=ending)

    assert next_wakeup(night.world) == pytest.approx(night.mono + expected_s)


def test_the_end_of_a_grace_is_a_timer_too():
    night = Night(job("a", cron="* * * * *", overlap=Overlap.REPLACE, kill_grace_s=7))
    night.at("00:02")

    assert next_wakeup(night.world) == night.mono + 7
