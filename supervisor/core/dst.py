"""Predicts how changes of the zone's offset (daylight saving) affect a job's slots.

Pure. Enter by `describe` for sentences, `slot_changes` for values.
A fixed time in the skipped hour moves to the end of that hour. An interval within
certain hours loses the slots of the skipped hour and runs twice in the repeated hour.
An interval over all hours is not affected by a change of whole hours. If the clock
moves by half an hour, this holds only for intervals that also recur each half hour.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

from supervisor.core import schedule
from supervisor.core.config_model import Job

DAYS = 400
_HOUR = timedelta(hours=1)


class SlotChangeKind(StrEnum):
    """Effect of an offset change on a slot."""

    MOVED = "moved"
    DROPPED = "dropped"
    DOUBLED = "doubled"


class OffsetChange(Struct, frozen=True):
    """An offset change: local times [since, until) are skipped (is_gap) or repeated.

    since, until: local, without a zone. at: the instant of the change.
    """

    at: datetime
    since: datetime
    until: datetime
    is_gap: bool


class SlotChange(Struct, frozen=True):
    """Effect on one slot. local: local time without a zone. runs_at: set only for MOVED."""

    local: datetime
    fate: SlotChangeKind
    runs_at: datetime | None


def offset_changes(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[OffsetChange]:
    """Return the offset changes of a zone in (since, until]."""
    step = timedelta(days=1)
    before = since
    while before < until:
        after = before + step
        if _offset(zone, before) != _offset(zone, after):
            yield _change(zone, before, after)
        before = after


def slot_changes(job: Job, since: datetime, until: datetime) -> list[SlotChange]:
    """Return the slots of a job that offset changes in (since, until] affect."""
    if not job.cron:
        return []
    zone = schedule.zone(job.timezone)
    return [
        move
        for change in offset_changes(zone, since, until)
        for expression in job.cron
        for move in _slot_changes(expression, change, zone)
    ]


def describe(job: Job, now: datetime, days: int = DAYS) -> list[str]:
    """Return a sentence for each slot that will be moved, dropped or doubled."""
    said = []
    for move in slot_changes(job, now, now + timedelta(days=days)):
        at = f"{move.local:%Y-%m-%d %H:%M}"
        match move.fate:
            case SlotChangeKind.MOVED:
                said.append(
                    f"{at} does not exist in {job.timezone}: it runs at {move.runs_at:%H:%M}"
                )
            case SlotChangeKind.DROPPED:
                said.append(f"{at} does not exist in {job.timezone}: it is dropped")
            case SlotChangeKind.DOUBLED:
                said.append(f"{at} comes twice in {job.timezone}: it runs twice")
    return list(dict.fromkeys(said))


def _slot_changes(expression: str, change: OffsetChange, zone: ZoneInfo) -> Iterator[SlotChange]:
    _minute, hour, *_ = schedule.fields(expression)
    width = change.until - change.since
    if hour == "*" and not width % _HOUR:
        return  # a change of whole hours does not affect it
    is_fixed = not schedule.is_interval_like(expression)
    if is_fixed and not change.is_gap:
        return  # runs once, at the first occurrence of its local time
    instant = timedelta(microseconds=1)
    # UTC has no offset changes, so it can stand for plain local time.
    wall = schedule.calendar((expression,), "UTC")
    since, until = change.since.replace(tzinfo=UTC), change.until.replace(tzinfo=UTC)
    for slot in wall.slots(since - instant, until - instant):
        local = slot.replace(tzinfo=None)
        if hour == "*" and wall.next_after(slot + width - instant) == slot + width:
            continue  # another slot occurs at the same instant
        if is_fixed:
            yield SlotChange(local, SlotChangeKind.MOVED, change.at.astimezone(zone))
        else:
            yield SlotChange(
                local, SlotChangeKind.DROPPED if change.is_gap else SlotChangeKind.DOUBLED, None
            )


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> OffsetChange:
    """Return the only offset change between two instants, by bisection to the second."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    at = after.replace(microsecond=0)
    new = _offset(zone, after)
    was, becomes = (at + old).replace(tzinfo=None), (at + new).replace(tzinfo=None)
    return OffsetChange(at, min(was, becomes), max(was, becomes), is_gap=new > old)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
