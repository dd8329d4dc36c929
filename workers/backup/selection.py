"""Find the copy meant by `latest` or by a time such as `Tue 08:00`.

Pure: the time and the time zone are arguments. Invariant: only a verified copy is chosen,
and the newest one taken at or before the requested time.
"""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from workers.backup.errors import BackupError
from workers.backup.listing import Backup, State, is_in_future

LATEST = "latest"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SAID = re.compile(r"(?:(?P<day>[a-z]{3,9})\s*)?(?P<clock>\d{1,2}:\d{2}(?::\d{2})?)?")
_YEARS = range(1970, 9999)
_LONGEST = 40
_EXPECTED = 'expected "latest", "Tue 08:00", "yesterday 08:00", "08:00" or "2026-02-09 08:00"'


class NoTimeError(BackupError):
    """A text that means no time."""


def choose(backups: Sequence[Backup], wanted: str, now: datetime, zone: str) -> Backup:
    """Return the newest verified copy, at or before the time `wanted` unless it is `latest`.

    Raises:
        BackupError: there is none, or `wanted` is not a time; the text says what exists.
    """
    proven = sorted(
        (one for one in backups if one.state is State.VERIFIED), key=lambda one: one.order
    )
    if not proven:
        raise BackupError(
            f"no verified copy among {len(backups)}; see: nightshift backups."
            " One that nothing proves: restore FILE --unproven, or gunzip -c FILE > TARGET"
        )
    # Otherwise a copy made with a wrong clock would be the latest for years.
    present = [one for one in proven if not is_in_future(one, now)] or proven
    if wanted == LATEST:
        return present[-1]
    limit = instant(wanted, now, zone)
    # The end of today is in the future; ignore copies dated between now and then. A
    # later day can only mean a copy with such a date.
    if limit.astimezone(ZoneInfo(zone)).date() == now.astimezone(ZoneInfo(zone)).date():
        proven = present
    older = [one for one in proven if one.taken_at <= limit]
    if not older:
        local, oldest = ZoneInfo(zone), min(one.taken_at for one in proven)
        raise BackupError(
            f"no verified copy at or before {limit.astimezone(local):%a %Y-%m-%d %H:%M:%S %Z};"
            f" the oldest is of {oldest.astimezone(local):%a %Y-%m-%d %H:%M:%S %Z}"
        )
    return older[-1]


def of_database(backups: Sequence[Backup], database: Path | None) -> list[Backup]:
    """Return the copies of one database, or of the only one if none is given.

    Raises:
        BackupError: several databases have copies and none is given, or it has no copy.
    """
    sources = sorted({one.source for one in backups if one.source})
    if database is not None:
        path = os.path.abspath(database)
        if path not in sources:
            raise BackupError(
                f"no copy of {path}; there are copies of {', '.join(sources) or 'none'}"
            )
        return [one for one in backups if one.source == path]
    if len(sources) > 1:
        raise BackupError(f"the folder has copies of {', '.join(sources)}; say of which database")
    return list(backups)


def instant(text: str, now: datetime, zone: str) -> datetime:
    """Return the time (aware, UTC) that `text` means in `zone`.

    A weekday or a clock time is the last one before `now`; a date alone is its end.

    Raises:
        NoTimeError: it is not a time.
    """
    said = text.strip() if len(text) <= _LONGEST else ""
    dated = _dated(said, ZoneInfo(zone))
    if dated is not None:
        return dated
    found = _SAID.fullmatch(said.lower())
    if found is None or not said:
        raise NoTimeError(f'time "{text[:60]}": {_EXPECTED}')
    local = now.astimezone(ZoneInfo(zone))
    days = _days_back(found["day"], local, text)
    clock = _clock(found["clock"], text)
    meant = _at(local, days[0], clock)
    past = meant <= now or found["clock"] is None
    return (meant if past else _at(local, days[1], clock)).astimezone(UTC)


def _dated(said: str, zone: ZoneInfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return None
    # No copies exist of other years; near the limits a zone conversion overflows.
    if found.year not in _YEARS:
        return None
    if re.fullmatch(r"[0-9-]+", said):
        found = datetime.combine(found, time.max)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _days_back(day: str | None, local: datetime, text: str) -> tuple[int, int]:
    """Return how many days ago, and how many if that time is still in the future."""
    match day:
        case None:
            return 0, 1
        case "today":
            return 0, 0
        case "yesterday":
            return 1, 1
    near = [number for number, name in enumerate(_DAYS) if name.startswith(day)]
    if len(near) != 1:
        raise NoTimeError(f'time "{text[:60]}": {_EXPECTED}')
    back = (local.weekday() - near[0]) % 7
    return back, back + 7


def _clock(said: str | None, text: str) -> time:
    if said is None:
        return time.max
    try:
        return time.fromisoformat(said.zfill(len(said) + (said.index(":") == 1)))
    except ValueError as error:
        raise NoTimeError(f'time "{text[:60]}": {_EXPECTED}') from error


def _at(local: datetime, days_back: int, clock: time) -> datetime:
    day = local.date() - timedelta(days=days_back)
    return datetime.combine(day, clock, tzinfo=local.tzinfo)
