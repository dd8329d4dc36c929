"""Counters since the start of the service, as one immutable value.

Pure. `api/bridge.py` applies `count` after each turn and publishes the result;
`api/metrics.py` renders it. Labels are bounded: only jobs of jobs.yaml and reserved
jobs are counted. `restricted_to` drops the counts of removed jobs.
"""

from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct, field

from supervisor.core.effects import Action, Record, Row
from supervisor.core.model import MissedRange, Reason, Run, State, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import SchedulerState


def recorded_rows(actions: Iterable[Action]) -> list[Row]:
    """Return the rows that the actions record, in order."""
    return [action.row for action in actions if type(action) is Record]


def transitions(before: SchedulerState, rows: Iterable[Row]) -> list[Run]:
    """Return a run for each new state or attempt among the recorded rows, in order.

    before: the state from which the rows were decided.
    """
    found: list[Run] = []
    latest: dict[int, Run] = {}
    for run in rows:
        if type(run) is Run:
            known = latest.get(run.id) or before.runs.get(run.id)
            if known is None:
                # Neither open nor new: it had ended, and this row only adds its usage.
                is_new = run.id >= before.next_run
            else:
                is_new = (known.state, known.attempt) != (run.state, run.attempt)
            if is_new:
                latest[run.id] = run
                found.append(run)
    return found


# Upper bounds in seconds; the last bucket has none.
DURATIONS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
LATENESSES_S = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0)


class Histogram(Struct, frozen=True):
    """Number of values in each bucket (not cumulative) and the sum of all values."""

    counts: tuple[int, ...]
    sum_s: float = 0.0

    def add(self, bounds_s: tuple[float, ...], value_s: float) -> "Histogram":
        """Return the histogram with one more value."""
        place = bisect_left(bounds_s, value_s)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Histogram(counts, self.sum_s + value_s)


def empty(bounds_s: tuple[float, ...]) -> Histogram:
    """Return a histogram without values."""
    return Histogram((0,) * (len(bounds_s) + 1))


Outcome = tuple[str, State, Reason | None]


class Counters(Struct, frozen=True):
    """Counts since the start of the service.

    runs: final runs by job, state and reason. durations: by job.
    missed: missed slots by job, with and without a row of their own.
    lateness: delays of the minute ticks.
    """

    runs: PersistentMap[Outcome, int] = field(default_factory=PersistentMap)
    durations: PersistentMap[str, Histogram] = field(default_factory=PersistentMap)
    missed: PersistentMap[str, int] = field(default_factory=PersistentMap)
    lateness: Histogram = field(default_factory=lambda: empty(LATENESSES_S))


def count(
    tally: Counters, changed: Iterable[Run], rows: Iterable[Row], scheduler: SchedulerState
) -> Counters:
    """Return the tally after a turn, with the changed runs of jobs that `scheduler` defines."""
    for run in changed:
        if not run.state.is_open and not run.dry_run and scheduler.definition(run.job):
            tally = _count_run(tally, run)
    for row in rows:
        if type(row) is MissedRange and scheduler.definition(row.job):
            tally = _count_missed(tally, row.job, row.count)
    return tally


def tick(tally: Counters, lateness_s: float) -> Counters:
    """Return the tally with one more minute tick, which was `lateness_s` late."""
    return replace(tally, lateness=tally.lateness.add(LATENESSES_S, lateness_s))


def restricted_to(tally: Counters, scheduler: SchedulerState) -> Counters:
    """Return the tally without jobs that `scheduler` does not define."""
    known = scheduler.definition
    runs = {key: value for key, value in tally.runs.items() if known(key[0])}
    durations = {job: value for job, value in tally.durations.items() if known(job)}
    missed = {job: value for job, value in tally.missed.items() if known(job)}
    return replace(
        tally,
        runs=PersistentMap(runs),
        durations=PersistentMap(durations),
        missed=PersistentMap(missed),
    )


def _count_run(tally: Counters, run: Run) -> Counters:
    key = (run.job, run.state, run.reason)
    tally = replace(tally, runs=tally.runs.set(key, tally.runs.get(key, 0) + 1))
    if run.state is State.MISSED:
        return _count_missed(tally, run.job, 1)
    if run.started_at is None or run.ended_at is None:
        return tally
    # The duration would be negative if the clock was set back.
    lasted_s = max(0.0, (run.ended_at - run.started_at).total_seconds())
    spread = tally.durations.get(run.job) or empty(DURATIONS_S)
    durations = tally.durations.set(run.job, spread.add(DURATIONS_S, lasted_s))
    return replace(tally, durations=durations)


def _count_missed(tally: Counters, job: str, slots: int) -> Counters:
    return replace(tally, missed=tally.missed.set(job, tally.missed.get(job, 0) + slots))
