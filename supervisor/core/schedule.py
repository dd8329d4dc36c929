"""Schedules: cron expressions and a time zone -> slots.

Pure: no clock is read, every instant is an argument. Slots are aware UTC
datetimes on full minutes; intervals are (since, until]. A list of expressions is the
union of their slots. Daylight saving is left to cronsim, which follows Debian's cron:
a fixed time in the skipped hour runs right after it, one in the repeated hour runs
once, at its first occurrence. An expression whose minute or hour begins with `*`
keeps its interval; near a clock change its slots are searched minute by minute.
`dst.py` describes the effect of a clock change in words. Enter at `calendar`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from supervisor.core import cron_text

# Calendars fail at both ends of the datetime range, and before the last change of a zone
# at midnight.
YEARS = range(2012, 9000)
# The zones below it count leap seconds, as no clock of a Linux machine does.
LEAP_ZONES = "right/"

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

# cronsim's error text -> (position of the field, its name, what it may hold)
_FIELDS = {
    "Bad minute": (0, "minute", "0-59"),
    "Bad hour": (1, "hour", "0-23"),
    "Bad day-of-month": (2, "day of month", "1-31 or L (and a day that its month has)"),
    "Bad month": (3, "month", "1-12 or jan-dec"),
    "Bad day-of-week": (4, "day of week", "0-7 or sun-sat, fri#2, 5L"),
}

# Cached answers per calendar. Jobs that share one ask for the same few instants in turn.
CACHE_SIZE = 6
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# CronSim needs an instant to parse an expression; any would do.
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


class CronError(ValueError):
    """Unusable cron expression or time zone; the message names the value."""


class Calendar:
    """Slots of a union of cron expressions in one time zone.

    fixed_after: fixed times have slots only after this instant (the clock was put back);
    interval-like expressions keep all of theirs.

    Raises:
        CronError: an expression or zone cannot be read, or an expression never fires.
    """

    def __init__(
        self,
        expressions: tuple[str, ...],
        timezone: str,
        fixed_after: datetime | None = None,
    ) -> None:
        self.expressions = expressions
        self._fixed_after = fixed_after
        self.zone = zone(timezone)
        self._answers: dict[datetime, datetime | None] = {}
        self._minutes_of_day: dict[tuple[bool, ...], int] = {}
        # cronsim does not see that a ZoneInfo is UTC; with this it converts nothing.
        self._where: tzinfo = UTC if self.zone.key == "UTC" else self.zone
        self._sims = [_parse(expression, self._where) for expression in expressions]
        for expression, sim in zip(expressions, self._sims, strict=True):
            if self._next(sim, _ANY) is None:
                raise CronError(f'cron "{expression}" never fires')
        # The instant after which the slots of each expression begin; None: no limit.
        self._begins = [
            None if is_interval_like(expression) else fixed_after for expression in expressions
        ]

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first slot strictly after `instant`; None: there is none."""
        if instant in self._answers:
            return self._answers[instant]
        found = [
            self._next(sim, instant if begin is None else max(instant, begin))
            for sim, begin in zip(self._sims, self._begins, strict=True)
        ]
        slot = min((slot for slot in found if slot is not None), default=None)
        # Made anew, not changed: the calendar is shared with other threads.
        few = self._answers if len(self._answers) < CACHE_SIZE else {}
        self._answers = {**few, instant: slot}
        return slot

    def slots_after(self, since: datetime) -> Iterator[datetime]:
        """Yield all slots strictly after `since`, in order, each once."""
        slot = self.next_after(since)
        while slot is not None:
            yield slot
            slot = self.next_after(slot)

    def slots(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Return an iterator over the slots in (since, until], in order."""
        return takewhile(lambda slot: slot <= until, self.slots_after(since))

    def newest(self, most: int, since: datetime, until: datetime) -> list[datetime]:
        """Return at most the `most` newest slots in (since, until], in order."""
        step = timedelta(hours=2)
        start = until
        while start > since:
            start = max(since, start - step)
            found = list(self.slots(start, until))
            if len(found) >= most:
                return found[-most:]
            step *= 4
        return list(self.slots(since, until))

    def count(self, since: datetime, until: datetime) -> int:
        """Return the number of slots in (since, until]; count by whole days where possible."""
        middle = until if self._fixed_after is None else min(self._fixed_after, until)
        if self._fixed_after is not None and since < middle:
            return sum(1 for _ in self.slots(since, middle)) + self.count(middle, until)
        first = _next_midnight(since, self.zone)
        last = _midnight(until, self.zone)
        if first >= last:
            return sum(1 for _ in self.slots(since, until))
        # A slot at midnight belongs to the day that begins, but intervals are (since, until].
        instant = timedelta(microseconds=1)
        total = sum(1 for _ in self.slots(since, first - instant))
        day = first
        while day < last:
            following = _next_midnight(day, self.zone)
            total += self._count_day(day, following, instant)
            day = following
        return total + sum(1 for _ in self.slots(last - instant, until))

    def _count_day(self, day: datetime, following: datetime, instant: timedelta) -> int:
        # A clock change may move a slot into the next day.
        before = (day - timedelta(days=1)).astimezone(self.zone).utcoffset()
        if before != following.astimezone(self.zone).utcoffset():
            return sum(1 for _ in self.slots(day - instant, following - instant))
        date = day.astimezone(self.zone).date()
        key = tuple(sim.match_day(date) and date.month in sim.months for sim in self._sims)
        if key not in self._minutes_of_day:
            self._minutes_of_day[key] = len(
                {
                    (hour, minute)
                    for sim, matches in zip(self._sims, key, strict=True)
                    if matches
                    for hour in sim.hours
                    for minute in sim.minutes
                }
            )
        return self._minutes_of_day[key]

    def _next(self, sim: CronSim, instant: datetime) -> datetime | None:
        if sim.fixup_tz is not None or self._where is UTC:
            return self._next_by_cronsim(sim, instant)
        return self._next_in_rhythm(sim, instant)

    def _next_in_rhythm(self, sim: CronSim, instant: datetime) -> datetime | None:
        """Return the next slot of an interval-like expression.

        cronsim searches the local time without its zone: with it, it steps by whole hours also
        over a change of half an hour, and may go back to a repeated hour for ever. Days with
        a clock change, also one within the hour before, are searched by minute.
        """
        day, one_day = instant, timedelta(days=1)
        while True:
            if self._offset(day - HOUR) != self._offset(day + one_day):
                if found := self._scan_minutes(sim, day, day + one_day):
                    return found
                day += one_day
                continue
            local = day.astimezone(self.zone).replace(tzinfo=None)
            wall = next(_restarted_at(sim, local), None)
            if wall is None or wall - local <= one_day:
                return wall and day + (wall - local)
            # No local time before it matches. Two days, since a zone may skip a whole one.
            near = (wall - 2 * one_day).replace(tzinfo=self.zone).astimezone(UTC)
            day = max(day + one_day, near)

    def _offset(self, instant: datetime) -> timedelta | None:
        return instant.astimezone(self.zone).utcoffset()

    def _scan_minutes(self, sim: CronSim, since: datetime, until: datetime) -> datetime | None:
        """Return the first minute in (since, until] whose local time matches the expression."""
        minute = since.replace(second=0, microsecond=0)
        while minute < until:
            minute += MINUTE
            wall = minute.astimezone(self.zone)
            is_time = wall.minute in sim.minutes and wall.hour in sim.hours
            if is_time and wall.month in sim.months and sim.match_day(wall.date()):
                return minute
        return None

    def _next_by_cronsim(self, sim: CronSim, instant: datetime) -> datetime | None:
        begin = instant.astimezone(self._where)
        for local in _restarted_at(sim, begin.replace(tzinfo=None) if sim.fixup_tz else begin):
            slot: datetime = local.astimezone(UTC)
            # A fixed time in the repeated hour means its first occurrence, which
            # lies before an instant in the second one.
            if slot > instant:
                return slot
        return None


def calendar(
    expressions: tuple[str, ...], timezone: str, fixed_after: datetime | None = None
) -> Calendar:
    """Return the (shared) calendar of these expressions. Raises: CronError."""
    return _calendar(expressions, timezone, fixed_after)


def zone(name: str) -> ZoneInfo:
    """Return the zone with this IANA name. Raises: CronError."""
    if name.startswith(LEAP_ZONES):
        plain = name.removeprefix(LEAP_ZONES)
        raise CronError(f"{name} counts leap seconds, which shift its slots: write {plain}")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise CronError(
            f'unknown time zone "{name}": expected an IANA name such as Europe/Berlin'
        ) from error


def is_interval_like(expression: str) -> bool:
    """Return whether minute or hour begin with `*`: such jobs keep their interval."""
    minute, hour, *_ = fields(expression)
    return minute.startswith("*") or hour.startswith("*")


def explain(expression: str) -> str:
    """Return one expression in English: `At 02:00 every day`. Raises: CronError."""
    parts = cron_text.spelt_out(cron_text.normal(fields(expression)))
    return str(_parse(" ".join(parts), UTC).explain())


def uneven_steps(expression: str) -> list[str]:
    """Return a sentence for each step that does not divide its field. Raises: CronError."""
    return cron_text.uneven_steps(fields(expression))


def at_minute(instant: datetime) -> int:
    """Return the full minutes since 1970, as in the keys of `jobs_by_minute`."""
    return int(instant.timestamp()) // 60


@lru_cache(maxsize=4096)
def _calendar(
    expressions: tuple[str, ...], timezone: str, fixed_after: datetime | None
) -> Calendar:
    return Calendar(expressions, timezone, fixed_after)


def fields(expression: str) -> list[str]:
    """Return the five fields of an expression or @macro. Raises: CronError."""
    found = MACROS.get(expression.strip().lower(), expression).split()
    if len(found) != 5:
        raise CronError(
            f'cron "{expression}": expected 5 fields '
            f"(minute hour day month weekday) or @hourly ... @yearly, got {len(found)}"
        )
    return found


def _parse(expression: str, where: tzinfo) -> CronSim:
    parts = fields(expression)
    for (place, *_), part in zip(_FIELDS.values(), parts, strict=True):
        # cronsim compares in upper case, which makes an S of the long s (U+017F).
        if not part.isascii():
            raise CronError(_refusal(expression, place))
    try:
        return CronSim(" ".join(cron_text.normal(parts)), _ANY.astimezone(where))
    except CronSimError as error:
        place = _FIELDS[str(error)][0] if str(error) in _FIELDS else 0
        raise CronError(_refusal(expression, place)) from error
    except (ValueError, AssertionError, RecursionError) as error:
        raise CronError(f'cron "{expression}": cannot be read') from error


def _refusal(expression: str, place: int) -> str:
    """Return what is wrong with a field, and what to write instead if that is known."""
    _, name, expected = list(_FIELDS.values())[place]
    part = fields(expression)[place]
    advice = cron_text.advice(place, part)
    instead = f" ({advice})" if advice else ""
    return f'cron "{expression}": bad {name} "{part}": expected {expected}{instead}'


def _restarted_at(sim: CronSim, local: datetime) -> CronSim:
    """Return a copy of a parsed expression that starts after a local time.

    Parsing costs as much as ten steps, so an expression is parsed once.
    """
    begun: CronSim = object.__new__(CronSim)
    begun.__dict__.update(sim.__dict__)
    begun.dt = local.replace(microsecond=0)
    return begun


def _midnight(instant: datetime, where: ZoneInfo) -> datetime:
    """Return the beginning of the local day that contains `instant`, in UTC."""
    return datetime.combine(instant.astimezone(where).date(), time(), where).astimezone(UTC)


def _next_midnight(instant: datetime, where: ZoneInfo) -> datetime:
    tomorrow = instant.astimezone(where).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), where).astimezone(UTC)
