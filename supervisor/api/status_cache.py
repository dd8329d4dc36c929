"""Caches the encoded JSON of unchanged jobs and runs for `GET /v1/status`.

1000 jobs and as many open runs are 0.5 MB, and in a burst each turn changes a few of
them. Each piece is kept with the values from which it was encoded. A piece that
depends on the clock (a pause, a calendar) is always encoded again.
"""

from datetime import datetime
from operator import is_
from typing import Any

import msgspec
from msgspec import Raw

from supervisor.core import build_views
from supervisor.core.config_model import Job
from supervisor.core.model import Run
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts, Status

_encode = msgspec.json.Encoder(enc_hook=str).encode
_Piece = tuple[tuple[Any, ...], Raw]


class StatusCache:
    """The encoded pieces of the last response; not thread-safe."""

    def __init__(self) -> None:
        self._known: PersistentMap[str, Job] | None = None
        self._in_file: list[Job] = []
        self._jobs: dict[str, _Piece] = {}
        self._runs: dict[int, _Piece] = {}

    def status(
        self, scheduler: SchedulerState, facts: Facts, now: datetime, mono: float
    ) -> Status:
        """Return the status, in which jobs and runs are already encoded as JSON."""
        if self._known is not scheduler.jobs:
            self._known, self._in_file = scheduler.jobs, build_views.jobs_in_file_order(scheduler)
        self._jobs = {job.name: self._job(scheduler, job, now) for job in self._in_file}
        self._runs = {
            run.id: self._run(scheduler, run) for run in build_views.jobs_by_age(scheduler)
        }
        jobs: Any = tuple(piece for _, piece in self._jobs.values())
        runs: Any = tuple(piece for _, piece in self._runs.values())
        return build_views.summary_view(scheduler, facts, now, mono, jobs, runs)

    def _job(self, scheduler: SchedulerState, job: Job, now: datetime) -> _Piece:
        mark, slot = scheduler.job_records.get(job.name), scheduler.next_slot.get(job.name)
        of = (job, scheduler.last_run.get(job.name), slot)
        is_paused = scheduler.paused is not None or (mark is not None and mark.pause is not None)
        if is_paused or (slot is None and job.cron):
            return (), Raw(_encode(build_views.job_status(scheduler, job, now)))
        known = self._jobs.get(job.name)
        if known is not None and _are_same(known[0], of):
            return known
        return of, Raw(_encode(build_views.job_status(scheduler, job, now)))

    def _run(self, scheduler: SchedulerState, run: Run) -> _Piece:
        pid, cause = (
            build_views.pid_of(scheduler, run),
            build_views.why_waiting_of(scheduler, run) or run.cause,
        )
        known = self._runs.get(run.id)
        if known is not None:
            (run_before, pid_before, cause_before), _ = known
            if run_before is run and pid_before == pid and cause_before == cause:
                return known
        return (run, pid, cause), Raw(_encode(build_views.run_view(run, pid=pid, cause=cause)))


def _are_same(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    """Return whether the values are identical; equality would cost more than encoding."""
    return len(before) == len(after) and all(map(is_, before, after))
