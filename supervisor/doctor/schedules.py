"""Checks of time zone data, coming daylight saving changes, and timeouts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata
from math import ceil
from pathlib import Path

from supervisor.core import dst
from supervisor.core.config_model import Job
from supervisor.core.model import Attempt, Reason
from supervisor.doctor.context import DoctorContext
from supervisor.doctor.finding import Finding, error, info, ok, warning
from supervisor.ledger import unattended
from supervisor.ledger.queries import History, RunFilter
from workers.units import format_duration, is_whole

SOON_DAYS = 60
OLD_YEARS = 2
# At least LEAST_RUNS attempts give a usable p95, which must leave a fifth of the timeout.
LEAST_RUNS, MOST_RUNS, FULL = 5, 100, 0.8
_TABLE = Path("/usr/share/zoneinfo/tzdata.zi")


@dataclass(frozen=True, slots=True)
class Zones:
    """The time zones in use, and the edition of their data (`2025b`; empty: unknown).

    error: why the time zone of the machine is unknown, "" if it is known.
    """

    names: tuple[str, ...]
    edition: str
    today: date
    error: str = ""


@dataclass(frozen=True, slots=True)
class Usual:
    """How long a job takes: the 95th percentile of its attempts, and the number of timeouts."""

    job: str
    timeout_s: float
    p95_s: float
    runs: int
    timed_out: int


def zones(context: DoctorContext) -> Zones:
    """Return every time zone in jobs.yaml, and the edition of the zone data."""
    named = {job.timezone for job in context.jobs}
    if context.config is not None:
        named.add(context.config.timezone)
    today = datetime.now(UTC).date()
    return Zones(tuple(sorted(named)), _edition(), today, context.zone_error)


def judge_zones(found: Zones) -> Iterator[Finding]:
    """Check that the zone data is recent enough to contain new rules."""
    if found.error:
        yield warning(found.error, "a zone", 'set "timezone" in jobs.yaml, or TZ')
    value = f"{', '.join(found.names) or 'none in use'}; zone data {found.edition or 'is there'}"
    year = int(found.edition[:4]) if is_whole(found.edition[:4]) else found.today.year
    if found.today.year - year > OLD_YEARS:
        newer = "pip install --upgrade tzdata, apt-get install --only-upgrade tzdata"
        yield warning(value, f"of {found.today.year - OLD_YEARS} or later", newer)
    else:
        yield ok(value)


def daylight(context: DoctorContext) -> list[tuple[str, str]]:
    """Return the effects of coming clock changes on jobs, as (job, sentence)."""
    now = datetime.now(UTC)
    changes = ((job.name, dst.describe(job, now, SOON_DAYS)) for job in context.jobs)
    return [(name, sentence) for name, sentences in changes for sentence in sentences]


def judge_daylight(moved: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Report each slot that a clock change affects."""
    moved = list(moved)
    for job, sentence in moved:
        yield info(f"{job}: {sentence}", "another hour in its cron, if that must not be")
    if not moved:
        yield ok(f"no slot is moved, dropped or doubled within {SOON_DAYS} days")


def usual(context: DoctorContext) -> list[Usual]:
    """Return for each job with a timeout how long its newest attempts took."""
    if context.is_new:
        return []
    history = History(context.state, connect=unattended.connect)
    try:
        found = list[Usual]()
        for job in context.jobs:
            runs = history.runs(RunFilter(job=job.name, limit=MOST_RUNS))
            attempts = [each for run in runs if run.attempt for each in history.attempts(run.id)]
            found += _usual(job, attempts)
        return found
    finally:
        history.close()


def judge_usual(found: Iterable[Usual]) -> Iterator[Finding]:
    """Check that each timeout is well above the usual duration of its job."""
    fine = 0
    for job in found:
        if job.p95_s <= FULL * job.timeout_s and not job.timed_out * 10 > job.runs:
            fine += 1
            continue
        hits = f", {job.timed_out} of {job.runs} hit it" if job.timed_out else ""
        yield error(
            f"{job.job}: timeout {format_duration(job.timeout_s)}, "
            f"95 % take up to {format_duration(job.p95_s)}{hits}",
            f"at least {format_duration(ceil(job.p95_s / FULL))}",
            f"timeout: {format_duration(ceil(2 * job.p95_s))} of {job.job} in jobs.yaml",
        )
    yield ok(f"{fine} judged, all end long before theirs" if fine else "too few runs to judge any")


def _usual(job: Job, attempts: Iterable[Attempt]) -> Iterator[Usual]:
    ended = [each for each in attempts if each.ended_at is not None]
    took = sorted((each.ended_at - each.started_at).total_seconds() for each in ended)  # type: ignore[operator]
    if job.timeout_s is None or len(took) < LEAST_RUNS:
        return
    p95_s = took[ceil(0.95 * len(took)) - 1]
    timed_out = sum(each.reason is Reason.TIMEOUT for each in ended)
    yield Usual(job.name, job.timeout_s, p95_s, len(took), timed_out)


def _edition() -> str:
    """Return the edition of the zone data, such as `2025b`.

    The system's zone data takes precedence over the tzdata package.
    """
    try:
        with open(_TABLE, encoding="ascii", errors="replace") as table:
            return table.readline().removeprefix("# version").strip()[:8]
    except OSError:
        pass
    try:
        return metadata.version("tzdata").replace(".", "-")
    except metadata.PackageNotFoundError:
        return ""
