"""Debian's cron as a reference implementation: the calendar rules, minute by minute.

It walks through real minutes and keeps the latest wall time it has handled, as cron(8)
does. An expression with `*` in minute or hour fires whenever the wall clock shows it. A
fixed time fires when the wall clock first reaches or passes it, and never for a wall time
that was reached before. Nothing of `schedule.py` or cronsim is used. Fields: `*`, numbers,
lists, ranges, steps.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Expression:
    """One cron expression."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        self.minute, self.hour, self.day, self.month, self.weekday = (
            _numbers(field, *limits) for field, limits in zip(fields, LIMITS, strict=True)
        )
        self.keeps_rhythm = fields[0].startswith("*") or fields[1].startswith("*")
        self.both_days = fields[2].startswith("*") or fields[4].startswith("*")

    def matches(self, wall: datetime) -> bool:
        """Return whether a wall time matches this expression."""
        if wall.minute not in self.minute or wall.hour not in self.hour:
            return False
        is_day = wall.day in self.day
        is_weekday = bool({wall.isoweekday(), wall.isoweekday() % 7} & self.weekday)
        is_today = is_day and is_weekday if self.both_days else is_day or is_weekday
        return wall.month in self.month and is_today


def slots(texts: Sequence[str], zone: str, since: datetime, until: datetime) -> list[datetime]:
    """Return the slots in (since, until] of several expressions; all at full minutes, in UTC."""
    expressions = [Expression(text) for text in texts]
    where = ZoneInfo(zone)
    found = []
    reached = _wall(since, where)
    instant = since
    while instant < until:
        instant += MINUTE
        wall = _wall(instant, where)
        passed = list(_walls_between(reached, wall))
        reached = max(reached, wall)
        if any(
            each.matches(wall) if each.keeps_rhythm else any(map(each.matches, passed))
            for each in expressions
        ):
            found.append(instant)
    return found


def _wall(instant: datetime, where: ZoneInfo) -> datetime:
    return instant.astimezone(where).replace(tzinfo=None)


def _walls_between(since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the wall times in (since, until]; none if the clock went back."""
    wall = since + MINUTE
    while wall <= until:
        yield wall
        wall += MINUTE


def _numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        if span == "*":
            first, last = low, high
        else:
            begin, _, end = span.partition("-")
            first, last = int(begin), int(end or begin)
        found.update(range(first, last + 1, int(step or 1)))
    return found
