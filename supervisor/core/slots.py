"""Slots -> runs: decide what becomes of each due slot.

Every slot in (seen_until, now] gets exactly one outcome here: a pending run, a
`skipped` or `missed` row, or a share of one `MissedRange`. The same rules apply to
the ordinary tick, a suspended service, a clock put forward and the start after an
absence. Enter at `open_due`.
"""

from datetime import datetime, timedelta

from supervisor.core import schedule
from supervisor.core.attempts import cancel
from supervisor.core.config_model import CatchUp, Job, Overlap
from supervisor.core.effects import Record
from supervisor.core.incidents import LATE, MISSED
from supervisor.core.model import MissedRange, Pause, Reason, Run, State, Trigger
from supervisor.core.schedule import Calendar
from supervisor.core.turn import Turn
from supervisor.core.verdict import cancelled

# A slot handled within its minute is on time.
ON_TIME = timedelta(minutes=1)
# At most this many older slots of one absence get rows of their own; the rest share one.
ROWS = 100

_DAY_S = 86400.0


def open_due(turn: Turn, job: Job, since: datetime, away: str) -> None:
    """Give every slot of the job in (since, now] its outcome.

    away: the cause for slots that no supervisor could run.
    """
    calendar = turn.scheduler.calendar(job, since)
    first = calendar.next_after(since)
    if first is None or first > turn.now:
        return
    following = calendar.next_after(first)
    if following is None or following > turn.now:
        slots = [first]
    else:
        slots = calendar.newest(ROWS + 1, since, turn.now)
    if len(slots) > ROWS:
        _open_gap(turn, job, calendar, since, slots, away)
    turn.settle_slots(job.name, slots[-1])
    is_on_time = turn.now - slots[-1] < ON_TIME
    trigger = Trigger.SCHEDULE if is_on_time else Trigger.CATCH_UP
    # A pause applies to the slots before its end, even if it is over by now.
    refusals = {slot: why_not_opened(turn, job, slot) for slot in slots}
    for slot, refusal in refusals.items():
        if refusal is not None:
            turn.record_skipped_or_missed(job, slot, trigger, State.SKIPPED, *refusal)
    free = [slot for slot, refusal in refusals.items() if refusal is None]
    if free:
        _open_newest(turn, job, free, trigger, away)


def open_slot(turn: Turn, job: Job, slot: datetime, trigger: Trigger) -> Run:
    """Return the row of one slot (or start-up): a pending run, or why there is none."""
    refusal = why_not_opened(turn, job, slot)
    if refusal is not None:
        return turn.record_skipped_or_missed(job, slot, trigger, State.SKIPPED, *refusal)
    blocker = find_blocker(turn, job, job.overlap)
    if blocker is not None:
        number, cause = blocker
        return turn.record_skipped_or_missed(
            job, slot, trigger, State.SKIPPED, Reason.OVERLAP, cause, blocked_by=number
        )
    run = turn.open_run(job, slot, trigger, slot=None if trigger is Trigger.STARTUP else slot)
    if job.overlap is Overlap.REPLACE:
        replace_others(turn, run)
    return run


def find_blocker(turn: Turn, job: Job, rule: Overlap) -> tuple[int, str] | None:
    """Return the open run that blocks another one under this rule, with the cause; or None."""
    open_runs = turn.scheduler.open_runs_of(job.name)
    if not open_runs or rule is Overlap.REPLACE:
        return None
    if rule is Overlap.SKIP:
        run = open_runs[-1]
        return run.id, f"run {run.id} is still {run.state}"
    waiting = next((run for run in open_runs if run.state is State.PENDING), None)
    return None if waiting is None else (waiting.id, f"run {waiting.id} already waits")


def why_not_opened(turn: Turn, job: Job, at: datetime) -> tuple[Reason, str] | None:
    """Return why no slot of this job may open at this instant, or None."""
    if not job.enabled:
        return Reason.DISABLED, "enabled: false"
    pause = turn.scheduler.pause_over(job.name, at)
    return None if pause is None else (Reason.PAUSED, pause_cause(pause))


