"""The calendar: cron text and a zone -> slots.

Pure; no clock is read, every instant is an argument. Slots are aware UTC
datetimes on full minutes, intervals are (since, until]. Daylight saving is
decided by cronsim, which follows Debian's cron: a fixed time in the skipped
hour runs right after it, in the repeated hour once, at its first occurrence;
what begins with `*` in minute or hour keeps its rhythm, which near a change of the
clock is looked up minute by minute. A list of expressions is their union.
`moves.py` says in words what a night of change does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from supervisor.core import cron_text

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

# cronsim's word for a field -> (its place, what it may hold)
_FIELDS = {
    "Bad minute": (0, "minute", "0-59"),
    "Bad hour": (1, "hour", "0-23"),
    "Bad day-of-month": (2, "day of month", "1-31 or L (and a day that its month has)"),
    "Bad month": (3, "month", "1-12 or jan-dec"),
    "Bad day-of-week": (4, "day of week", "0-7 or sun-sat, fri#2, 5L"),
}

# Jobs that share a calendar ask it for the same few instants, one after another.
FEW = 6
MINUTE = timedelta(minutes=1)
# An instant to parse expressions at; any would do.
_ANY = datetime(2000, 1, 1, tzinfo=UTC)


class BadCron(ValueError):  # noqa: N818 - the word of the field
    """A cron expression or zone that cannot be used; the text names the value."""


class Calendar:
    """The slots of a union of cron expressions in one zone.

    fixed_after: fixed times have slots after this instant only (the clock was put
    back); what is interval-like has them all.

    Raises:
        BadCron: an expression or zone that cannot be read, or never fires.
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
        self._sims = [_parse(expression, self.zone) for expression in expressions]
        for expression, sim in zip(expressions, self._sims, strict=True):
            if self._next(sim, _ANY) is None:
                raise BadCron(f'cron "{expression}" never fires')
        # Where each of them begins, at the earliest.
        self._begins = [
            None if is_interval_like(expression) else fixed_after for expression in expressions
        ]

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after `instant`; None: there is none."""
        if instant in self._answers:
            return self._answers[instant]
        found = [
            self._next(sim, instant if begin is None else max(instant, begin))
            for sim, begin in zip(self._sims, self._begins, strict=True)
        ]
        slot = min((slot for slot in found if slot is not None), default=None)
        # A new dict, since the calendar is shared with other threads.
        few = self._answers if len(self._answers) < FEW else {}
        self._answers = {**few, instant: slot}
        return slot

    def slots_after(self, since: datetime) -> Iterator[datetime]:
        """All slots strictly after `since`, in order, each once."""
        slot = self.next_after(since)
        while slot is not None:
            yield slot
            slot = self.next_after(slot)

    def slots(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The slots in (since, until], in order."""
        return takewhile(lambda slot: slot <= until, self.slots_after(since))

    def newest(self, most: int, since: datetime, until: datetime) -> list[datetime]:
        """At most the `most` newest slots in (since, until], in order."""
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
        """How many slots lie in (since, until]: by whole days where it can be."""
        middle = until if self._fixed_after is None else min(self._fixed_after, until)
        if self._fixed_after is not None and since < middle:
            return sum(1 for _ in self.slots(since, middle)) + self.count(middle, until)
        first = _next_midnight(since, self.zone)
        last = _midnight(until, self.zone)
        if first >= last:
            return sum(1 for _ in self.slots(since, until))
        # A slot on midnight belongs to the day it begins: intervals are (since, until].
        instant = timedelta(microseconds=1)
        total = sum(1 for _ in self.slots(since, first - instant))
        day = first
        while day < last:
            following = _next_midnight(day, self.zone)
            total += self._count_day(day, following, instant)
            day = following
        return total + sum(1 for _ in self.slots(last - instant, until))

    def _count_day(self, day: datetime, following: datetime, instant: timedelta) -> int:
        # After a change of the clock a slot may have been moved into the next day.
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
        if sim.fixup_tz is not None or self.zone.key == "UTC":
            return self._leap(sim, instant)
        return self._next_in_rhythm(sim, instant)

    def _next_in_rhythm(self, sim: CronSim, instant: datetime) -> datetime | None:
        """The next slot of what is interval-like.

        cronsim leaps by whole hours, also over a change of half an hour, and to a
        midnight, also to one that was skipped: days of change are walked through.
        """
        slot = self._leap(sim, instant)
        day, one_day = instant, timedelta(days=1)
        while slot is not None and day < slot:
            if (
                day.astimezone(self.zone).utcoffset()
                == (day + one_day).astimezone(self.zone).utcoffset()
            ):
                day += one_day
                continue
            found = self._walk(sim, day, day + one_day)
            if found is not None:
                return found
            day += one_day
            slot = self._leap(sim, day)
        return slot

    def _walk(self, sim: CronSim, since: datetime, until: datetime) -> datetime | None:
        """The first minute in (since, until] that the wall shows as the expression has it."""
        minute = since.replace(second=0, microsecond=0)
        while minute < until:
            minute += MINUTE
            wall = minute.astimezone(self.zone)
            is_time = wall.minute in sim.minutes and wall.hour in sim.hours
            if is_time and wall.month in sim.months and sim.match_day(wall.date()):
                return minute
        return None

    def _leap(self, sim: CronSim, instant: datetime) -> datetime | None:
        begun = _begun_at(sim, instant, self.zone)
        for local in begun:
            slot: datetime = local.astimezone(UTC)
            # A fixed time in the repeated hour stands for its first occurrence,
            # which lies before an instant in the second one.
            if slot > instant:
                return slot
        return None


