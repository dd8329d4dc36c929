"""The page of jobs: one row a job, chosen, sorted and cut into pages."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from supervisor.core.model import Progress
from supervisor.core.views import Definition, JobStatus, RunView, Status
from supervisor.web.strips import PastRun
from supervisor.web.views.query import one_of, whole
from supervisor.web.views.states import RANK
from workers.units import format_duration, format_size

PAGE = 100
STRIP_HEIGHT, BAR, STEP, LOWEST, FOOT = 24, 4, 5, 5, 4
_FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bars:
    """The last runs as bars: path data by state, and the same in words."""

    paths: tuple[tuple[str, str], ...]
    width: int
    words: str


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """How far a run is; percent None: unknown."""

    percent: float | None
    words: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job. run: the one that `state` is of; note: why a job does not start by itself."""

    name: str
    description: str
    state: str
    cause: str
    run: int | None
    ended_at: datetime | None
    began_at: datetime | None
    duration_seconds: float | None
    next_at: datetime | None
    note: str
    enabled: bool
    is_paused: bool
    is_open: bool
    progress: ProgressBar | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person asked to see: a text, a state, an order, a page from 1."""

    text: str = ""
    state: str = ""
    sort: str = "file"
    page: int = 1


@dataclass(frozen=True, slots=True)
class JobsPage:
    """The rows of one page. counts: jobs by state, of all jobs."""

    rows: tuple[JobRow, ...]
    matched: int
    total: int
    page: int
    pages: int
    counts: tuple[tuple[str, int], ...]


SORTS: dict[str, tuple[str, Callable[[JobRow], Any] | None]] = {
    "file": ("order of jobs.yaml", None),
    "name": ("name", lambda row: row.name),
    "state": ("worst first", lambda row: RANK.get(row.state, 99)),
    "ended": ("newest end", lambda row: -(row.ended_at.timestamp() if row.ended_at else 0.0)),
    "took": ("longest", lambda row: -(row.duration_seconds or 0.0)),
    "next": ("next slot", lambda row: row.next_at or _FAR),
}


def choice(query: Mapping[str, str]) -> Choice:
    """Return the choice in a query. Raises: QueryError."""
    return Choice(
        query.get("q", "")[:200].strip(),
        one_of(query, "state", (*RANK, "none"), ""),
        one_of(query, "sort", SORTS, "file"),
        whole(query, "page") or 1,
    )


def jobs_page(status: Status, definitions: Iterable[Definition], wanted: Choice) -> JobsPage:
    """Return the rows of the chosen page."""
    about = {job.name: job.description for job in definitions}
    newest_open = {run.job: run for run in status.runs}
    rows = [_row(job, about.get(job.name, ""), newest_open.get(job.name)) for job in status.jobs]
    counts = Counter(row.state for row in rows)
    needle = wanted.text.lower()
    found = [
        row
        for row in rows
        if (not needle or needle in row.name.lower() or needle in row.description.lower())
        and (not wanted.state or row.state == wanted.state)
    ]
    key = SORTS[wanted.sort][1]
    if key is not None:
        found.sort(key=key)
    pages = max(1, -(-len(found) // PAGE))
    page = min(wanted.page, pages)
    return JobsPage(
        tuple(found[(page - 1) * PAGE : page * PAGE]),
        len(found),
        len(rows),
        page,
        pages,
        tuple(sorted(counts.items(), key=lambda item: RANK.get(item[0], 99))),
    )


def bars(runs: Sequence[PastRun]) -> Bars:
    """Return the strip of a job's last runs, oldest first; a longer run is higher."""
    longest = max((run.duration_seconds or 0.0 for run in runs), default=0.0)
    paths: dict[str, list[str]] = {}
    for place, run in enumerate(runs):
        share = (run.duration_seconds or 0.0) / longest if longest else 0.0
        # The root keeps short runs visible beside one that is much longer.
        height = round(LOWEST + (STRIP_HEIGHT - LOWEST) * share**0.5)
        is_whole = run.state == "success"
        paths.setdefault(run.state, []).append(_bar(place * STEP, height, is_whole))
    return Bars(
        tuple((state, "".join(pieces)) for state, pieces in paths.items()),
        max(1, len(runs)) * STEP,
        _in_words(runs, longest),
    )


@cache
def _bar(x: int, height: int, is_whole: bool) -> str:
    """Return a bar; one that did not succeed is cut in two, so that its shape tells it too."""
    if is_whole:
        return f"M{x} {STRIP_HEIGHT}v-{height}h{BAR}v{height}z"
    upper = max(2, height - FOOT - 2)
    return (
        f"M{x} {STRIP_HEIGHT}v-{FOOT}h{BAR}v{FOOT}z"
        f"M{x} {STRIP_HEIGHT - FOOT - 2}v-{upper}h{BAR}v{upper}z"
    )


def progress_bar(progress: Progress | None) -> ProgressBar | None:
    """Return how far a run is."""
    if progress is None:
        return None
    percent = None
    if progress.total:
        percent = round(max(0.0, min(100.0, 100 * progress.done / progress.total)), 1)
    amount = format_size if progress.unit == "bytes" else _plain
    of = f" of {amount(progress.total)}" if progress.total is not None else ""
    rate = f" ({amount(progress.per_second)}/s)" if progress.per_second else ""
    unit = "" if progress.unit == "bytes" else f" {progress.unit}".rstrip()
    return ProgressBar(percent, f"{amount(progress.done)}{of}{unit}{rate}")


def _row(job: JobStatus, description: str, run: RunView | None) -> JobRow:
    last = job.last
    note = "disabled" if not job.enabled else "paused" if job.is_paused else ""
    row = JobRow(
        name=job.name,
        description=description,
        state="none" if last is None else str(last.state),
        cause="" if last is None else last.cause,
        run=None if last is None else last.run,
        ended_at=None if last is None else last.ended_at,
        began_at=None if last is None else last.started_at,
        duration_seconds=None if last is None else last.duration_seconds,
        next_at=job.next_at,
        note=note,
        enabled=job.enabled,
        is_paused=job.is_paused,
        is_open=run is not None,
        progress=None,
    )
    if run is None:
        return row
    return replace(
        row,
        state=str(run.state),
        cause=run.cause,
        run=run.id,
        ended_at=None,
        began_at=run.started_at or run.due,
        duration_seconds=None,
        progress=progress_bar(run.progress),
    )


def _in_words(runs: Sequence[PastRun], longest: float) -> str:
    if not runs:
        return "no runs yet"
    counts = Counter(run.state for run in runs)
    states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    return f"last {len(runs)}: {states}; longest {format_duration(round(longest, 1))}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10 else f"{value:.2g}"