def replace_others(turn: Turn, by: Run) -> None:
    """Cancel the job's other open runs in favour of this one."""
    verdict = cancelled(Reason.REPLACED, f"replaced by run {by.id}")
    for other in turn.scheduler.open_runs_of(by.job):
        if other.id != by.id:
            cancel(turn, other, verdict)


def catch_up_window(job: Job, calendar: Calendar, slot: datetime) -> timedelta:
    """Return the maximum age of a slot to catch up: by default a day or an interval."""
    if job.catch_up_window_s is not None:
        return timedelta(seconds=job.catch_up_window_s)
    following = calendar.next_after(slot)
    interval_s = (following - slot).total_seconds() if following else _DAY_S
    return timedelta(seconds=max(_DAY_S, interval_s))


def check_late(turn: Turn) -> None:
    """Open the incidents of slots that have had no success in time."""
    for name, slot in turn.scheduler.late.items():
        job = turn.scheduler.jobs.get(name)
        if job is None or job.late_after_s is None:
            turn.scheduler.late = turn.scheduler.late.delete(name)
        elif turn.now >= slot + timedelta(seconds=job.late_after_s) and _may_be_late(turn, job):
            turn.scheduler.late = turn.scheduler.late.delete(name)
            success = turn.scheduler.last_success.get(name)
            if success is None or success < slot:
                turn.open_incident(
                    name, LATE, f"no success since the slot of {format_instant(slot)}"
                )


def pause_cause(pause: Pause) -> str:
    """Return `paused by uid 1000 until 2026-02-09 12:00 UTC: reason`."""
    until = f" until {format_instant(pause.until)}" if pause.until else ""
    return f"paused by {pause.by}{until}" + (f": {pause.reason}" if pause.reason else "")


def format_instant(instant: datetime) -> str:
    """Return an instant as text for a cause: `2026-02-09 00:00 UTC`."""
    return instant.strftime("%Y-%m-%d %H:%M UTC")


def _may_be_late(turn: Turn, job: Job) -> bool:
    return why_not_opened(turn, job, turn.now) is None


def _open_newest(turn: Turn, job: Job, slots: list[datetime], trigger: Trigger, away: str) -> None:
    """Run the newest of these slots if it is not too late; record the others as missed."""
    *older, newest = slots
    if job.late_after_s is not None:
        turn.scheduler.late = turn.scheduler.late.set(job.name, newest)
    if trigger is Trigger.CATCH_UP and not _may_be_caught_up(turn, job, newest):
        _record_missed(turn, job, slots, Reason.AWAY, away)
        turn.open_incident(job.name, MISSED, _missed_cause(slots, away))
        return
    run = open_slot(turn, job, newest, trigger)
    # If the newest is skipped for overlap, the run that blocked it covers the others.
    covering = run.blocked_by or run.id
    _record_missed(turn, job, older, Reason.COVERED, f"{away}; covered by run {covering}")


def _may_be_caught_up(turn: Turn, job: Job, slot: datetime) -> bool:
    if job.catch_up is not CatchUp.LATEST:
        return False
    calendar = schedule.calendar(job.cron, job.timezone)
    return turn.now - slot <= catch_up_window(job, calendar, slot)


def _record_missed(
    turn: Turn, job: Job, slots: list[datetime], reason: Reason, cause: str
) -> None:
    for slot in slots:
        turn.record_skipped_or_missed(job, slot, Trigger.SCHEDULE, State.MISSED, reason, cause)


def _open_gap(
    turn: Turn, job: Job, calendar: Calendar, since: datetime, slots: list[datetime], away: str
) -> None:
    """Record one row for all slots older than the newest ROWS + 1."""
    until = slots[0] - timedelta(microseconds=1)
    count = calendar.count(since, until)
    if count:
        turn.actions.append(Record(MissedRange(job.name, since, until, count, away)))


def _missed_cause(slots: list[datetime], away: str) -> str:
    if len(slots) == 1:
        return f"the slot of {format_instant(slots[0])} was missed: {away}"
    return (
        f"slots from {format_instant(slots[0])} to {format_instant(slots[-1])} were missed: {away}"
    )
