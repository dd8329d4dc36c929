"""What the worker of a job takes: asked of a child process, which imports it as a check does.

The child belongs to the page. Nothing of the user's is imported here, and the supervisor
is asked for the definition only. A description is kept for FRESH_S for the same definition.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool

from supervisor.config.result import Location, WorkerReference
from supervisor.core.responses import JobDetail
from supervisor.web.views.parameters import has_secret

if TYPE_CHECKING:
    from supervisor.config.worker_check import Description

# An edited worker shows after so long.
FRESH_S = 60.0
MOST_KEPT, AT_ONCE = 100, 2


class WorkerReader:
    """Reads workers in child processes, AT_ONCE at a time."""

    def __init__(self) -> None:
        self._known: dict[WorkerReference, tuple[float, Description]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    async def description(self, job: JobDetail) -> "Description":
        """Return what the worker of a job takes. job: with its environment."""
        use, now = _reference(job, job.with_), time.monotonic()
        read_mono, found = self._known.get(use, (-FRESH_S, None))
        if found is None or now - read_mono >= FRESH_S:
            found = await self._read(use)
            self._known = dict(list(self._known.items())[-MOST_KEPT + 1 :])
            self._known[use] = (time.monotonic(), found)
        return found

    async def errors(self, job: JobDetail, changed: Mapping[str, Any]) -> dict[str, str]:
        """Return what the worker's own check says of these values, by parameter.

        Only what the page can be sure of: it knows neither the secrets among the other
        values, nor whether the service could import a module that this process cannot.
        """
        found = await self._read(_reference(job, {**job.with_, **changed}))
        said: dict[str, str] = {}
        for problem in found.problems:
            name = problem.path.removeprefix(f"jobs.{job.name}.").removeprefix("with.")
            is_ours = name.partition(".")[0] in changed or not has_secret(job.with_)
            if problem.path != f"jobs.{job.name}.worker" and is_ours:
                hint = f" ({problem.hint})" if problem.hint else ""
                said[name] = f"{problem.message}{hint}"
        return said if found.is_known else {}

    async def _read(self, use: WorkerReference) -> "Description":
        from supervisor.config.worker_check import describe_worker  # for a form only

        async with self._places:
            return await run_in_threadpool(describe_worker, use, os.environ)


def _reference(job: JobDetail, given: Mapping[str, Any]) -> WorkerReference:
    """Return the worker with these parameters, in the environment that the socket names."""
    return WorkerReference(
        job=job.name,
        worker=job.worker or "",
        params_json=msgspec.json.encode(given).decode(),
        python=job.python,
        cwd=job.cwd,
        env=tuple((job.environment or {}).items()),
        inherit_env=False,
        enabled=True,
        spots=(Location("worker", 1, 1),),
    )
