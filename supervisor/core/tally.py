"""What is counted from the service's start on, as one value that only grows.

Pure. The loop folds each turn into it and publishes it; who renders it is
another matter. Labels are bounded: jobs of the file and the reserved ones.
"""

from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct, field

from supervisor.core.effects import Action, Record
from supervisor.core.model import Gap, Reason, Run, State, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.world import World

# Upper bounds in seconds; the last bucket has none.
DURATIONS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
LATENESSES_S = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0)


class Spread(Struct, frozen=True):
    """How many values fell into each bucket (not cumulative), and their sum."""

    counts: tuple[int, ...]
    sum_s: float = 0.0

    def add(self, bounds_s: tuple[float, ...], value_s: float) -> "Spread":
        """With one value more."""
        place = bisect_left(bounds_s, value_s)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Spread(counts, self.sum_s + value_s)


def empty(bounds_s: tuple[float, ...]) -> Spread:
    """Nothing has been counted yet."""
    return Spread((0,) * (len(bounds_s) + 1))


Outcome = tuple[str, State, Reason | None]


class Tally(Struct, frozen=True):
    """Counts since the start.

    runs: final ones by job, state and reason. missed: slots of each job that
    nobody ran, with and without a row of their own.
    """

    runs: PersistentMap[Outcome, int] = field(default_factory=PersistentMap)
    durations: PersistentMap[str, Spread] = field(default_factory=PersistentMap)
    missed: PersistentMap[str, int] = field(default_factory=PersistentMap)
    lateness: Spread = field(default_factory=lambda: empty(LATENESSES_S))


def count(tally: Tally, changed: Iterable[Run], actions: Iterable[Action], world: World) -> Tally:
    """The tally after a turn that changed these runs; of jobs that this world defines."""
    for run in changed:
        if not run.state.is_open and not run.dry_run and world.definition(run.job):
            tally = _count_run(tally, run)
    for action in actions:
        match action:
            case Record(Gap(job=job, count=slots)) if world.definition(job):
                tally = _count_missed(tally, job, slots)
    return tally


def tick(tally: Tally, lateness_s: float) -> Tally:
    """The tally after a full minute that was acted on so late."""
    return replace(tally, lateness=tally.lateness.add(LATENESSES_S, lateness_s))


def only(tally: Tally, world: World) -> Tally:
    """The tally without jobs that this world does not define."""
    known = world.definition
    runs = {key: value for key, value in tally.runs.items() if known(key[0])}
    durations = {job: value for job, value in tally.durations.items() if known(job)}
    missed = {job: value for job, value in tally.missed.items() if known(job)}
    return replace(
        tally,
        runs=PersistentMap(runs),
        durations=PersistentMap(durations),
        missed=PersistentMap(missed),
    )


def _count_run(tally: Tally, run: Run) -> Tally:
    key = (run.job, run.state, run.reason)
    tally = replace(tally, runs=tally.runs.set(key, tally.runs.get(key, 0) + 1))
    if run.state is State.MISSED:
        return _count_missed(tally, run.job, 1)
    if run.started_at is None or run.ended_at is None:
        return tally
    # A clock that was put back must not make a duration negative.
    lasted_s = max(0.0, (run.ended_at - run.started_at).total_seconds())
    spread = tally.durations.get(run.job) or empty(DURATIONS_S)
    durations = tally.durations.set(run.job, spread.add(DURATIONS_S, lasted_s))
    return replace(tally, durations=durations)


def _count_missed(tally: Tally, job: str, slots: int) -> Tally:
    return replace(tally, missed=tally.missed.set(job, tally.missed.get(job, 0) + slots))
