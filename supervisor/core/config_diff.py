"""Compares two versions of jobs.yaml, for the reply to a reload and for `check`.

Pure. `compare` takes two sets of job definitions, `at_next_start` two whole configs.
Applying a new config is the task of `reload.py`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from supervisor.core import schedule
from supervisor.core.config_model import Config, Job
from supervisor.core.model import replace

# Dropped slots listed for each job; a job that runs every minute has 1440 a day.
MOST_DROPPED = 20


class Rescheduled(Struct, frozen=True):
    """A job whose calendar changed, with its next slot before and after the change."""

    job: str
    before: datetime | None = None
    after: datetime | None = None


class DroppedSlot(Struct, frozen=True):
    """A slot of today that no longer occurs."""

    job: str
    slot: datetime


class Changes(Struct, frozen=True):
    """The effects of a new jobs.yaml: reply to `POST /v1/reload`, also shown by `check`.

    at_next_start: changed top-level keys that take effect only at the next start.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    rescheduled: tuple[Rescheduled, ...] = ()
    changed: tuple[str, ...] = ()
    dropped_slots: tuple[DroppedSlot, ...] = ()
    at_next_start: tuple[str, ...] = ()


def at_next_start(before: Config, after: Config) -> tuple[str, ...]:
    """Return the changed keys that configure sockets, which are opened only at the start."""
    pairs = {
        "api": (before.api, after.api),
        "metrics": (before.metrics, after.metrics),
        "cluster": (before.cluster, after.cluster),
    }
    return tuple(key for key, (old, new) in pairs.items() if old != new)


def compare(before: Mapping[str, Job], after: Mapping[str, Job], now: datetime) -> Changes:
    """Return the changes from `before` to `after`, with next and dropped slots as of `now`."""
    kept = [name for name in after if name in before]
    moved = [name for name in kept if _calendar(before[name]) != _calendar(after[name])]
    return Changes(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        rescheduled=tuple(
            Rescheduled(name, _next(before[name], now), _next(after[name], now)) for name in moved
        ),
        changed=tuple(name for name in kept if _rest(before[name]) != _rest(after[name])),
        dropped_slots=tuple(
            DroppedSlot(name, slot)
            for name in before
            if name in moved or name not in after
            for slot in _dropped(before[name], after.get(name), now)
        ),
    )


def _calendar(job: Job) -> tuple[tuple[str, ...], str, bool]:
    return job.cron, job.timezone, job.enabled


def _rest(job: Job) -> Job:
    return replace(job, place=0, cron=(), timezone="UTC", enabled=True)


def _next(job: Job, now: datetime) -> datetime | None:
    if not job.cron or not job.enabled:
        return None
    return schedule.calendar(job.cron, job.timezone).next_after(now)


def _today(job: Job | None, now: datetime) -> list[datetime]:
    if job is None or not job.cron or not job.enabled:
        return []
    calendar = schedule.calendar(job.cron, job.timezone)
    local = now.astimezone(calendar.zone)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    slots = calendar.slots(now, midnight - timedelta(microseconds=1))
    return [slot for slot, _ in zip(slots, range(1440), strict=False)]


def _dropped(before: Job, after: Job | None, now: datetime) -> list[datetime]:
    kept = set(_today(after, now))
    return [slot for slot in _today(before, now) if slot not in kept][:MOST_DROPPED]
