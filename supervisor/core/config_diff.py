"""Compares two versions of jobs.yaml, for the reply to a reload and for `check`.

Pure. `compare` takes two sets of job definitions, `at_next_start` two whole configs.
Applying a new config is the task of `reload.py`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from supervisor.core import schedule
from supervisor.core.config_model import Config, Job
from supervisor.core.model import JobChange, ReloadEntry, replace

# Dropped slots listed for each job; a job that runs every minute has 1440 a day.
MOST_DROPPED = 20
# Changed jobs kept with a row of `reloads`.
MOST_CHANGES = 50
# Fields that have other names in jobs.yaml; `_s` is left out of all.
_KEYS = {"argv": "command", "shell": "command", "shell_use": "shell", "params_json": "with"}
AT_NEXT_START = ("api", "metrics", "cluster")
_NO_KEYS = frozenset(("name", "place", "jobs", "secrets", "on_each"))


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
    return tuple(key for key in AT_NEXT_START if getattr(before, key) != getattr(after, key))


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


def changes(before: Config, after: Config) -> tuple[JobChange, ...]:
    """Return what differs between two configs: the file's keys, then jobs by their place."""
    old = {job.name: job for job in before.jobs}
    new = {job.name: job for job in after.jobs}
    found = [JobChange("", "changed", _changed_keys(before, after))]
    found += [JobChange(name, "added") for name in new if name not in old]
    found += [JobChange(name, "removed") for name in old if name not in new]
    found += [
        JobChange(name, "changed", _changed_keys(old[name], job))
        for name, job in new.items()
        if name in old and old[name] != job
    ]
    return tuple(each for each in found if each.what != "changed" or each.keys)


def change_words(entry: ReloadEntry) -> str:
    """Return `added a, b; removed c; changed d (cron, timeout)`; "" if nothing is known."""
    said = []
    for what in ("added", "removed", "changed"):
        named = [_named(each) for each in entry.changes if each.what == what]
        if named:
            said.append(f"{what} {', '.join(named)}")
    if entry.changes_left_out:
        said.append(f"and {entry.changes_left_out} more")
    return "; ".join(said)


def _named(change: JobChange) -> str:
    keys = ", ".join(change.keys)
    if not change.job:
        return f"{keys} of the file"
    return f"{change.job} ({keys})" if keys else change.job


def _changed_keys(before: Struct, after: Struct) -> tuple[str, ...]:
    """Return the keys of jobs.yaml whose values differ."""
    names = [
        _KEYS.get(name, name.removesuffix("_s"))
        for name in after.__struct_fields__
        if name not in _NO_KEYS and getattr(before, name) != getattr(after, name)
    ]
    return tuple(dict.fromkeys(names))


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
