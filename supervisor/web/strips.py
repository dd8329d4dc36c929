"""The newest runs of each job, for the strips on the page of jobs: kept, not asked anew.

Filled by one request for all jobs and one for each job that it does not cover, at most
once a job; then followed by the events. Dry runs are left out.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from supervisor.core.views import RunView
from supervisor.web.source import AnswerError, Source

LENGTH = 30
# So many jobs are kept; a page shows a hundred.
MOST_JOBS = 2000
AT_ONCE = 8


class PastRun(Struct, frozen=True):
    """An ended run."""

    id: int
    state: str
    due: datetime
    duration_seconds: float | None


class Strips:
    """The last LENGTH ended runs of jobs, oldest first."""

    def __init__(self) -> None:
        self._known: dict[str, deque[PastRun]] = {}

    def of(self, job: str) -> tuple[PastRun, ...]:
        """Return the known runs of a job."""
        return tuple(self._known.get(job, ()))

    def on_run(self, run: RunView) -> None:
        """Take a run that changed."""
        if run.is_final and not run.dry_run and run.job in self._known:
            strip = self._known[run.job]
            if all(known.id != run.id for known in strip):
                strip.append(_past(run))

    async def fill(self, source: Source, jobs: Iterable[str]) -> None:
        """Ask for the runs of the jobs that are not known yet."""
        missing = [job for job in jobs if job not in self._known]
        if not missing:
            return
        self._make_room(len(missing))
        if len(missing) > 1:
            missing = self._take_newest(await source.runs(limit=1000), missing)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(job: str) -> None:
            async with slots:
                try:
                    found = await source.runs(job=job, limit=LENGTH)
                except AnswerError:
                    return
            self._put(job, found)

        await asyncio.gather(*(one(job) for job in missing))

    def _take_newest(self, runs: tuple[RunView, ...], missing: list[str]) -> list[str]:
        """Keep the strips that the newest runs of all jobs cover; return the other jobs."""
        by_job: dict[str, list[RunView]] = {job: [] for job in missing}
        for run in runs:
            if run.job in by_job:
                by_job[run.job].append(run)
        is_all = len(runs) < 1000
        rest = []
        for job, found in by_job.items():
            if is_all or len(found) >= LENGTH:
                self._put(job, tuple(found[:LENGTH]))
            else:
                rest.append(job)
        return rest

    def _put(self, job: str, newest_first: tuple[RunView, ...]) -> None:
        ended = [run for run in newest_first if run.is_final and not run.dry_run]
        self._known[job] = deque(map(_past, reversed(ended)), maxlen=LENGTH)

    def _make_room(self, more: int) -> None:
        while self._known and len(self._known) + more > MOST_JOBS:
            del self._known[next(iter(self._known))]


def _past(run: RunView) -> PastRun:
    return PastRun(run.id, run.state, run.due, run.duration_seconds)
