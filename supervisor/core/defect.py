"""A defect of our own: an exception that no rule expects, told by the loop.

The turn in which it was raised has changed nothing. The run concerned, if one is,
fails, because what the supervisor knows of it may be wrong from here on.
"""

from supervisor.core import attempts, incident, outbox
from supervisor.core.effects import Force, Signal
from supervisor.core.events import Delivered, InternalError, Undelivered
from supervisor.core.model import Reason, State
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict

_OF_DELIVERY = (Delivered.__name__, Undelivered.__name__)


def internal_error(turn: Turn, event: InternalError) -> None:
    """Fail the run concerned, and open the incident `internal` of its job or of the service."""
    cause = f"internal error in {event.where}: {event.cause}"
    if event.where in _OF_DELIVERY:  # else nothing would ever be sent again
        turn.world.sending = ()
        turn.world.deliver_at = turn.at.mono + outbox.SLOW_S
    if not (event.run and _fail(turn, event, Verdict(State.FAILED, Reason.INTERNAL, cause))):
        turn.trouble("", incident.INTERNAL, cause)


def _fail(turn: Turn, event: InternalError, found: Verdict) -> bool:
    """End the run; False: no incident of its job tells of that."""
    living, run = turn.world.living.get(event.run), turn.world.runs.get(event.run)
    if living is not None and not living.settled:
        if not event.is_empty:
            turn.actions.append(Signal(living.run, living.attempt.number, Force.KILL))
        attempts.settle(turn, living, found)
    elif run is not None and run.state.is_open:
        attempts.cancel(turn, run, found)
    if living is not None and event.is_empty:
        turn.leave(turn.world.living[living.run])
    job = "" if run is None else run.job
    return (job, incident.INTERNAL) in turn.world.incidents
