"""Bring the end of a period into the years that a calendar can handle. Pure."""

from datetime import UTC, datetime

from supervisor.core.schedule import YEARS


def within_years(at: datetime) -> datetime:
    """Return an aware time in UTC; beyond `YEARS`, the start of their first or last one."""
    # The conversion overflows in the years 1 and 9999.
    year = min(max(at.year, YEARS[0]), YEARS[-1])
    return at.astimezone(UTC) if year == at.year else datetime(year, 1, 1, tzinfo=UTC)
