"""`decide(world, event) -> (world, actions)`: the whole mind of Nightshift.

The table below is data and complete: for an event about an attempt it names,
by the state of the run, what is done. A pair that is not listed changes
nothing and yields one note. `next_wakeup` says when time itself is the next
event. Enter the rules by the modules that the table names.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_never

from supervisor.core import (
    answering,
    attempts,
    defect,
    delivery,
    recording,
    reloading,
    restoring,
    stopping,
    ticking,
)
from supervisor.core.admission import admit
from supervisor.core.effects import Action
from supervisor.core.events import (
    Asked,
    AttemptEvent,
    Delivered,
    Emptied,
    Event,
    Exited,
    InternalError,
    LaunchFailed,
    LedgerDamaged,
    Lost,
    Recorded,
    Reloaded,
    ReloadRefused,
    Restored,
    Said,
    Started,
    StopAsked,
    Survived,
    TimePassed,
    Undelivered,
    Unrecorded,
)
from supervisor.core.model import State
from supervisor.core.turn import Turn
from supervisor.core.world import Living, World

Rule = Callable[[Turn, Any, Living], None]

# An attempt that lives: its own process has not ended.
_ALIVE: dict[type[AttemptEvent], Rule] = {
    Started: attempts.started,
    Said: attempts.said,
    Exited: attempts.exited,
    Emptied: attempts.emptied,
    LaunchFailed: attempts.launch_failed,
    Lost: attempts.lost,
    Survived: attempts.survived,
}
# An attempt whose run has moved on while its tree still has members.
_LEAVING: dict[type[AttemptEvent], Rule] = {
    Emptied: attempts.emptied,
    Lost: attempts.lost,
    Survived: attempts.survived,
}
TABLE: dict[State, dict[type[AttemptEvent], Rule]] = {
    State.PENDING: _LEAVING,  # its backoff ended before the last tree was empty
    State.RUNNING: _ALIVE,
    State.RETRYING: _LEAVING,
    State.SUCCESS: _LEAVING,
    State.FAILED: _LEAVING,
    State.SKIPPED: {},
    State.MISSED: {},
    State.CANCELLED: _LEAVING,
    State.INTERRUPTED: _LEAVING,
}


def decide(world: World, event: Event) -> tuple[World, tuple[Action, ...]]:
    """The world after an event, and what is to be done, in order."""
    turn = Turn(world, event.at)
    match event:
        case Started() | Said() | Exited() | Emptied() | LaunchFailed() | Lost() | Survived():
            _attempt(turn, event)
        case TimePassed():
            ticking.time_passed(turn)
        case Asked():
            answering.answer(turn, event)
        case Restored():
            restoring.restored(turn, event)
        case Reloaded():
            reloading.reloaded(turn, event)
        case ReloadRefused():
            reloading.reload_refused(turn, event)
        case StopAsked():
            stopping.stop_asked(turn, event)
        case Unrecorded():
            recording.unrecorded(turn, event)
        case Recorded():
            recording.recorded(turn, event)
        case InternalError():
            defect.internal_error(turn, event)
            stopping.stop_if_over(turn)
        case LedgerDamaged():
            recording.damaged(turn, event)
        case Delivered():
            delivery.delivered(turn, event)
            stopping.stop_if_over(turn)
        case Undelivered():
            delivery.undelivered(turn, event)
            stopping.stop_if_over(turn)
        case _:
            assert_never(event)
    admit(turn)
    delivery.send(turn)
    return turn.world, tuple(turn.actions)


def next_wakeup(world: World) -> float | None:
    """The monotonic instant of the nearest timer, or None: only the next minute matters."""
    nearest = [
        at for living in world.living.values() if (at := living.next_deadline()) is not None
    ]
    nearest.extend(world.retry_at.values())
    if world.stop_by is not None:
        nearest.append(world.stop_by)
    if world.deliver_at is not None and world.outbox and not world.sending:
        nearest.append(world.deliver_at)
    return min(nearest, default=None)


def next_minute(instant: datetime) -> datetime:
    """The first full minute strictly after an instant."""
    return instant.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _attempt(turn: Turn, event: AttemptEvent) -> None:
    living = turn.world.living.get(event.run)
    if living is None or living.attempt.number != event.attempt:
        kind = type(event).__name__
        turn.note(f"late word of run {event.run}.{event.attempt}: {kind}", "debug")
        return
    run = turn.world.runs.get(event.run) or living.outcome
    state = run.state if run is not None else State.INTERRUPTED
    rule = TABLE[state].get(type(event))
    if rule is None:
        turn.note(f"{type(event).__name__} of a run that is {state}", "debug", run=run)
        return
    rule(turn, event, living)
    if event.run not in turn.world.living:
        stopping.stop_if_over(turn)
