"""The calendar: past days of each job as a heat map, and its coming week."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from supervisor.core import schedule
from supervisor.core.calendar_views import DayBounds, DayCount, Days, JobDays, UpcomingSlot
from supervisor.web.views.times import Times
from workers.units import format_count, format_duration

SPANS = (30, 90)
PAGE = 60
CELL, GAP, HEIGHT = 10, 1, 18
# A slot of a job is listed by its time if there are at most so many on that day.
MOST_TIMES = 3
_GOOD = ("success",)
_BAD = ("failed", "interrupted", "missed")
_OTHER = ("skipped", "cancelled")
_OPEN = ("pending", "running", "retrying")


@dataclass(frozen=True, slots=True)
class DayCell:
    """A day of a job. bad: share of bad runs, from 0 to 1; kind: worst of them."""

    day: date
    x: int
    kind: str
    bad: float
    words: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A job's days; plain: path data of the days on which all went well."""

    job: str
    plain: str
    cells: tuple[DayCell, ...]
    words: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """All jobs and days; months: where a label stands."""

    rows: tuple[HeatRow, ...]
    width: int
    labels: tuple[tuple[float, str], ...]
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class WeekRow:
    """A job's coming slots by day; a cell lists times or counts them."""

    job: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Week:
    """The coming days. until: slots after it are not known here, if it lies within."""

    days: tuple[str, ...]
    rows: tuple[WeekRow, ...]
    until: datetime | None


def heat_map(days: Days, page: int) -> HeatMap:
    """Return one page of the heat map."""
    count = (days.until - days.since).days + 1
    pages = max(1, -(-len(days.jobs) // PAGE))
    page = max(1, min(page, pages))
    step = CELL + GAP
    labels = []
    for place in range(count):
        day = days.since + timedelta(days=place)
        if day.weekday() == 0 if count <= 31 else day.day in (1, 15):
            labels.append((round(100 * place / count, 2), f"{day.day} {day:%b}"))
    rows = tuple(_row(job, days.since) for job in days.jobs[(page - 1) * PAGE : page * PAGE])
    return HeatMap(rows, count * step, tuple(labels), page, pages)


def week(
    slots: Iterable[UpcomingSlot],
    until: datetime | None,
    jobs: Sequence[str],
    times: Times,
    per_job: int,
) -> Week:
    """Return the coming seven days. per_job: so many slots of a job were asked for."""
    today = times.now.astimezone(times.zone).date()
    days = [today + timedelta(days=n) for n in range(7)]
    by_job: dict[str, list[datetime]] = {}
    for each in slots:
        by_job.setdefault(each.job, []).append(each.slot.astimezone(times.zone))
    rows = []
    for job in jobs:
        if job in by_job:
            found = by_job[job]
            is_cut = len(found) >= per_job
            last = found[-1].date()
            every = _every(found) if is_cut else ""
            cells = (every or _cell(found, day, is_cut, last) for day in days)
            rows.append(WeekRow(job, tuple(cells)))
    end = times.now + timedelta(days=7)
    cut = until if until is not None and until < end - timedelta(minutes=1) else None
    return Week(tuple(f"{day:%a} {day.day} {day:%b}" for day in days), tuple(rows), cut)


def day_bounds(days: Days) -> dict[date, tuple[str, str]]:
    """Return the first instant of each day and of the day after it, in RFC 3339."""
    found = DayBounds(days.since, days.until, schedule.zone(days.timezone))
    instants = [instant.isoformat() for instant in found.midnights]
    return dict(zip(found.days, pairwise(instants), strict=True))


def _every(slots: Sequence[datetime]) -> str:
    """Return `every 15m` if all slots are as far apart, else ""."""
    # Times of one zone are subtracted as its clock shows them, also where that is changed.
    gaps = {
        (two - one).total_seconds() for one, two in pairwise(at.astimezone(UTC) for at in slots)
    }
    return f"every {format_duration(gaps.pop())}" if len(gaps) == 1 else ""


def _cell(slots: list[datetime], day: date, is_cut: bool, last: date) -> str:
    found = [slot for slot in slots if slot.date() == day]
    if is_cut and day > last:
        return "…"
    if is_cut and day == last:
        return f"{found[0]:%H:%M} …"
    if len(found) > MOST_TIMES:
        return f"{len(found)}× from {found[0]:%H:%M}"
    return " ".join(f"{slot:%H:%M}" for slot in found)


def _row(job: JobDays, since: date) -> HeatRow:
    cells, plain = [], []
    total = bad_days = 0
    for each in job.days:
        x = (each.day - since).days * (CELL + GAP)
        good, bad = _sum(each, _GOOD), _sum(each, _BAD)
        others, living = _sum(each, _OTHER), _sum(each, _OPEN)
        total += good + bad + others + living
        if good and not bad and not others and not living:
            plain.append(f"M{x} 0h{CELL}v{HEIGHT}h-{CELL}z")
            continue
        bad_days += bool(bad)
        kind = next(
            (state for state in (*_BAD, *_OPEN, *_OTHER) if getattr(each, state)), "success"
        )
        share = round((bad or others or living) / max(1, good + bad + others + living), 3)
        cells.append(DayCell(each.day, x, kind, share, _words(each)))
    words = f"{format_count(total, 'run')}, {format_count(bad_days, 'day')} with failures"
    return HeatRow(job.job, "".join(plain), tuple(cells), words)


def _sum(day: DayCount, states: Iterable[str]) -> int:
    return sum(getattr(day, state) for state in states)


def _words(day: DayCount) -> str:
    counts = [
        f"{count} {state}"
        for state in (*_GOOD, *_BAD, *_OTHER, *_OPEN)
        if (count := getattr(day, state))
    ]
    return f"{day.day:%a} {day.day.day} {day.day:%b}: {', '.join(counts)}"
