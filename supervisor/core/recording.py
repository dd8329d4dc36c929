"""No record, no launch: what happens while the ledger cannot be written.

Due runs stay pending with that cause; the ends of living runs are held back by
the loop and written first on recovery.
"""

from supervisor.core import incident
from supervisor.core.events import Note, Recorded, Unrecorded
from supervisor.core.model import replace
from supervisor.core.turn import Turn


def unrecorded(turn: Turn, event: Unrecorded) -> None:
    """No record, no launch: these runs wait until the ledger can be written."""
    if not turn.world.ledger_trouble:
        turn.trouble("", incident.LEDGER, f"the ledger cannot be written: {event.cause}")
    turn.world.ledger_trouble = event.cause
    for number, attempt in event.launches:
        living = turn.world.living.get(number)
        run = turn.world.runs.get(number)
        if living is None or run is None or living.attempt.number != attempt:
            turn.actions.append(Note("error", f"run {number} was not launched and is not known"))
        else:
            turn.unlaunch(replace(run, cause=f"waits for the ledger: {event.cause}"))


def recorded(turn: Turn, event: Recorded) -> None:
    """The ledger can be written again."""
    turn.world.ledger_trouble = ""
    turn.mend("", incident.LEDGER)
    turn.may_admit = True
