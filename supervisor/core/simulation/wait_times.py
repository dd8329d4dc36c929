"""What pending runs waited for, and for how long, during a simulation.

Pure. A wait is named by what blocked the run: a dependency, an earlier run of the
job, the holder of its group, or a full pool. A run that waited for two things in turn
counts for both. If very many runs wait, what each waits for is checked once a
minute; the beginning and end of a wait are always exact.
"""

from datetime import datetime

from msgspec import Struct

from supervisor.core.admission import jobs_depended_on, place_in_pool
from supervisor.core.cluster_hosts import in_words, labels_for
from supervisor.core.dependencies import Waiting, evaluate
from supervisor.core.effects import Launch, Record
from supervisor.core.events import Started, TimePassed
from supervisor.core.model import Run, State, replace
from supervisor.core.simulation.engine import Step
from supervisor.core.state import SchedulerState


def in_full(name: str) -> str | None:
    """Return the external name of a duration field, `*_seconds`; None: unchanged."""
    return f"{name[:-2]}_seconds" if name.endswith("_s") else None


class Wait(Struct, frozen=True, rename=in_full):
    """Waits of a job's runs for the same thing; longest: due of the run that waited longest."""

    job: str
    waited_for: str
    times: int
    total_s: float
    longest_s: float
    longest: datetime


# Up to this many waiting runs are checked after each turn.
FEW = 16


class Share(Struct, frozen=True):
    """A run, what it waits for, and since when."""

    run: Run
    waited_for: str
    since: datetime


class WaitRecorder:
    """Waits in progress, and totals of those that ended."""

    def __init__(self) -> None:
        self.waits: dict[tuple[str, str], Wait] = {}
        self._waited_s: dict[str, dict[int, float]] = {}
        self._shares: dict[int, Share] = {}

    def observe(self, step: Step) -> None:
        """Record the waits that ended, changed or began in a turn."""
        now, scheduler = step.event.at.wall, step.scheduler
        changed = [
            action.row
            for action in step.actions
            if isinstance(action, Record) and isinstance(action.row, Run)
        ]
        for run in changed:
            if run.state is not State.PENDING:
                self._end(run.id, now)
        if scheduler.is_leader:
            self._observe_hosts(step, now)
        if not scheduler.queue:
            return
        is_minute = isinstance(step.event, TimePassed)
        if is_minute or len(scheduler.queue) <= FEW:
            numbers = [number for _, _, number in scheduler.queue]
        else:
            numbers = [run.id for run in changed]
        for number in numbers:
            run_now = scheduler.runs.get(number)
            if run_now is not None and run_now.state is State.PENDING:
                self._wait(run_now, waits_for(scheduler, run_now), now)

    def _observe_hosts(self, step: Step, now: datetime) -> None:
        """Record how long an attempt that a leader has given out waits for its host."""
        if isinstance(step.event, Started):
            self._end(step.event.run, now)
        for action in step.actions:
            if isinstance(action, Launch):
                host = in_words(labels_for(action.job, action.run.on_host))
                self._wait(action.run, f"a place on {host}", now)

    def close(self, now: datetime) -> None:
        """End the waits that are still in progress."""
        for number in list(self._shares):
            self._end(number, now)

    def of_job(self, job: str) -> list[float]:
        """Return how long each run of a job waited, in seconds, for those that did."""
        return list(self._waited_s.get(job, {}).values())

    def _wait(self, run: Run, obstacle: str, now: datetime) -> None:
        share = self._shares.get(run.id)
        if share is None or share.waited_for != obstacle:
            self._end(run.id, now)
            self._shares[run.id] = Share(run, obstacle, now)

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


def waits_for(scheduler: SchedulerState, run: Run) -> str:
    """Return what a pending run waits for, by name, so that equal waits have equal texts."""
    job = scheduler.definition(run.job)
    if job is None:
        return "a job that is gone"
    for name in jobs_depended_on(run, job):
        found = evaluate(
            name, run.due, scheduler.recent_runs.get(name, ()), scheduler.last_success.get(name)
        )
        if isinstance(found, Waiting):
            return f"{name} (dependency)"
    if any(other != run.id for other in scheduler.by_job.get(run.job, ())):
        return "an earlier run of its own"
    for group in (job.exclusive, run.batch):
        holder = scheduler.groups.get(group) if group else None
        if holder is not None:
            return f"{scheduler.live_attempts[holder].job.name} (group {group})"
    return place_in_pool(scheduler.config.max_concurrent)
