"""What pending runs waited for, and for how long, while a world went by.

Pure. A wait is told by what stood in the way: a dependency, an earlier run of
the job, the holder of its group, or a full pool. A run that waited for two
things in turn has a share in both.
"""

from datetime import datetime

from msgspec import Struct

from supervisor.core.admission import heeded
from supervisor.core.graph import Waits, judge
from supervisor.core.model import Run, replace
from supervisor.core.world import World


def in_full(name: str) -> str | None:
    """The name that a field has outside: durations are `*_seconds` there."""
    return f"{name[:-2]}_seconds" if name.endswith("_s") else None


class Wait(Struct, frozen=True, rename=in_full):
    """Runs of a job that waited for the same; longest: the due of the longest wait."""

    job: str
    waited_for: str
    times: int
    total_s: float
    longest_s: float
    longest: datetime


class Share(Struct, frozen=True):
    """A run that waits for one thing, since when."""

    run: Run
    waited_for: str
    since: datetime


class Waiting:
    """Who waits now, and what has been waited for so far."""

    def __init__(self) -> None:
        self.waits: dict[tuple[str, str], Wait] = {}
        self._waited_s: dict[str, dict[int, float]] = {}
        self._shares: dict[int, Share] = {}

    def look(self, world: World, now: datetime) -> None:
        """The world after a turn: waits that ended, changed or began."""
        for number in [each for each in self._shares if not _is_pending(world, each)]:
            self._end(number, now)
        for _, _, number in world.queue:
            run = world.runs[number]
            obstacle = waits_for(world, run)
            share = self._shares.get(number)
            if share is None or share.waited_for != obstacle:
                self._end(number, now)
                self._shares[number] = Share(run, obstacle, now)

    def close(self, now: datetime) -> None:
        """The end: whoever still waits has waited up to here."""
        for number in list(self._shares):
            self._end(number, now)

    def of_job(self, job: str) -> list[float]:
        """How long each run of a job waited, of those that did; seconds."""
        return list(self._waited_s.get(job, {}).values())

    def _end(self, number: int, now: datetime) -> None:
        share = self._shares.pop(number, None)
        if share is None or now == share.since:
            return
        waited_s = (now - share.since).total_seconds()
        job, due = share.run.job, share.run.due
        of_job = self._waited_s.setdefault(job, {})
        of_job[number] = of_job.get(number, 0.0) + waited_s
        known = self.waits.get((job, share.waited_for))
        if known is None:
            found = Wait(job, share.waited_for, 1, waited_s, waited_s, due)
        else:
            found = replace(known, times=known.times + 1, total_s=known.total_s + waited_s)
            if waited_s > known.longest_s:
                found = replace(found, longest_s=waited_s, longest=due)
        self.waits[job, share.waited_for] = found


def waits_for(world: World, run: Run) -> str:
    """What a pending run waits for, by name, so that equal waits have equal words."""
    job = world.definition(run.job)
    if job is None:
        return "a job that is gone"
    for name in heeded(run, job):
        found = judge(name, run.due, world.past.get(name, ()), world.last_success.get(name))
        if isinstance(found, Waits):
            return f"{name} (dependency)"
    if any(other != run.id for other in world.by_job.get(run.job, ())):
        return "an earlier run of its own"
    for group in (job.exclusive, run.batch):
        holder = world.groups.get(group) if group else None
        if holder is not None:
            return f"{world.living[holder].job.name} (group {group})"
    return f"one of {world.config.max_concurrent} places in the pool"


def _is_pending(world: World, number: int) -> bool:
    run = world.runs.get(number)
    return run is not None and (run.due, run.place, run.id) in world.queue
