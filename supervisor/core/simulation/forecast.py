"""Summarise a simulation: counts, waits, runs without success, busy minutes.

Pure: takes the steps of `engine.py` and returns one `Forecast`. Enter at `forecast`;
`compare` returns the jobs whose counts differ between two forecasts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from supervisor.core import dst
from supervisor.core.config_model import Config, Job
from supervisor.core.effects import Launch, Record
from supervisor.core.events import Started
from supervisor.core.model import Attempt, Reason, Run, State, replace
from supervisor.core.simulation.engine import Step
from supervisor.core.simulation.wait_times import Wait, WaitRecorder, in_full

MOST_MINUTES = 5
# A minute is listed if at least this many attempts begin in it.
_BUSY = 2


class Count(Struct, frozen=True, rename=in_full):
    """Number of a job's runs by outcome; other: missed, cancelled, interrupted.

    busy_s: of all its attempts together. waited: how many of its runs waited.
    host: in a cluster, the host that runs the job for itself; "": it is shared.
    """

    job: str
    runs: int
    success: int
    failed: int
    skipped: int
    other: int
    attempts: int
    busy_s: float
    waited: int
    waited_s: float
    longest_wait_s: float
    host: str = ""


class HostForecast(Struct, frozen=True, rename=in_full):
    """A host of a cluster: its places, how many were taken at most, and all for how long."""

    name: str
    labels: tuple[str, ...]
    max_concurrent: int
    most_living: int
    full_s: float


class FailureCount(Struct, frozen=True):
    """Runs of a job that ended without success for one reason; cause: of the first."""

    job: str
    state: State
    reason: Reason | None
    times: int
    first: datetime
    last: datetime
    cause: str


class MovedSlot(Struct, frozen=True):
    """Effect of daylight saving on a job's slots, as a sentence."""

    job: str
    words: str


class Minute(Struct, frozen=True):
    """Minutes in which the same attempts began together; jobs: in order of launch."""

    jobs: tuple[str, ...]
    times: int
    first: datetime


class Forecast(Struct, frozen=True, rename=in_full):
    """Forecast of the days in (since, until]; open_runs: runs not ended at `until`.

    hosts: those of a cluster. unplaced: jobs that none of them may run, each a sentence.
    """

    since: datetime
    until: datetime
    max_concurrent: int
    most_living: int
    full_s: float
    open_runs: int
    jobs: tuple[Count, ...]
    waits: tuple[Wait, ...]
    losses: tuple[FailureCount, ...]
    daylight_saving: tuple[MovedSlot, ...]
    busiest: tuple[Minute, ...]
    hosts: tuple[HostForecast, ...] = ()
    unplaced: tuple[str, ...] = ()


class Difference(Struct, frozen=True):
    """A job whose counts differ between two forecasts; None: it is missing there."""

    job: str
    before: Count | None
    after: Count | None


def forecast(steps: Iterable[Step], config: Config, since: datetime, until: datetime) -> Forecast:
    """Return the summary of these steps, from `since` up to `until`."""
    account = ForecastBuilder()
    for step in steps:
        account.add_step(step)
    account.close(until)
    return Forecast(
        since=since,
        until=until,
        max_concurrent=config.max_concurrent,
        most_living=account.most_living,
        full_s=account.full_s,
        open_runs=account.open_runs,
        jobs=tuple(account.count(job) for job in config.jobs),
        waits=tuple(sorted(account.waiting.waits.values(), key=lambda wait: -wait.total_s)),
        losses=tuple(account.losses.values()),
        daylight_saving=tuple(moved_slots(config.jobs, since, until)),
        busiest=busiest(account.begun),
    )


def compare(before: Forecast, after: Forecast) -> tuple[Difference, ...]:
    """Return the jobs whose counts differ, those of the second forecast first."""
    old = {count.job: count for count in before.jobs}
    new = {count.job: count for count in after.jobs}
    return tuple(
        Difference(name, old.get(name), new.get(name))
        for name in new | old
        if old.get(name) != new.get(name)
    )


