"""Passing time: expire timers, then handle the slots of every minute since the last tick.

Nothing polls: a turn comes at each full minute and at the instants that
`decide.next_wakeup` returns. Clocks that were put back are handled here, too.
Enter at `time_passed`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from supervisor.core import assigned, attempts, heartbeats, incidents, schedule, shutdown, summary
from supervisor.core.config_model import Job, Severity
from supervisor.core.slots import check_late, format_instant, open_due
from supervisor.core.state import SchedulerState, ServicePhase
from supervisor.core.turn import Turn
from workers.units import format_duration

# A smaller step back is an ordinary clock correction: at most one minute comes twice,
# and its slots are not repeated.
BACK_STEP = timedelta(minutes=1)
# Slots opened in one turn. The rest of a minute's follows in the next turns, with launches
# and requests in between: ten thousand in one turn would take a second.
CHUNK = 16
# After a larger step back a user must decide which time is right.
CLOCK_STEP = timedelta(hours=1)


def check_clock(turn: Turn) -> None:
    """Compare this turn's wall clock with the latest reading; small steps back add up."""
    scheduler = turn.scheduler
    latest = scheduler.latest_wall or turn.now
    scheduler.latest_wall = max(latest, turn.now)
    if turn.now <= latest - BACK_STEP:
        scheduler.latest_wall = turn.now
        _went_back(turn, max(latest, scheduler.silent_until or latest))
    elif scheduler.silent_until is not None and turn.now >= scheduler.silent_until:
        _caught_up(turn)


def begin(turn: Turn, lived_until: datetime | None) -> None:
    """Compare the clock at a start with the last tick and with the slots that are done.

    lived_until: the last tick of the previous service, if known.
    """
    scheduler = turn.scheduler
    done = _done_until(turn)
    if scheduler.silent_until is not None and turn.now >= scheduler.silent_until:
        scheduler.silent_until = None
    if lived_until is not None and turn.now <= lived_until - BACK_STEP:
        _went_back(turn, max(lived_until, scheduler.silent_until or lived_until))
    elif done > turn.now + CLOCK_STEP:
        _stay_silent(turn, done)
    elif scheduler.silent_until is None:
        _went_back(turn, done) if done > turn.now else _caught_up(turn)


def redefined(turn: Turn, job: Job) -> None:
    """Let interval-like expressions of a job with a new schedule go on, too.

    This applies only while `silent_until` is set, and only if the job's `seen_until` is
    at most CLOCK_STEP ahead.
    """
    mark = turn.scheduler.job_records[job.name]
    is_small = mark.seen_until <= turn.now + CLOCK_STEP
    if turn.scheduler.silent_until is not None and is_small:
        _repeat(turn, job)


def _went_back(turn: Turn, latest: datetime) -> None:
    """Handle a clock that shows an earlier time than `latest`, which it showed before."""
    done = _done_until(turn)
    if done > turn.now + CLOCK_STEP:
        _stay_silent(turn, done)
    elif latest - turn.now <= CLOCK_STEP:
        _go_on(turn, latest)
    elif done > turn.now:
        _go_on(turn, done)
    else:
        _caught_up(turn)


def _stay_silent(turn: Turn, until: datetime) -> None:
    turn.scheduler.silent_until = until
    turn.open_incident(
        "",
        incidents.CLOCK,
        f"the clock went back: slots up to {format_instant(until)} count as done, and jobs "
        "stay silent until then (nightshift resume --from-now ends that)",
    )


def _go_on(turn: Turn, until: datetime) -> None:
    """Let interval-like expressions go on by the new time.

    Fixed times that have passed already wait for their next slot.
    """
    turn.scheduler.silent_until = until
    for job in turn.scheduler.jobs.values():
        _repeat(turn, job)
    length = format_duration(round((until - turn.now).total_seconds()))
    turn.open_incident(
        "",
        incidents.CLOCK,
        f"the clock was put back by {length}: until {format_instant(until)} fixed times that have "
        "passed already are not repeated; jobs whose minute or hour begins with * go on",
        severity=Severity.WARNING,
    )


