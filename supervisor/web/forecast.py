"""The coming hours by the supervisor's own rules, from what the socket tells.

Pure: `core/simulation` gets the definitions and the state. How long a job takes is the
median of its last successes. Bounded in steps and bars, whatever the definitions are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from statistics import median

import msgspec

from supervisor.config.definitions import job_from
from supervisor.core.config_model import Config, Job, Notify
from supervisor.core.effects import Launch
from supervisor.core.events import At, Exited, Memory, Restored
from supervisor.core.model import FINAL, JobRecord, Pause, Run, State, Trigger, replace
from supervisor.core.views import Definition, Status
from supervisor.web.strips import PastRun

ASSUMED_S = 10.0
MOST_STEPS, MOST_PLANNED = 6000, 1500
# More jobs than these are not simulated: each tick would be a noticeable time.
MOST_JOBS = 500


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that will come, if nothing changes."""

    job: str
    due: datetime
    begin: datetime
    end: datetime


def usual_seconds(runs: Iterable[PastRun]) -> float:
    """Return how long a job usually takes."""
    known = [run.duration_seconds for run in runs if run.state == "success"]
    seconds = [each for each in known if each is not None]
    return median(seconds) if seconds else ASSUMED_S


def planned(
    status: Status,
    definitions: Iterable[Definition],
    seconds: Mapping[str, float],
    now: datetime,
    until: datetime,
) -> tuple[Planned, ...]:
    """Return the runs that begin in (now, until], by their begin."""
    jobs = _scheduled_jobs(definitions)
    if not jobs or len(jobs) > MOST_JOBS:
        return ()
    config = Config(
        jobs, timezone=status.timezone, max_concurrent=status.pool.max, notify=Notify()
    )
    from supervisor.core.simulation.engine import Ending, simulate  # for this page only

    restored = Restored(At(now, 0.0), config, _memory(status, now))

    def ending(launch: Launch) -> Ending:
        return Ending(max(0.1, seconds.get(launch.run.job, ASSUMED_S)))

    begun: dict[tuple[int, int], tuple[str, datetime, datetime]] = {}
    found: list[Planned] = []
    for step in islice(simulate(restored, until, ending), MOST_STEPS):
        at = step.event.at.wall
        for action in step.actions:
            if isinstance(action, Launch):
                begun[action.run.id, action.run.attempt] = (action.run.job, action.run.due, at)
        if isinstance(step.event, Exited):
            known = begun.pop((step.event.run, step.event.attempt), None)
            if known is not None:
                found.append(Planned(*known, at))
        if len(found) >= MOST_PLANNED:
            break
    living = [Planned(*known, until + timedelta(hours=1)) for known in begun.values()]
    return tuple(sorted([*found, *living], key=lambda each: each.begin))


def _scheduled_jobs(definitions: Iterable[Definition]) -> tuple[Job, ...]:
    """Return the jobs to simulate; one that another version wrote is left out."""
    jobs = []
    for place, definition in enumerate(definitions):
        try:
            jobs.append(replace(job_from(definition, place), run_on_startup=False, heartbeat=None))
        except msgspec.ValidationError:
            continue
    return tuple(jobs)


def _memory(status: Status, now: datetime) -> Memory:
    """Return the last results and pauses; all slots up to now are done."""
    runs = tuple(
        Run(last.run, job.name, last.started_at or now, Trigger.MANUAL, State(last.state))
        for job in status.jobs
        if (last := job.last) is not None and last.state in FINAL
    )
    marks = tuple(
        JobRecord(job.name, now, Pause(job.paused_until, "") if job.is_paused else None)
        for job in status.jobs
    )
    paused = None if status.paused is None else Pause(status.paused.until, "")
    return Memory(
        runs=tuple(sorted(runs, key=lambda run: run.id)),
        marks=marks,
        paused=paused,
        next_run=max((run.id for run in runs), default=0) + 1,
    )
