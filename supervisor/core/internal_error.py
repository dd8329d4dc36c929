"""Handle `InternalError`: an unexpected exception that the loop caught.

The turn that raised it changed nothing. The run concerned, if any, fails, because
what the supervisor knows about it may be wrong from now on.
"""

from supervisor.core import alert_delivery, attempts, incidents
from supervisor.core.effects import Deliver, KillStep, Signal
from supervisor.core.events import Delivered, InternalError, Undelivered
from supervisor.core.model import Reason, State
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict

_OF_DELIVERY = (Deliver.__name__, Delivered.__name__, Undelivered.__name__)


def internal_error(turn: Turn, event: InternalError) -> None:
    """Fail the run concerned, and open an `internal` incident of its job or of the service."""
    cause = f"internal error in {event.where}: {event.cause}"
    if event.where in _OF_DELIVERY:  # else no alert would ever be sent again
        alert_delivery.give_up_sending(turn)
    if not (event.run and _fail(turn, event, Verdict(State.FAILED, Reason.INTERNAL, cause))):
        turn.open_incident("", incidents.INTERNAL, cause)


def _fail(turn: Turn, event: InternalError, found: Verdict) -> bool:
    """End the run, and return whether its job has an open `internal` incident."""
    live, run = turn.scheduler.live_attempts.get(event.run), turn.scheduler.runs.get(event.run)
    if live is not None and not live.exited:
        if not event.is_empty:
            turn.actions.append(Signal(live.run, live.attempt.number, KillStep.KILL))
        attempts.settle_verdict(turn, live, found)
    elif run is not None and run.state.is_open:
        attempts.cancel(turn, run, found)
    if live is not None and event.is_empty:
        turn.free_place(turn.scheduler.live_attempts[live.run])
    job = "" if run is None else run.job
    return (job, incidents.INTERNAL) in turn.scheduler.incidents
