"""No record, no launch: what happens while the ledger cannot be written.

Due runs stay pending with that cause; the ends of living runs are held back by
the loop and written first on recovery. A new ledger in the place of a damaged one
is told all that is still known.
"""

from supervisor.core import incident
from supervisor.core.effects import Note, Record, RecordPause, RecordTick, Row
from supervisor.core.events import LedgerDamaged, Recorded, Unrecorded
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
    if event.damage:
        _tell_all(turn)
        turn.trouble("", incident.DAMAGE, event.damage)
    turn.mend("", incident.LEDGER)
    turn.may_admit = True


def damaged(turn: Turn, event: LedgerDamaged) -> None:
    """Open the incident; once it is open, another such row adds nothing."""
    if ("", incident.DAMAGE) not in turn.world.incidents:
        turn.trouble("", incident.DAMAGE, event.cause)


def _tell_all(turn: Turn) -> None:
    """Record what a start would want to remember."""
    world = turn.world
    living = world.living.values()
    rows: list[Row] = [
        *world.last.values(),
        *(each.outcome for each in living if each.outcome is not None),
        *world.runs.values(),
        *(each.attempt for each in living),
        *world.marks.values(),
        *world.incidents.values(),
        *world.closed.values(),
        *world.outbox,
    ]
    turn.actions += [Record(row) for row in rows]
    turn.actions.append(RecordPause(world.paused))
    if world.last_tick is not None:
        turn.actions.append(RecordTick(world.last_tick, world.silent_until))
