"""The timeline: one row a job with a bar a run, from the past into the coming hours.

Positions are percent of the window, so that the drawing fits any width. What began
before the window or goes on after it is clipped, and says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from supervisor.core.model import State
from supervisor.core.views import RunView
from supervisor.web.forecast import Planned
from supervisor.web.views.times import Times
from workers.units import format_count, format_duration

HOURS = (1, 3, 6, 12, 24)
# Most rows with bars; jobs without runs in the window have none.
MOST_ROWS = 200
NARROWEST = 0.03


@dataclass(frozen=True, slots=True)
class Window:
    """The hours shown; now lies between."""

    begin: datetime
    now: datetime
    end: datetime

    def percent(self, at: datetime) -> float:
        """Return where an instant is, from 0 to 100, cut at both ends."""
        share = (at - self.begin) / (self.end - self.begin)
        return round(100 * max(0.0, min(1.0, share)), 3)


@dataclass(frozen=True, slots=True)
class Bar:
    """A run, or a planned one (run None). wait: where it was due, if before `left`."""

    run: int | None
    state: str
    left: float
    width: float
    wait: float | None
    is_clipped: bool
    words: str


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A job and its bars."""

    job: str
    bars: tuple[Bar, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole drawing. ticks: position and label; pool: path data in a box of 100 by 100."""

    window: Window
    rows: tuple[TimelineRow, ...]
    ticks: tuple[tuple[float, str], ...]
    now: float
    pool: str
    pool_words: str
    most_running: int
    left_out: int


def window(now: datetime, hours: int) -> Window:
    """Return the window of so many past hours, and half as many coming ones."""
    return Window(now - timedelta(hours=hours), now, now + timedelta(hours=hours) / 2)


def timeline(
    runs: Iterable[RunView],
    planned: Iterable[Planned],
    jobs: Sequence[str],
    places: int,
    shown: Window,
    times: Times,
) -> Timeline:
    """Return the drawing of these runs. jobs: in their order; places: of the pool."""
    by_job: dict[str, list[Bar]] = {}
    spans: list[tuple[datetime, datetime]] = []
    for run in runs:
        bar = _of_run(run, shown, times)
        if bar is not None:
            by_job.setdefault(run.job, []).append(bar)
            if run.started_at is not None:
                spans.append((run.started_at, run.ended_at or shown.now))
    for plan in planned:
        if plan.begin < shown.end and plan.end > shown.now:
            by_job.setdefault(plan.job, []).append(_of_plan(plan, shown, times))
            spans.append((plan.begin, plan.end))
    names = [job for job in jobs if job in by_job]
    names += sorted(job for job in by_job if job not in set(jobs))
    steps = _steps(spans, shown)
    most = max((count for _, count in steps), default=0)
    return Timeline(
        shown,
        tuple(_row(name, by_job[name]) for name in names[:MOST_ROWS]),
        _ticks(shown, times.zone),
        shown.percent(shown.now),
        _area(steps, max(places, most, 1), shown),
        f"At most {most} of {places} places taken at once",
        most,
        max(0, len(names) - MOST_ROWS),
    )


def _of_run(run: RunView, shown: Window, times: Times) -> Bar | None:
    begin = run.started_at or run.due
    end = run.ended_at or (shown.now if not run.is_final else begin)
    if end < shown.begin or run.due > shown.end:
        return None
    left = shown.percent(begin)
    waited = run.started_at is not None and (begin - run.due).total_seconds() > 1
    lasted = f" after {format_duration(round((end - begin).total_seconds(), 1))}"
    words = f"{run.job}, run {run.id}, {times.full(begin)}: {run.state}"
    if run.started_at is not None:
        words += lasted if run.ended_at else f" for{lasted.removeprefix(' after')}"
    if run.cause:
        words += f": {run.cause[:200]}"
    return Bar(
        run.id,
        str(run.state),
        left,
        _width(left, shown.percent(end)),
        shown.percent(run.due) if waited else None,
        begin < shown.begin,
        words,
    )


def _of_plan(plan: Planned, shown: Window, times: Times) -> Bar:
    left = shown.percent(plan.begin)
    waited = (plan.begin - plan.due).total_seconds() > 1
    lasts = format_duration(round((plan.end - plan.begin).total_seconds()))
    return Bar(
        None,
        "planned",
        left,
        _width(left, shown.percent(plan.end)),
        shown.percent(plan.due) if waited else None,
        plan.end > shown.end,
        f"{plan.job}, planned for {times.full(plan.begin)}, for about {lasts}",
    )


def _width(left: float, right: float) -> float:
    """Return the width of a bar; one without any would not be drawn at all."""
    return max(NARROWEST, round(right - left, 3))


def _row(job: str, bars: list[Bar]) -> TimelineRow:
    ran = [bar for bar in bars if bar.run is not None]
    bad = sum(bar.state in (State.FAILED, State.MISSED, State.INTERRUPTED) for bar in ran)
    words = (
        f"{format_count(len(ran), 'run')}, {bad} of them failed, {len(bars) - len(ran)} planned"
    )
    return TimelineRow(job, tuple(sorted(bars, key=lambda bar: bar.left)), words)


def _ticks(shown: Window, zone: tzinfo) -> tuple[tuple[float, str], ...]:
    """Return full hours, or quarters of an hour, at most twelve of them."""
    whole_s = (shown.end - shown.begin).total_seconds()
    step_s = next(
        s for s in (900, 1800, 3600, 7200, 10800, 21600) if whole_s / s <= 12 or s == 21600
    )
    wall = shown.begin.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    found: list[tuple[float, str]] = []
    while wall.astimezone(UTC) <= shown.end:
        within = (at for at in _instants(wall, zone) if shown.begin < at <= shown.end)
        found.extend((shown.percent(at), f"{wall:%H:%M}") for at in within)
        wall += timedelta(seconds=step_s)
    return tuple(found)


def _instants(wall: datetime, zone: tzinfo) -> list[datetime]:
    """Return when a clock of the zone shows a time: once, twice, or never on a day of change."""
    both = {wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = wall.replace(tzinfo=None, fold=0)
    return sorted(at for at in both if at.astimezone(zone).replace(tzinfo=None, fold=0) == shown)


def _steps(spans: list[tuple[datetime, datetime]], shown: Window) -> list[tuple[datetime, int]]:
    """Return from when on how many run, within the window."""
    edges = sorted(
        [(max(begin, shown.begin), 1) for begin, end in spans if end > shown.begin]
        + [(end, -1) for _, end in spans if end > shown.begin],
        key=lambda edge: (edge[0], edge[1]),
    )
    found, running = [], 0
    for at, more in edges:
        running += more
        found.append((min(at, shown.end), running))
    return found


def _area(steps: list[tuple[datetime, int]], top: int, shown: Window) -> str:
    path, height = ["M0 100"], 100.0
    for at, count in steps:
        x, y = shown.percent(at), round(100 - 100 * count / top, 2)
        path.append(f"H{x}V{y}")
        height = y
    return "".join(path) + ("" if height == 100.0 else "H100") + "V100z"
