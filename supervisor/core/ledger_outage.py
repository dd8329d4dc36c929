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
    if not turn.scheduler.ledger_error:
        turn.open_incident("", incidents.LEDGER, f"the ledger cannot be written: {event.cause}")
    turn.scheduler.ledger_error = event.cause
    for number, attempt in event.launches:
        live = turn.scheduler.live_attempts.get(number)
        run = turn.scheduler.runs.get(number)
        if live is None or run is None or live.attempt.number != attempt:
            turn.actions.append(Note("error", f"run {number} was not launched and is not known"))
        else:
            turn.undo_launch(replace(run, cause=f"waits for the ledger: {event.cause}"))


def on_recovered(turn: Turn, event: LedgerRecovered) -> None:
    """Close the incident and admit runs again; fill a ledger that replaced a damaged one."""
    turn.scheduler.ledger_error = ""
    if event.damage:
        _record_everything(turn)
        turn.open_incident("", incidents.DAMAGE, event.damage)
    turn.close_incidents("", incidents.LEDGER)
    turn.may_admit = True


def damaged(turn: Turn, event: LedgerDamaged) -> None:
    """Open the incident of damaged rows, unless it is open already."""
    if ("", incidents.DAMAGE) not in turn.scheduler.incidents:
        turn.open_incident("", incidents.DAMAGE, event.cause)


def _record_everything(turn: Turn) -> None:
    """Record everything that a start restores."""
    scheduler = turn.scheduler
    live = scheduler.live_attempts.values()
    rows: list[Row] = [
        *scheduler.last_run.values(),
        *(each.outcome for each in live if each.outcome is not None),
        *scheduler.runs.values(),
        *(each.attempt for each in live),
        *scheduler.job_records.values(),
        *scheduler.incidents.values(),
        *scheduler.closed.values(),
        *scheduler.waiting_alerts,
        *filter(None, [scheduler.last_reload]),
    ]
    turn.actions += [Record(row) for row in rows]
    turn.actions.append(RecordPause(scheduler.paused))
    if scheduler.last_tick is not None:
        turn.actions.append(RecordTick(scheduler.last_tick, scheduler.silent_until))
