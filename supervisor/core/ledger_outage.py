"""Handle a ledger that cannot be written, recovers, or was replaced after damage.

A run is launched only after its record is written. Until then due runs stay pending
with that cause. The loop holds back the ends of live runs and writes them first on
recovery. A new ledger that replaces a damaged one gets everything still known.
"""

from supervisor.core import incidents
from supervisor.core.effects import Note, Record, RecordPause, RecordTick, Row
from supervisor.core.events import LedgerDamaged, LedgerRecovered, LedgerWriteFailed
from supervisor.core.model import replace
from supervisor.core.turn import Turn


def on_write_failed(turn: Turn, event: LedgerWriteFailed) -> None:
    """Open the incident, and put launches that were not performed back into the queue."""
    if not turn.world.ledger_trouble:
        turn.open_incident("", incidents.LEDGER, f"the ledger cannot be written: {event.cause}")
    turn.world.ledger_trouble = event.cause
    for number, attempt in event.launches:
        living = turn.world.living.get(number)
        run = turn.world.runs.get(number)
        if living is None or run is None or living.attempt.number != attempt:
            turn.actions.append(Note("error", f"run {number} was not launched and is not known"))
        else:
            turn.undo_launch(replace(run, cause=f"waits for the ledger: {event.cause}"))


def on_recovered(turn: Turn, event: LedgerRecovered) -> None:
    """Close the incident and admit runs again; fill a ledger that replaced a damaged one."""
    turn.world.ledger_trouble = ""
    if event.damage:
        _record_everything(turn)
        turn.open_incident("", incidents.DAMAGE, event.damage)
    turn.close_incidents("", incidents.LEDGER)
    turn.may_admit = True


def damaged(turn: Turn, event: LedgerDamaged) -> None:
    """Open the incident of damaged rows, unless it is open already."""
    if ("", incidents.DAMAGE) not in turn.world.incidents:
        turn.open_incident("", incidents.DAMAGE, event.cause)


def _record_everything(turn: Turn) -> None:
    """Record everything that a start restores."""
    world = turn.world
    living = world.living.values()
    rows: list[Row] = [
        *world.last_run.values(),
        *(each.outcome for each in living if each.outcome is not None),
        *world.runs.values(),
        *(each.attempt for each in living),
        *world.job_records.values(),
        *world.incidents.values(),
        *world.closed.values(),
        *world.outbox,
    ]
    turn.actions += [Record(row) for row in rows]
    turn.actions.append(RecordPause(world.paused))
    if world.last_tick is not None:
        turn.actions.append(RecordTick(world.last_tick, world.silent_until))