def _repeat(turn: Turn, job: Job) -> None:
    mark = turn.scheduler.job_records.get(job.name)
    if not job.cron or mark is None or mark.seen_until <= turn.now:
        return
    like_intervals = [schedule.is_interval_like(expression) for expression in job.cron]
    if all(like_intervals):
        turn.rewind_seen_until(job)
    elif any(like_intervals):
        done = max(mark.seen_until, mark.fixed_until or mark.seen_until)
        turn.rewind_seen_until(job, fixed_until=done)


def _caught_up(turn: Turn) -> None:
    turn.scheduler.silent_until = None
    turn.close_incidents("", incidents.CLOCK)


def _done_until(turn: Turn) -> datetime:
    """Return up to when slots count as done, at the latest; now, if no job has slots."""
    jobs = turn.scheduler.jobs
    ahead = [
        max(mark.seen_until, mark.fixed_until or mark.seen_until)
        for mark in turn.scheduler.job_records.values()
        if mark.job in jobs and jobs[mark.job].cron
    ]
    return max(ahead, default=turn.now)


def time_passed(turn: Turn) -> None:
    """Expire timers, then handle the slots of every minute since the last tick."""
    attempts.expire(turn)
    assigned.check_fence(turn)
    attempts.start_due_retries(turn)
    shutdown.stop_if_idle(turn)
    if turn.scheduler.life is ServicePhase.SERVING and turn.scheduler.has_calendar:
        _tick(turn)
    turn.may_admit = True


def _tick(turn: Turn) -> None:
    scheduler = turn.scheduler
    check_clock(turn)
    since = schedule.at_minute(scheduler.last_tick or turn.now)
    until = schedule.at_minute(turn.now)
    if until == since:
        scheduler.unopened = ()  # the clock was put back
        check_late(turn)
        return
    due = scheduler.unopened or _due_jobs(scheduler, since, until)
    if due:
        # Only slots of one minute: those of several would not be opened in their order.
        size = CHUNK if len(_due_minutes(scheduler, since, until)) == 1 else len(due)
        _open(turn, due[:size], until)
        # A reload may have put another job into this minute meanwhile.
        scheduler.unopened = due[size:] or _due_jobs(scheduler, since, until)
        if scheduler.unopened:
            scheduler.opening_at = turn.at.mono
            return
    summary.queue_due(turn, scheduler.last_tick)
    turn.ticked()
    check_late(turn)
    turn.settle()
    turn.remind()
    turn.actions.extend(heartbeats.on_tick(scheduler.config.heartbeat))


def open_rest(turn: Turn) -> None:
    """Open all slots that are due, before a change after which they would not be due."""
    rest, turn.scheduler.unopened = turn.scheduler.unopened, ()
    _open(turn, rest, schedule.at_minute(turn.now))


def _open(turn: Turn, names: Iterable[str], until: int) -> None:
    """Open the due slots of these jobs, unless a reload has rescheduled them."""
    scheduler = turn.scheduler
    for job in turn.pop_due(names, until):
        mark = scheduler.job_records.get(job.name)
        seen = mark.seen_until if mark is not None else turn.now - timedelta(minutes=1)
        # Slots of a newer jobs.yaml before the last tick were never due.
        unsettled = seen if scheduler.last_tick is None else max(seen, scheduler.last_tick)
        open_due(
            turn, job, unsettled, "the supervisor was not running or the clock was put forward"
        )
        turn.schedule_next(job, turn.now)


def _due_jobs(scheduler: SchedulerState, since: int, until: int) -> tuple[str, ...]:
    """Return the jobs that have slots up to `until`, in the order of the file."""
    minutes = _due_minutes(scheduler, since, until)
    names = [name for minute in minutes for name in scheduler.jobs_by_minute[minute]]
    return tuple(sorted(names, key=lambda name: scheduler.jobs[name].place))


def _due_minutes(scheduler: SchedulerState, since: int, until: int) -> list[int]:
    """Return the minutes up to `until` that have slots, in order."""
    if 0 <= until - since <= len(scheduler.jobs_by_minute):
        return [
            minute for minute in range(since + 1, until + 1) if minute in scheduler.jobs_by_minute
        ]
    return sorted(minute for minute in scheduler.jobs_by_minute if minute <= until)
