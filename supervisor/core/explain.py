"""Explains why a job ran, waits, was skipped or was missed, one fact a sentence.

Pure. The facts come from recorded rows; the scheduling rules are not evaluated again.
Enter by `run` or, without a supervisor, `recorded_run`; by `no_run` if there is none.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from supervisor.core import schedule
from supervisor.core.config_model import Job
from supervisor.core.model import Attempt, MissedRange, Run, State, Trigger
from workers.units import format_count, format_duration

_OPENINGS = {
    Trigger.SCHEDULE: "was due by its calendar at {due}",
    Trigger.CATCH_UP: "was due at {due}, while no supervisor could run it, and was caught up",
    Trigger.MANUAL: "was asked for at {due}",
    Trigger.ASSIGNED: "was assigned to this host by its cluster; it was due at {due}",
    Trigger.STARTUP: "was opened by the start of the service at {due}",
}

_NO_ROW = (
    "Its calendar as it is now has a slot then, but the ledger has no row of it: the job was new, "
    "or had another calendar, or its history was purged."
)


def no_run(
    job: Job, at: datetime | None, gap: MissedRange | None, zone: tzinfo, now: datetime
) -> list[str]:
    """Return sentences about a job without a run, at an instant (None: at all).

    gap: the missed slots that contain the instant.
    """
    if at is None:
        return [f"{job.name} has not run yet."]
    return in_gap(gap, zone) if gap is not None else no_slot(job, at, zone, now)


def outlook(job: Job, following: datetime | None, paused: str, zone: tzinfo) -> list[str]:
    """Return a sentence about the job's next slot, or about why it has none.

    following: the next slot that would run. paused: who paused the job and until when, or "".
    """
    if not job.enabled:
        return [f"{job.name} is disabled (enabled: false): no slot of it runs."]
    if not job.cron:
        return [f"{job.name} has no cron: it runs by request only."]
    said = [f"It is {paused}."] if paused else []
    if following is not None:
        said.append(f"Its next slot is {_at(following, zone)}.")
    return said


def unknown_slot(job: str, at: datetime, zone: tzinfo) -> str:
    """Return a sentence about an instant for which the ledger has no row."""
    return f"{_at(at, zone)} is no slot of {job} that this ledger knows."


def no_slot(job: Job, at: datetime, zone: tzinfo, now: datetime) -> list[str]:
    """Return sentences about an instant for which the ledger has no row."""
    if not job.cron:
        return [unknown_slot(job.name, at, zone), *outlook(job, None, "", zone)]
    said = [f"{_at(at, zone)} has not come yet." if at > now else unknown_slot(job.name, at, zone)]
    calendar = schedule.calendar(job.cron, job.timezone)
    before = calendar.newest(1, at.replace(year=at.year - 1, day=1), at)
    after = calendar.next_after(at)
    if before and before[-1] == at:
        said.append(f"{job.name} has a slot then." if at > now else _NO_ROW)
    elif before:
        said.append(f"Its slot before that is {_at(before[-1], zone)}.")
    if after is not None:
        said.append(f"Its slot after that is {_at(after, zone)}.")
    return said if job.enabled or at <= now else [*said, *outlook(job, None, "", zone)]


def in_gap(gap: MissedRange, zone: tzinfo) -> list[str]:
    """Return sentences about a missed slot that shares one row with others."""
    return [
        f"{gap.job} had {format_count(gap.count, 'slot')} from {_at(gap.since, zone)} to "
        f"{_at(gap.until, zone)} that {'was' if gap.count == 1 else 'were'} missed.",
        f"The reason: {gap.cause}.",
    ]


def run(found: Run, attempts: Sequence[Attempt], waits: str, zone: tzinfo) -> list[str]:
    """Return sentences about one run. waits: what an open run waits for now, or ""."""
    now = _open(found, waits, zone) if found.state.is_open else _final(found, zone)
    return [*_course(found, attempts, zone), now]


def recorded_run(found: Run, attempts: Sequence[Attempt], zone: tzinfo) -> list[str]:
    """Return sentences about one run of which only the ledger knows."""
    last = f"It was {found.state} when the ledger was last written."
    return [*_course(found, attempts, zone), last if found.state.is_open else _final(found, zone)]


def _course(found: Run, attempts: Sequence[Attempt], zone: tzinfo) -> list[str]:
    opening = _OPENINGS[found.trigger].format(due=_at(found.due, zone))
    on_host = f", to run on host {found.on_host}" if found.on_host else ""
    said = [f"Run {found.id} of {found.job} {opening}{on_host}."]
    if found.started_at is not None:
        waited_s = (
            found.started_at - max(found.due, found.opened_at or found.due)
        ).total_seconds()
        if waited_s >= 1:
            said.append(f"It waited {format_duration(waited_s)} before it began.")
    said += [_attempt(attempt, zone) for attempt in attempts]
    said += [f"It left behind {stray}, which was killed." for stray in found.strays[:5]]
    return said


def _attempt(attempt: Attempt, zone: tzinfo) -> str:
    begun = f"Attempt {attempt.number} began at {_at(attempt.started_at, zone)}"
    pid = f" as pid {attempt.pid}" if attempt.pid else ""
    if attempt.ended_at is None:
        return f"{begun}{pid} and has not ended."
    lasted = format_duration((attempt.ended_at - attempt.started_at).total_seconds())
    how = f": {attempt.cause}" if attempt.cause else ""
    return f"{begun}{pid} and ended after {lasted}{how}."


def _open(found: Run, waits: str, zone: tzinfo) -> str:
    if found.state is State.RUNNING:
        return f"It {waits}." if waits else "It is running."
    if found.state is State.RETRYING and found.next_attempt_at is not None:
        return f"Its next attempt is at {_at(found.next_attempt_at, zone)}."
    return f"It is pending: {found.cause or waits or 'it is about to begin'}."


def _final(found: Run, zone: tzinfo) -> str:
    words = {
        State.SUCCESS: "It succeeded",
        State.FAILED: "It failed",
        State.SKIPPED: "It was skipped",
        State.MISSED: "It was missed",
        State.CANCELLED: "It was cancelled",
        State.INTERRUPTED: "It was interrupted",
    }
    at = f" at {_at(found.ended_at, zone)}" if found.ended_at else ""
    return (
        f"{words[found.state]}{at}: {found.cause}."
        if found.cause
        else f"{words[found.state]}{at}."
    )


def _at(instant: datetime, zone: tzinfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
