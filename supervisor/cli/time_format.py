"""Telling the time: instants in one zone, ages in words, and back.

The clock is read here and in the verbs, nowhere deeper.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import click

from supervisor.cli import answers
from supervisor.cli.client import Client
from workers.units import parse_duration

_STEPS = ((60, 1, "s"), (3600, 60, "m"), (48 * 3600, 3600, "h"), (float("inf"), 86400, "d"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXAMPLES = '"02:00", "2026-02-09 02:00" or "2026-02-09T02:00:00Z"'


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """One zone and one reading of the clock, for all that a verb prints."""

    zone: tzinfo
    now: datetime

    def full(self, at: datetime | None) -> str:
        """`2026-02-09 02:00:00 CET`, or a dash."""
        return "-" if at is None else f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S %Z}"

    def slot(self, at: datetime) -> str:
        """`Mon 2026-02-09 02:00 CET`: a full minute, as calendars have it."""
        return f"{at.astimezone(self.zone):%a %Y-%m-%d %H:%M %Z}"

    def relative(self, at: datetime | None) -> str:
        """`3m ago`, `in 2h`, or a dash."""
        if at is None:
            return "-"
        seconds = (at - self.now).total_seconds()
        size = next(
            f"{abs(seconds) // step:.0f}{unit}" for end, step, unit in _STEPS if abs(seconds) < end
        )
        return f"in {size}" if seconds > 0 else f"{size} ago"

    def instant(self, text: str) -> datetime:
        """The instant that a person names; without an offset it is told in this zone.

        A time of day alone is the newest such time that is past.

        Raises:
            click.BadParameter: it names no instant.
        """
        try:
            return self._time_of_day(time.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
        try:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=self.zone)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(
                f'expected a time such as {_EXAMPLES}, got "{text}"'
            ) from error

    def since(self, text: str) -> datetime:
        """The instant that lies so long ago (`7d`), or that is named itself."""
        try:
            return max(_EPOCH, self.now - timedelta(seconds=parse_duration(text)))
        except ValueError:
            return self.instant(text)

    def _time_of_day(self, at: time) -> datetime:
        today = self.now.astimezone(self.zone).date()
        found = datetime.combine(today, at.replace(tzinfo=None), at.tzinfo or self.zone)
        if found > self.now:
            yesterday = today - timedelta(days=1)
            found = datetime.combine(yesterday, at.replace(tzinfo=None), at.tzinfo or self.zone)
        return found.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class DateFormat(TimeFormat):
    """As Moments, for whoever asked for instants and not for ages."""

    def near(self, at: datetime | None) -> str:
        """`2026-02-09 02:00Z`, or a dash."""
        return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def date_format() -> DateFormat:
    """Now, told in UTC."""
    return DateFormat(UTC, datetime.now(UTC))


def time_format(zone: str) -> TimeFormat:
    """Now, told in the zone of this IANA name; in UTC if this machine lacks it."""
    try:
        return TimeFormat(ZoneInfo(zone), datetime.now(UTC))
    except (KeyError, ValueError, OSError):
        return TimeFormat(UTC, datetime.now(UTC))


def time_format_of(client: Client, utc: bool) -> TimeFormat:
    """In the zone of the service that is asked, or in UTC."""
    if utc:
        return time_format("UTC")
    return time_format(answers.read(client.get("v1", "status"), answers.Zone).timezone)
