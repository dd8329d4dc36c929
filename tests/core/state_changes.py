"""The state changes of runs in a turn, compared with the table of allowed changes."""

from collections.abc import Iterable, Iterator

from supervisor.core import effects, transitions
from supervisor.core import events as ev
from supervisor.core.model import Run, State
from supervisor.core.state import SchedulerState
from supervisor.core.transitions import TRANSITIONS, Admission, Cause

Change = tuple[State | None, Cause, State]

LISTED: frozenset[Change] = frozenset(
    (row.before, cause, row.after) for row in TRANSITIONS for cause in row.causes
)
# States in which an admission is attributed to the event of its turn.
_ADMITTED = {(row.before, row.after) for row in TRANSITIONS if Admission in row.causes}


def listed_changes(
    scheduler: SchedulerState, event: ev.Event, actions: Iterable[effects.Action]
) -> set[Change]:
    """Return the changes of a turn from `scheduler`; fail if one is not in the table."""
    found = set(_changes(scheduler, event, actions))
    assert found <= LISTED, f"not in {transitions.__name__}: {found - LISTED}"
    return found


def _changes(
    scheduler: SchedulerState, event: ev.Event, actions: Iterable[effects.Action]
) -> Iterator[Change]:
    known, first_new = scheduler.runs, scheduler.next_run
    if isinstance(event, ev.Restored):
        known, first_new = {run.id: run for run in event.memory.runs}, event.memory.next_run
    causes = _causes(event)
    states: dict[int, State] = {}
    for action in actions:
        match action:
            case effects.Record(Run(id=number, state=after)):
                before = states.get(number) or (known[number].state if number in known else None)
                # A row of a run that had already ended only adds its resource use.
                if before is not after and (before is not None or number >= first_new):
                    is_admitted = (before, after) in _ADMITTED
                    cause = causes.get(number, type(event))
                    yield before, Admission if is_admitted else cause, after
                states[number] = after


def _causes(event: ev.Event) -> dict[int, Cause]:
    """Return the event that ends each attempt, among those that arrived together."""
    if not isinstance(event, ev.AttemptEvents):
        return {}
    return {
        each.run: type(each) for each in reversed(event.events) if type(each) is not ev.Started
    }
