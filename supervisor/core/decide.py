"""Pure state transition function: `decide(scheduler, event) -> (scheduler, actions)`.

TABLE maps the state of a run and the type of an attempt event to a rule. It is
complete: a pair that is not listed changes nothing and logs one note. Which states
a run can enter from which is listed in `transitions.py`. `next_wakeup` returns when
the next timer expires. The rules live in the modules imported here, for example
`attempts.py` and `control.py`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_never

from supervisor.core import (
    alert_delivery,
    attempts,
    cluster_attempts,
    control,
    internal_error,
    ledger_outage,
    reload,
    shutdown,
    startup,
    tick,
)
from supervisor.core.admission import admit
from supervisor.core.effects import Action
from supervisor.core.events import (
    AttemptEvent,
    AttemptEvents,
    Delivered,
    Event,
    ExchangeFailed,
    Exited,
    HostLost,
    HostsSeen,
    InternalError,
    Judged,
    KeeperLost,
    LaunchFailed,
    LedgerDamaged,
    LedgerRecovered,
    LedgerWriteFailed,
    MessageReceived,
    NotBegun,
    Reloaded,
    ReloadRefused,
    Requested,
    Restored,
    Started,
    StopAsked,
    Survived,
    TimePassed,
    TreeEmpty,
    Undelivered,
)
from supervisor.core.model import State
from supervisor.core.state import LiveAttempt, SchedulerState, ServicePhase
from supervisor.core.turn import Turn

Rule = Callable[[Turn, Any, LiveAttempt], None]

# The main process of the attempt has not exited.
_ALIVE: dict[type[AttemptEvent], Rule] = {
    Started: attempts.on_started,
    MessageReceived: attempts.on_message,
    Exited: attempts.on_exited,
    TreeEmpty: attempts.on_tree_empty,
    LaunchFailed: attempts.on_launch_failed,
    KeeperLost: attempts.on_keeper_lost,
    Survived: attempts.survived,
    Judged: cluster_attempts.on_judged,
    NotBegun: cluster_attempts.on_not_begun,
    HostLost: cluster_attempts.on_host_lost,
}
# The run has left RUNNING, but the attempt's process tree is not empty yet.
_LEAVING: dict[type[AttemptEvent], Rule] = {
    TreeEmpty: attempts.on_tree_empty,
    KeeperLost: attempts.on_keeper_lost,
    Survived: attempts.survived,
}
TABLE: dict[State, dict[type[AttemptEvent], Rule]] = {
    State.PENDING: _LEAVING,  # retry is due, the previous attempt's processes still exit
    State.RUNNING: _ALIVE,
    State.RETRYING: _LEAVING,
    State.SUCCESS: _LEAVING,
    State.FAILED: _LEAVING,
    State.SKIPPED: {},
    State.MISSED: {},
    State.CANCELLED: _LEAVING,
    State.INTERRUPTED: _LEAVING,
}


def decide(scheduler: SchedulerState, event: Event) -> tuple[SchedulerState, tuple[Action, ...]]:
    """Return the state after an event and the actions to perform, in order."""
    turn = Turn(scheduler, event.at)
    match event:
        case (
            Started()
            | MessageReceived()
            | Exited()
            | TreeEmpty()
            | LaunchFailed()
            | KeeperLost()
            | Survived()
            | Judged()
            | NotBegun()
            | HostLost()
        ):
            _attempt(turn, event)
        case AttemptEvents(events=events):
            for each in events:
                _attempt(turn, each)
        case TimePassed():
            tick.time_passed(turn)
        case HostsSeen():
            turn.scheduler.hosts = event.hosts
        case ExchangeFailed():
            turn.note(f"exchange with the hosts: {event.cause}", "warning")
        case Requested():
            control.handle_request(turn, event)
        case Restored():
            startup.restored(turn, event)
        case Reloaded():
            reload.reloaded(turn, event)
        case ReloadRefused():
            reload.reload_refused(turn, event)
        case StopAsked():
            shutdown.stop_asked(turn, event)
        case LedgerWriteFailed():
            ledger_outage.on_write_failed(turn, event)
        case LedgerRecovered():
            ledger_outage.on_recovered(turn, event)
        case InternalError():
            internal_error.internal_error(turn, event)
            shutdown.stop_if_idle(turn)
        case LedgerDamaged():
            ledger_outage.damaged(turn, event)
        case Delivered():
            alert_delivery.delivered(turn, event)
            shutdown.stop_if_idle(turn)
        case Undelivered():
            alert_delivery.undelivered(turn, event)
            shutdown.stop_if_idle(turn)
        case _:
            assert_never(event)
    admit(turn)
    alert_delivery.send(turn)
    return turn.scheduler, tuple(turn.actions)


def next_wakeup(scheduler: SchedulerState) -> float | None:
    """Return the monotonic time of the nearest timer, or None if no timer is set."""
    timers = [scheduler.stop_by, scheduler.fence_at, *scheduler.retry_at.values()]
    timers += [live.next_deadline() for live in scheduler.live_attempts.values()]
    timers += [alert_delivery.next_attempt(box) for box in scheduler.outboxes.values()]
    if scheduler.unopened and scheduler.life is ServicePhase.SERVING:
        timers.append(scheduler.opening_at)
    return min([at for at in timers if at is not None], default=None)


def next_minute(instant: datetime) -> datetime:
    """Return the first full minute strictly after an instant."""
    return instant.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _attempt(turn: Turn, event: AttemptEvent) -> None:
    live = turn.scheduler.live_attempts.get(event.run)
    if live is None or live.attempt.number != event.attempt:
        kind = type(event).__name__
        turn.note(f"late word of run {event.run}.{event.attempt}: {kind}", "debug")
        return
    run = turn.scheduler.runs.get(event.run) or live.outcome
    state = run.state if run is not None else State.INTERRUPTED
    rule = TABLE[state].get(type(event))
    if rule is None:
        turn.note(f"{type(event).__name__} of a run that is {state}", "debug", run=run)
        return
    rule(turn, event, live)
    if event.run not in turn.scheduler.live_attempts:
        shutdown.stop_if_idle(turn)
