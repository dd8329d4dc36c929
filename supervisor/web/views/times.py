"""Times as a page shows them: in one zone, with one reading of the clock.

Pure. The zone is the service's, UTC, or the one that the browser named in a cookie.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

SERVICE, BROWSER, IN_UTC = "service", "browser", "utc"
_STEPS = ((60, 1, "s"), (3600, 60, "m"), (48 * 3600, 3600, "h"), (float("inf"), 86400, "d"))


@dataclass(frozen=True, slots=True)
class Times:
    """choice: which zone was chosen; name: of the zone."""

    zone: tzinfo
    now: datetime
    choice: str
    name: str

    def full(self, at: datetime | None) -> str:
        """Return `2026-02-09 02:00:00 CET`, or a dash."""
        if at is None:
            return "–"
        local = at.astimezone(self.zone)
        # A page has hundreds: isoformat takes a tenth of the time of strftime.
        return f"{local.replace(tzinfo=None).isoformat(' ', 'seconds')} {local.tzname()}"

    def clock(self, at: datetime) -> str:
        """Return `02:00`."""
        return f"{at.astimezone(self.zone):%H:%M}"

    def day(self, at: datetime) -> str:
        """Return `Mon 9 Feb`."""
        local = at.astimezone(self.zone)
        return f"{local:%a} {local.day} {local:%b}"

    def ago(self, at: datetime | None) -> str:
        """Return `3m ago`, `in 2h`, or a dash."""
        if at is None:
            return "–"
        seconds = (at - self.now).total_seconds()
        apart = abs(seconds)
        for end, step, unit in _STEPS:
            if apart < end:
                size = f"{apart // step:.0f} {unit}"
                break
        return f"in {size}" if seconds > 0 else f"{size} ago"

    def iso(self, at: datetime) -> str:
        """Return RFC 3339 in UTC, for machines."""
        return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat('T', 'seconds')}Z"


def times(service: str, choice: str, browser: str, now: datetime) -> Times:
    """Return the times for a choice; an unknown zone is the service's."""
    name = {IN_UTC: "UTC", BROWSER: browser}.get(choice, service)
    for candidate in (name, service):
        try:
            return Times(ZoneInfo(candidate), now, choice, candidate)
        except (KeyError, ValueError, OSError):
            choice = SERVICE
    return Times(UTC, now, IN_UTC, "UTC")
