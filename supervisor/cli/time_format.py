"""Format times in one time zone, format ages, and parse times.

The clock is read only here and in the commands, never in deeper layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import click

from workers.units import parse_duration

_TEN_YEARS_S = 3653 * 86400
_STEPS = (
    (60, 1, "s"),
    (3600, 60, "m"),
    (48 * 3600, 3600, "h"),
    (_TEN_YEARS_S, 86400, "d"),
    (float("inf"), 365.25 * 86400, "y"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What `click.option` returns.
Option = Callable[[Callable[..., int]], Callable[..., int]]
_EXAMPLES = '"02:00", "2026-02-09 02:00" or "2026-02-09T02:00:00Z"'


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """One zone and one reading of the clock, shared by all output of a command."""

    zone: tzinfo
    now: datetime

    def full(self, at: datetime | None) -> str:
        """Return `2026-02-09 02:00:00 CET`, or a dash."""
        return "-" if at is None else _written(at.astimezone(self.zone), "%H:%M:%S %Z")

    def slot(self, at: datetime) -> str:
        """Return `Mon 2026-02-09 02:00 CET`, at minute precision."""
        local = at.astimezone(self.zone)
        return f"{local:%a} {_written(local, '%H:%M %Z')}"

    def relative(self, at: datetime | None) -> str:
        """Return `3m ago`, `in 2h`, or a dash."""
        if at is None:
            return "-"
        seconds = (at - self.now).total_seconds()
        size = next(
            f"{abs(seconds) // step:.0f}{unit}" for end, step, unit in _STEPS if abs(seconds) < end
        )
        return f"in {size}" if seconds > 0 else f"{size} ago"

    def instant(self, text: str, option: str) -> datetime:
        """Parse the time of an option; without an offset it is in this zone.

        A time of day alone means its most recent occurrence.

        Raises:
            click.BadParameter: the text is not a time.
        """
        try:
            return self._aware(text, option).astimezone(UTC)
        except OverflowError as error:
            raise _no_year(text, option) from error

    def since(self, text: str, option: str) -> datetime:
        """Return now minus the duration of an option (`7d`), or the parsed time.

        Raises:
            click.BadParameter: the text is neither, or its year is the last one.
        """
        try:
            return max(_EPOCH, self.now - timedelta(seconds=parse_duration(text)))
        except ValueError as error:
            _, found, near = str(error).partition("; did you mean ")
        try:
            at = self.instant(text, option)
        except click.BadParameter as wrong:
            # `5min` is rather a duration than a time.
            hint = f"; did you mean {near}" if found else ""
            raise click.BadParameter(f"{wrong.message}{hint}", param_hint=option) from wrong
        if at.year == MAXYEAR:  # another zone could not show it
            raise _no_year(text, option)
        return at

    def _aware(self, text: str, option: str) -> datetime:
        try:
            return self._time_of_day(time.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise click.BadParameter(
                f'expected a time such as {_EXAMPLES}, got "{text}"', param_hint=option
            ) from error
        return at if at.tzinfo else at.replace(tzinfo=self.zone)

    def _time_of_day(self, at: time) -> datetime:
        today = self.now.astimezone(self.zone).date()
        found = datetime.combine(today, at.replace(tzinfo=None), at.tzinfo or self.zone)
        if found > self.now:
            yesterday = today - timedelta(days=1)
            found = datetime.combine(yesterday, at.replace(tzinfo=None), at.tzinfo or self.zone)
        return found.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class DateFormat(TimeFormat):
    """A TimeFormat for output that shows dates instead of ages."""

    def relative(self, at: datetime | None) -> str:
        """Return `2026-02-09 02:00Z`, or a dash."""
        return "-" if at is None else _written(at.astimezone(UTC), "%H:%MZ")


def _written(at: datetime, clock: str) -> str:
    # The %Y of the C library does not pad a year before 1000.
    return f"{at.date()} {at.strftime(clock)}"


def _no_year(text: str, option: str) -> click.BadParameter:
    return click.BadParameter(f'expected a year from 2 to 9998, got "{text}"', param_hint=option)


def time_option(name: str, parse: Callable[[TimeFormat, str, str], datetime], help: str) -> Option:
    """Return the decorator of an option for a time, which is refused before anything is asked.

    The zone of the service, which the command reads later, changes no text into a time.
    parse: `TimeFormat.instant` or `TimeFormat.since`.
    """

    def check(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
        if text is not None:
            parse(date_format(), text, name)
        return text

    return click.option(name, metavar="TIME", callback=check, help=help)


def date_format() -> DateFormat:
    """Return a DateFormat for now, in UTC."""
    return DateFormat(UTC, datetime.now(UTC))


def time_format(zone: str) -> TimeFormat:
    """Return a TimeFormat for now in an IANA zone; UTC if this machine lacks the zone."""
    try:
        return TimeFormat(ZoneInfo(zone), datetime.now(UTC))
    except (KeyError, ValueError, OSError):
        return TimeFormat(UTC, datetime.now(UTC))
