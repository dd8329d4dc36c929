"""Every change of a run's state: from which state, by which event, to which state.

TRANSITIONS is the whole life of a run on one page. The rules themselves are in the
modules that `decide.py` names; the tests of the core compare each change that happens
with this table, and each of its changes must happen. docs/architecture.md shows it as
a diagram, which `scripts/run-states` prints.
"""

from typing import NamedTuple

from supervisor.core import events as ev
from supervisor.core.model import State


class Admission:
    """Cause of a change at the end of a turn of any event: `admission.admit`."""


Cause = type[ev.Event] | type[Admission]


class Transition(NamedTuple):
    """Change of a run's state by any one of these causes; `why` says when.

    before: None for a new run.
    """

    before: State | None
    causes: tuple[Cause, ...]
    after: State
    why: str


# Events of the process of a running attempt, each of which may be the first
# sign of its end; and the timer that gives up a tree that sends no event.
ATTEMPT_EVENTS: tuple[Cause, ...] = (
    ev.Exited, ev.TreeEmpty, ev.LaunchFailed, ev.KeeperLost, ev.Survived,
)  # fmt: skip
ENDED: tuple[Cause, ...] = (*ATTEMPT_EVENTS, ev.TimePassed)

OPENING: tuple[Cause, ...] = (ev.TimePassed, ev.Restored, ev.Requested)

TRANSITIONS = (
    # A slot becomes due, or was due in an absence. A request opens a run; `resume --from-now`
    # first opens all slots that are due.
    Transition(None, OPENING, State.PENDING, "due"),
    Transition(None, OPENING, State.SKIPPED, "overlap, pause or disabled"),
    Transition(None, OPENING, State.MISSED, "no supervisor ran"),
    # It waits for its dependencies, its job, its group and a place.
    Transition(State.PENDING, (Admission,), State.RUNNING, "admitted"),
    Transition(State.PENDING, (Admission,), State.SKIPPED, "a dependency failed"),
    # An attempt has ended: by itself, at its timeout, or since something asked for its end.
    Transition(State.RUNNING, (ev.Exited,), State.SUCCESS, "succeeded"),
    Transition(State.RUNNING, ENDED, State.RETRYING, "failed or interrupted, and may retry"),
    Transition(State.RUNNING, ENDED, State.FAILED, "failed for good"),
    Transition(State.RUNNING, ENDED, State.CANCELLED, "cancelled or replaced"),
    Transition(State.RUNNING, ATTEMPT_EVENTS, State.INTERRUPTED, "the service stops"),
    Transition(State.RETRYING, (ev.TimePassed,), State.PENDING, "its delay has passed"),
    # Replaced by a newer slot; asked for, or replaced by a requested run; removed or disabled.
    Transition(
        State.PENDING,
        (ev.TimePassed, ev.Requested, ev.Reloaded),
        State.CANCELLED,
        "cancelled, replaced or removed",
    ),
    Transition(
        State.RETRYING,
        (ev.TimePassed, ev.Requested, ev.Reloaded),
        State.CANCELLED,
        "cancelled, replaced or removed",
    ),
    # The start settles what the previous supervisor left open.
    Transition(State.PENDING, (ev.Restored,), State.MISSED, "not begun before a restart"),
    Transition(State.PENDING, (ev.Restored,), State.CANCELLED, "removed or replaced"),
    Transition(State.PENDING, (ev.Restored,), State.INTERRUPTED, "not resumed after a restart"),
    Transition(State.RUNNING, (ev.Restored,), State.RETRYING, "resumed after a restart"),
    Transition(State.RUNNING, (ev.Restored,), State.CANCELLED, "removed or replaced"),
    Transition(State.RUNNING, (ev.Restored,), State.INTERRUPTED, "not resumed after a restart"),
    Transition(State.RETRYING, (ev.Restored,), State.CANCELLED, "removed or replaced"),
    Transition(State.RETRYING, (ev.Restored,), State.INTERRUPTED, "not resumed after a restart"),
    # No record, no launch; and no rule foresaw what happened.
    Transition(State.RUNNING, (ev.LedgerWriteFailed,), State.PENDING, "not recorded"),
    # The leader of a cluster: a host has judged the attempt, or was lost, or none began it.
    Transition(State.RUNNING, (ev.Judged,), State.SUCCESS, "succeeded on its host"),
    Transition(State.RUNNING, (ev.Judged, ev.HostLost), State.RETRYING, "may go on elsewhere"),
    Transition(State.RUNNING, (ev.Judged,), State.FAILED, "failed on its host"),
    Transition(
        State.RUNNING, (ev.Judged, ev.NotBegun, ev.HostLost), State.CANCELLED, "cancelled there"
    ),
    Transition(
        State.RUNNING, (ev.Judged, ev.HostLost), State.INTERRUPTED, "may not go on elsewhere"
    ),
    Transition(State.RUNNING, (ev.NotBegun, ev.Restored), State.PENDING, "no host began it"),
    # A host of a cluster may not begin what it was assigned.
    Transition(State.PENDING, (ev.TimePassed,), State.INTERRUPTED, "no word from the cluster"),
    Transition(State.PENDING, (ev.InternalError,), State.FAILED, "internal error"),
    Transition(State.RUNNING, (ev.InternalError,), State.FAILED, "internal error"),
    Transition(State.RETRYING, (ev.InternalError,), State.FAILED, "internal error"),
)