def calendar(
    expressions: tuple[str, ...], timezone: str, fixed_after: datetime | None = None
) -> Calendar:
    """The (shared) calendar of these expressions. Raises: BadCron."""
    return _calendar(expressions, timezone, fixed_after)


def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises: BadCron."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadCron(
            f'unknown time zone "{name}": expected an IANA name such as Europe/Berlin'
        ) from error


def is_interval_like(expression: str) -> bool:
    """Whether minute or hour begin with `*`: such jobs keep their rhythm."""
    minute, hour, *_ = fields(expression)
    return minute.startswith("*") or hour.startswith("*")


def explain(expression: str) -> str:
    """English words for one expression: `At 02:00 every day`. Raises: BadCron."""
    parts = cron_text.spelt_out(cron_text.normal(fields(expression)))
    return str(_parse(" ".join(parts), zone("UTC")).explain())


def uneven_steps(expression: str) -> list[str]:
    """A sentence for each step that does not divide its field. Raises: BadCron."""
    return cron_text.uneven_steps(fields(expression))


def at_minute(instant: datetime) -> int:
    """Full minutes since 1970: the key that agenda and tick share."""
    return int(instant.timestamp()) // 60


@lru_cache(maxsize=4096)
def _calendar(
    expressions: tuple[str, ...], timezone: str, fixed_after: datetime | None
) -> Calendar:
    return Calendar(expressions, timezone, fixed_after)


def fields(expression: str) -> list[str]:
    """The five fields of an expression or @macro. Raises: BadCron."""
    found = MACROS.get(expression.strip().lower(), expression).split()
    if len(found) != 5:
        raise BadCron(
            f'cron "{expression}": expected 5 fields '
            f"(minute hour day month weekday) or @hourly ... @yearly, got {len(found)}"
        )
    return found


def _parse(expression: str, where: ZoneInfo) -> CronSim:
    parts = fields(expression)
    try:
        return CronSim(" ".join(cron_text.normal(parts)), _ANY.astimezone(where))
    except CronSimError as error:
        place, name, expected = _FIELDS.get(str(error), (0, "field", "5 fields"))
        advice = cron_text.advice(place, parts[place])
        instead = f" ({advice})" if advice else ""
        raise BadCron(
            f'cron "{expression}": bad {name} "{parts[place]}": expected {expected}{instead}'
        ) from error
    except (ValueError, AssertionError, RecursionError) as error:
        raise BadCron(f'cron "{expression}": cannot be read') from error


def _begun_at(sim: CronSim, instant: datetime, where: ZoneInfo) -> CronSim:
    """A copy of a parsed expression that starts after `instant`.

    Parsing costs as much as ten steps, so it is done once.
    """
    begun: CronSim = object.__new__(CronSim)
    begun.__dict__.update(sim.__dict__)
    local = instant.astimezone(where).replace(microsecond=0)
    begun.dt = local if sim.fixup_tz is None else local.replace(tzinfo=None)
    return begun


def _midnight(instant: datetime, where: ZoneInfo) -> datetime:
    """The beginning of the local day that holds `instant`, in UTC."""
    return datetime.combine(instant.astimezone(where).date(), time(), where).astimezone(UTC)


def _next_midnight(instant: datetime, where: ZoneInfo) -> datetime:
    tomorrow = instant.astimezone(where).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), where).astimezone(UTC)
