"""Views of days and coming slots of all jobs, and the functions that build them.

Pure. A day is one of the service's time zone. `DayCount` has one field per state; a
field that is 0 is left out of JSON, so that 90 days of a job are a few kilobytes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from heapq import heapify, heappop, heapreplace

from msgspec import Struct

from supervisor.core.build_views import jobs_in_file_order, next_slots
from supervisor.core.config_model import Job
from supervisor.core.model import MissedRange
from supervisor.core.state import SchedulerState

_ONE_DAY = timedelta(days=1)
# job -> day -> state -> runs
Counts = Mapping[str, Mapping[date, Mapping[str, int]]]


class DayCount(Struct, frozen=True, omit_defaults=True):
    """The runs of a job that were due on one day, by state; open ones as they are now.

    missed: also slots without a row of their own (see `explain`).
    """

    day: date
    success: int = 0
    failed: int = 0
    skipped: int = 0
    missed: int = 0
    cancelled: int = 0
    interrupted: int = 0
    pending: int = 0
    running: int = 0
    retrying: int = 0


class JobDays(Struct, frozen=True):
    """The days on which a job had runs or missed slots, oldest first."""

    job: str
    days: tuple[DayCount, ...]


class Days(Struct, frozen=True):
    """Runs by job and day, from `since` to `until`, both included, in this time zone.

    Jobs are in the order of jobs.yaml; after them come others that had runs.
    """

    timezone: str
    since: date
    until: date
    jobs: tuple[JobDays, ...]


class UpcomingSlot(Struct, frozen=True):
    """A slot of a job, in the service's time zone."""

    job: str
    slot: datetime


class Upcoming(Struct, frozen=True):
    """Coming slots of all jobs, earliest first.

    until: there are no others up to then, but for those beyond `n` of a job; None: ever.
    """

    timezone: str
    slots: tuple[UpcomingSlot, ...]
    until: datetime | None


class DayBounds:
    """The local days [since, until] of a zone, as instants in UTC."""

    def __init__(self, since: date, until: date, zone: tzinfo) -> None:
        count = (until - since).days + 1
        self.days = [since + timedelta(days=n) for n in range(count)]
        ends = [*self.days, until + _ONE_DAY]
        self.midnights = [datetime.combine(d, time(), zone).astimezone(UTC) for d in ends]

    def day_of(self, instant: datetime) -> date | None:
        """Return the day of an instant; None if it is outside."""
        place = bisect_right(self.midnights, instant) - 1
        return self.days[place] if 0 <= place < len(self.days) else None


def days(
    scheduler: SchedulerState, ended: Counts, gaps: Iterable[MissedRange], bounds: DayBounds
) -> Days:
    """Return the counts of all jobs. ended: counts of runs that are not open."""
    found: dict[str, dict[date, dict[str, int]]] = {
        job: {day: dict(states) for day, states in of_job.items()} for job, of_job in ended.items()
    }
    for run in scheduler.runs.values():
        _add(found, run.job, bounds.day_of(run.due), str(run.state), 1)
    for gap in gaps:
        for day, count in _spread(gap, bounds):
            _add(found, gap.job, day, "missed", count)
    names = [job.name for job in jobs_in_file_order(scheduler)]
    names += sorted(job for job in found if job not in scheduler.jobs)
    counted = tuple(JobDays(name, tuple(_in_order(found.get(name, {})))) for name in names)
    return Days(scheduler.config.timezone, bounds.days[0], bounds.days[-1], counted)


def upcoming(
    scheduler: SchedulerState,
    now: datetime,
    until: datetime | None,
    per_job: int | None,
    most: int,
) -> tuple[list[tuple[datetime, str]], bool]:
    """Return the earliest `most` slots up to `until` (None: ever), and whether these are all.

    per_job: at most so many of each job. Calendars are walked only as far as needed.
    """
    heap: list[tuple[datetime, int, str, Iterator[datetime], int]] = []
    for job in jobs_in_file_order(scheduler):
        first = next(iter(next_slots(scheduler, job, now, 1)), None)
        if first is not None and (until is None or first <= until):
            heap.append((first, job.place, job.name, _after(scheduler, job, first), 1))
    heapify(heap)
    found: list[tuple[datetime, str]] = []
    while heap and len(found) < most:
        slot, place, name, rest, taken = heap[0]
        found.append((slot, name))
        following = None if per_job is not None and taken >= per_job else next(rest, None)
        if following is None or (until is not None and following > until):
            heappop(heap)
        else:
            heapreplace(heap, (following, place, name, rest, taken + 1))
    return found, not heap


def _after(scheduler: SchedulerState, job: Job, first: datetime) -> Iterator[datetime]:
    yield from scheduler.calendar(job, first).slots_after(first)


def _spread(gap: MissedRange, bounds: DayBounds) -> Iterator[tuple[date, int]]:
    """Divide the slots of a gap among its days, in proportion to the time of each."""
    whole_s = (gap.until - gap.since).total_seconds()
    if whole_s <= 0:
        return
    done = 0
    for day, begin, end in zip(bounds.days, bounds.midnights, bounds.midnights[1:], strict=False):
        if end <= gap.since or begin >= gap.until:
            continue
        so_far_s = (min(end, gap.until) - gap.since).total_seconds()
        before_s = max(0.0, (begin - gap.since).total_seconds())
        done = max(done, round(gap.count * before_s / whole_s))
        share = round(gap.count * so_far_s / whole_s) - done
        done += share
        if share:
            yield day, share


def _add(
    found: dict[str, dict[date, dict[str, int]]], job: str, day: date | None, state: str, more: int
) -> None:
    if day is not None:
        states = found.setdefault(job, {}).setdefault(day, {})
        states[state] = states.get(state, 0) + more


def _in_order(of_job: Mapping[date, Mapping[str, int]]) -> Sequence[DayCount]:
    return [DayCount(day, **of_job[day]) for day in sorted(of_job) if of_job[day]]
