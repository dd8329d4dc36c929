"""A clock that was put back: what is repeated, what is not, until when, and saying so.

As cron(8) does it. Put back by an hour or less: what is interval-like goes on by
the new time, fixed times are not repeated, and a warning says until when. Put back
by more: all that is done counts as done, and jobs stay silent until a person
says `resume --from-now`, or until the clock has come back to where it was.
"""

from datetime import datetime, timedelta

from supervisor.core import incident, schedule
from supervisor.core.model import Job, Severity
from supervisor.core.opening import words
from supervisor.core.turn import Turn
from workers.units import format_duration

# Less is the usual correction of a clock: no more than one minute comes twice then,
# and it is not repeated.
BACK_STEP = timedelta(minutes=1)
# Above that it is for a person to say what is right.
CLOCK_STEP = timedelta(hours=1)


def read(turn: Turn) -> None:
    """Compare this turn's wall clock with the latest one seen; small steps back add up."""
    world = turn.world
    latest = world.latest_wall or turn.now
    world.latest_wall = max(latest, turn.now)
    if turn.now <= latest - BACK_STEP:
        world.latest_wall = turn.now
        _went_back(turn, max(latest, world.silent_until or latest))
    elif world.silent_until is not None and turn.now >= world.silent_until:
        _caught_up(turn)


def begin(turn: Turn, lived_until: datetime | None) -> None:
    """At a start: compare the clock with the last tick, and with the slots that are done.

    lived_until: the last tick of the service before this one, where it is known.
    """
    world = turn.world
    done = _done_until(turn)
    if world.silent_until is not None and turn.now >= world.silent_until:
        world.silent_until = None
    if lived_until is not None and turn.now <= lived_until - BACK_STEP:
        _went_back(turn, max(lived_until, world.silent_until or lived_until))
    elif done > turn.now + CLOCK_STEP:
        _stay_silent(turn, done)
    elif world.silent_until is None:
        _went_back(turn, done) if done > turn.now else _caught_up(turn)


def redefined(turn: Turn, job: Job) -> None:
    """A job has another calendar: what is interval-like in it now goes on, too."""
    mark = turn.world.marks[job.name]
    is_small = mark.seen_until <= turn.now + CLOCK_STEP
    if turn.world.silent_until is not None and is_small:
        _repeat(turn, job)


def _went_back(turn: Turn, latest: datetime) -> None:
    """The clock shows an earlier time than `latest`, which it has shown before."""
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
    turn.world.silent_until = until
    turn.trouble(
        "",
        incident.CLOCK,
        f"the clock went back: slots up to {words(until)} count as done, and jobs "
        "stay silent until then (nightshift resume --from-now ends that)",
    )


def _go_on(turn: Turn, until: datetime) -> None:
    """What is interval-like goes on by the new time; fixed times wait for their next one."""
    turn.world.silent_until = until
    for job in turn.world.jobs.values():
        _repeat(turn, job)
    length = format_duration(round((until - turn.now).total_seconds()))
    turn.trouble(
        "",
        incident.CLOCK,
        f"the clock was put back by {length}: until {words(until)} fixed times that have "
        "passed already are not repeated; jobs whose minute or hour begins with * go on",
        severity=Severity.WARNING,
    )


def _repeat(turn: Turn, job: Job) -> None:
    mark = turn.world.marks.get(job.name)
    if not job.cron or mark is None or mark.seen_until <= turn.now:
        return
    like_intervals = [schedule.is_interval_like(expression) for expression in job.cron]
    if all(like_intervals):
        turn.lower_mark(job)
    elif any(like_intervals):
        done = max(mark.seen_until, mark.fixed_until or mark.seen_until)
        turn.lower_mark(job, fixed_until=done)


def _caught_up(turn: Turn) -> None:
    turn.world.silent_until = None
    turn.mend("", incident.CLOCK)


def _done_until(turn: Turn) -> datetime:
    """Up to when slots count as done, at the latest; now, if none lies ahead."""
    jobs = turn.world.jobs
    ahead = [
        max(mark.seen_until, mark.fixed_until or mark.seen_until)
        for mark in turn.world.marks.values()
        if mark.job in jobs and jobs[mark.job].cron
    ]
    return max(ahead, default=turn.now)
