"""Events of attempts that arrive together are decided once, with the same outcome."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Config, Job
from supervisor.core.decide import decide
from supervisor.core.memory import Memory
from supervisor.core.model import Attempt, Run
from supervisor.core.state import SchedulerState
from workers.protocol import Done, Progress

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LATER = ev.At(NOON + timedelta(seconds=65), 65.0)
ENDS = st.lists(
    st.tuples(st.sampled_from((0, 0, 256, 9)), st.booleans(), st.booleans()), max_size=6
)

Outcome = tuple[SchedulerState, list[effects.Action]]


def in_a_burst(places: int, number: int) -> SchedulerState:
    """Return a state in which all these jobs are due and some of them run."""
    jobs = tuple(
        Job(f"job-{n}", n, cron=("* * * * *",), retries=n % 2, timeout_s=60.0)
        for n in range(number)
    )
    config = Config(jobs=jobs, max_concurrent=places)
    restored = ev.Restored(ev.At(NOON, 0.0), config, Memory())
    scheduler, _ = decide(SchedulerState(config), restored)
    return decide(scheduler, ev.TimePassed(ev.At(NOON + timedelta(minutes=1), 60.0)))[0]


def ends(scheduler: SchedulerState, chosen: list[tuple[int, bool, bool]]) -> list[ev.AttemptEvent]:
    """Return the end events of the oldest attempts: exit status, message or not, strays or not."""
    found: list[ev.AttemptEvent] = []
    living = sorted(scheduler.live_attempts.values(), key=lambda live: live.run)
    for live, (status, speaks, strays) in zip(living, chosen, strict=False):
        key = (live.run, live.attempt.number)
        found.append(ev.Started(LATER, *key, 100))
        if speaks:
            found.append(ev.MessageReceived(LATER, *key, Progress(1, 2, "rows")))
            found.append(ev.MessageReceived(LATER, *key, Done({"rows": 2})))
        found.append(ev.Exited(LATER, *key, status))
        found.append(ev.TreeEmpty(LATER, *key, ("7 sleep",) if strays else ()))
    return found


def one_by_one(scheduler: SchedulerState, events: Sequence[ev.Event]) -> Outcome:
    actions: list[effects.Action] = []
    for event in events:
        scheduler, asked = decide(scheduler, event)
        actions += asked
    return scheduler, actions


def rows(actions: list[effects.Action]) -> dict[object, object]:
    """Return the newest row of each run and attempt."""
    found: dict[object, object] = {}
    for action in actions:
        match action:
            case effects.Record(Run(id=number) as row):
                found[number] = row
            case effects.Record(Attempt(run=number, number=attempt) as row):
                found[number, attempt] = row
    return found


@given(st.integers(1, 6), st.integers(1, 20), ENDS)
def test_the_outcome_is_that_of_one_after_the_other(places, number, chosen):
    scheduler = in_a_burst(places, number)
    events = ends(scheduler, chosen)

    apart, expected = one_by_one(scheduler, events)
    together, found = one_by_one(scheduler, [ev.AttemptEvents(LATER, tuple(events))])

    assert together == apart
    assert rows(found) == rows(expected)
    assert _launches(found) == _launches(expected)


def _launches(actions: list[effects.Action]) -> list[effects.Action]:
    return [action for action in actions if isinstance(action, effects.Launch)]
