"""The status as JSON, written piece by piece: what has not changed is not written again.

A thousand jobs and as many open runs are half a megabyte, and in a burst each
turn changes a few of them. Each piece is kept with the values it was made of;
a piece whose words depend on the clock (a pause, a calendar) is always made anew.
"""

from datetime import datetime
from operator import is_
from typing import Any

import msgspec
from msgspec import Raw

from supervisor.core import showing
from supervisor.core.model import Job, Run
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.view import Facts, Status
from supervisor.core.world import World

_encode = msgspec.json.Encoder(enc_hook=str).encode
_Piece = tuple[tuple[Any, ...], Raw]


class Roll:
    """The pieces of the last answer; it belongs to one thread."""

    def __init__(self) -> None:
        self._known: PersistentMap[str, Job] | None = None
        self._in_file: list[Job] = []
        self._jobs: dict[str, _Piece] = {}
        self._runs: dict[int, _Piece] = {}

    def status(self, world: World, facts: Facts, now: datetime) -> Status:
        """The status, to be encoded; its jobs and runs are JSON already."""
        if self._known is not world.jobs:
            self._known, self._in_file = world.jobs, showing.in_file(world)
        self._jobs = {job.name: self._job(world, job, now) for job in self._in_file}
        self._runs = {run.id: self._run(world, run) for run in showing.by_age(world)}
        jobs: Any = tuple(piece for _, piece in self._jobs.values())
        runs: Any = tuple(piece for _, piece in self._runs.values())
        return showing.glance(world, facts, now, jobs, runs)

    def _job(self, world: World, job: Job, now: datetime) -> _Piece:
        mark, slot = world.marks.get(job.name), world.next_slot.get(job.name)
        of = (job, world.last.get(job.name), slot)
        is_paused = world.paused is not None or (mark is not None and mark.pause is not None)
        if is_paused or (slot is None and job.cron):
            return (), Raw(_encode(showing.job_status(world, job, now)))
        known = self._jobs.get(job.name)
        if known is not None and _are_same(known[0], of):
            return known
        return of, Raw(_encode(showing.job_status(world, job, now)))

    def _run(self, world: World, run: Run) -> _Piece:
        pid, cause = showing.pid_of(world, run), showing.waiting_for(world, run) or run.cause
        known = self._runs.get(run.id)
        if known is not None:
            (run_before, pid_before, cause_before), _ = known
            if run_before is run and pid_before == pid and cause_before == cause:
                return known
        return (run, pid, cause), Raw(_encode(showing.run_view(run, pid=pid, cause=cause)))


def _are_same(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    """Whether these are the very values; to compare them would cost more than to write them."""
    return len(before) == len(after) and all(map(is_, before, after))
