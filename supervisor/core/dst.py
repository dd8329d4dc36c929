"""What daylight saving will do to a job's slots, in words, before it does it.

Pure. A fixed time in the skipped hour is moved to its end; what keeps its
rhythm but only in certain hours loses the slots of the skipped hour and doubles
those of the repeated one. What keeps its rhythm all day long is not named, but
where the clock moves by half an hour that is only what comes each half hour too.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

from supervisor.core import schedule
from supervisor.core.model import Job

DAYS = 400
_HOUR = timedelta(hours=1)


class SlotChangeKind(StrEnum):
    """What becomes of a slot in a night of change."""

    MOVED = "moved"
    DROPPED = "dropped"
    DOUBLED = "doubled"


class OffsetChange(Struct, frozen=True):
    """A change of the clock: local times [since, until) are skipped, or repeated.

    since, until: local, without a zone. at: the instant of the change.
    """

    at: datetime
    since: datetime
    until: datetime
    is_gap: bool


class SlotChange(Struct, frozen=True):
    """One slot's fate; local: the time on the wall, without a zone."""

    local: datetime
    fate: SlotChangeKind
    runs_at: datetime | None


def offset_changes(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[OffsetChange]:
    """The changes of a zone's clock in (since, until]."""
    step = timedelta(days=1)
    before = since
    while before < until:
        after = before + step
        if _offset(zone, before) != _offset(zone, after):
            yield _change(zone, before, after)
        before = after


def slot_changes(job: Job, since: datetime, until: datetime) -> list[SlotChange]:
    """What the changes of the clock in (since, until] do to the job's slots."""
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
    """One sentence a slot that will be moved, dropped or doubled."""
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
        return  # keeps its rhythm through both nights
    is_fixed = not schedule.is_interval_like(expression)
    if is_fixed and not change.is_gap:
        return  # once, at its first occurrence
    instant = timedelta(microseconds=1)
    # The wall's own time, read as if it were UTC, knows no change of the clock.
    wall = schedule.calendar((expression,), "UTC")
    since, until = change.since.replace(tzinfo=UTC), change.until.replace(tzinfo=UTC)
    for slot in wall.slots(since - instant, until - instant):
        local = slot.replace(tzinfo=None)
        if hour == "*" and wall.next_after(slot + width - instant) == slot + width:
            continue  # another slot of the hour comes at the very instant
        if is_fixed:
            yield SlotChange(local, SlotChangeKind.MOVED, change.at.astimezone(zone))
        else:
            yield SlotChange(
                local, SlotChangeKind.DROPPED if change.is_gap else SlotChangeKind.DOUBLED, None
            )


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> OffsetChange:
    """The one change between two instants, found by halving."""
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