class ForecastBuilder:
    """Counts of the steps so far."""

    def __init__(self) -> None:
        self.waiting = WaitRecorder()
        self.losses: dict[tuple[str, State, Reason | None], FailureCount] = {}
        self.begun: dict[datetime, list[str]] = {}
        self.most_living = self.open_runs = 0
        self.full_s = 0.0
        self._full_since: datetime | None = None
        self._runs: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()
        self._ends: Counter[tuple[str, State]] = Counter()
        self._busy_s: dict[str, float] = {}
        # run -> whether it has ended; (run, attempt) -> job and start, while it is alive
        self._seen: dict[int, bool] = {}
        self._launched: dict[tuple[int, int], str] = {}
        self._began: dict[tuple[int, int], tuple[str, datetime]] = {}

    def add_step(self, step: Step) -> None:
        """Add one more turn."""
        now = step.event.at.wall
        if isinstance(step.event, Started):
            key = (step.event.run, step.event.attempt)
            job = self._launched.pop(key)
            minute = now.replace(second=0, microsecond=0)
            self.begun.setdefault(minute, []).append(job)
            self._began[key] = (job, now)
        for action in step.actions:
            match action:
                case Launch(run):
                    self._attempts[run.job] += 1
                    self._launched[run.id, run.attempt] = run.job
                case Record(Attempt() as attempt) if attempt.ended_at is not None:
                    self._end_attempt(attempt, attempt.ended_at)
                case Record(Run() as run):
                    self._on_action(run)
        self.waiting.observe(step)
        live, places = len(step.scheduler.live_attempts), step.scheduler.config.max_concurrent
        self._sample_pool(live, places, now)
        self.open_runs = len(step.scheduler.runs)

    def close(self, until: datetime) -> None:
        """End the account: live attempts and waits are counted up to `until`."""
        self.waiting.close(until)
        self._sample_pool(0, 1, until)
        for job, began in self._began.values():
            self._add_busy(job, began, until)

    def count(self, job: Job) -> Count:
        """Return the counts of this job's runs."""
        ends = {state: self._ends[job.name, state] for state in State}
        named = (State.SUCCESS, State.FAILED, State.SKIPPED)
        waits = self.waiting.of_job(job.name)
        return Count(
            job=job.name,
            runs=self._runs[job.name],
            success=ends[State.SUCCESS],
            failed=ends[State.FAILED],
            skipped=ends[State.SKIPPED],
            other=sum(count for state, count in ends.items() if state not in named),
            attempts=self._attempts[job.name],
            busy_s=self._busy_s.get(job.name, 0.0),
            waited=len(waits),
            waited_s=sum(waits),
            longest_wait_s=max(waits, default=0.0),
        )

    def _on_action(self, run: Run) -> None:
        """Count a row of a run; only its first final state counts."""
        if run.id not in self._seen:
            self._runs[run.job] += 1
        if not run.state.is_open and not self._seen.get(run.id, False):
            self._end_run(run)
        self._seen[run.id] = not run.state.is_open

    def _end_run(self, run: Run) -> None:
        self._ends[run.job, run.state] += 1
        if run.state is State.SUCCESS:
            return
        key = (run.job, run.state, run.reason)
        known = self.losses.get(key)
        if known is None:
            self.losses[key] = FailureCount(*key, 1, run.due, run.due, run.cause)
        else:
            self.losses[key] = replace(known, times=known.times + 1, last=run.due)

    def _end_attempt(self, attempt: Attempt, at: datetime) -> None:
        began = self._began.pop((attempt.run, attempt.number), None)
        if began is not None:
            self._add_busy(*began, at)

    def _add_busy(self, job: str, since: datetime, until: datetime) -> None:
        seconds = (until - since).total_seconds()
        self._busy_s[job] = self._busy_s.get(job, 0.0) + seconds

    def _sample_pool(self, live: int, places: int, now: datetime) -> None:
        self.most_living = max(self.most_living, live)
        if live >= places:
            self._full_since = self._full_since or now
        elif self._full_since is not None:
            self.full_s += (now - self._full_since).total_seconds()
            self._full_since = None


def moved_slots(jobs: Iterable[Job], since: datetime, until: datetime) -> Iterator[MovedSlot]:
    """Yield what daylight saving does to the slots of these jobs."""
    days = (until - since).days
    for job in jobs:
        if job.enabled:
            yield from (MovedSlot(job.name, words) for words in dst.describe(job, since, days))


def busiest(begun: Mapping[datetime, list[str]]) -> tuple[Minute, ...]:
    """Return the minutes in which most attempts begin. begun: jobs by minute."""
    alike: dict[tuple[str, ...], list[datetime]] = {}
    for at, jobs in begun.items():
        if len(jobs) >= _BUSY:
            alike.setdefault(tuple(jobs), []).append(at)
    busy = [Minute(jobs, len(minutes), minutes[0]) for jobs, minutes in alike.items()]
    return tuple(sorted(busy, key=lambda each: (-len(each.jobs), -each.times))[:MOST_MINUTES])
