"""GET handlers: published state, history from the ledger, logs, events, metrics."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from supervisor.api import log_parts
from supervisor.api import parameters as given
from supervisor.api.bridge import ListBackups
from supervisor.api.context import HandlerContext, now, peer_of
from supervisor.api.errors import HttpError, as_json
from supervisor.api.piecewise import PiecewiseResponse, list_response
from supervisor.api.status_cache import StatusCache
from supervisor.backups.model import Backups
from supervisor.config import definitions
from supervisor.config.fingerprint import LARGEST_BYTES
from supervisor.core import build_views, explain, responses, schedule
from supervisor.core.config_model import Job
from supervisor.core.model import MissedRange, Run
from supervisor.core.slots import pause_cause
from supervisor.core.views import RunView
from supervisor.ledger.queries import RunFilter
from supervisor.redaction.mask import Mask
from supervisor.state_dir import StateDir
from workers.regular_file import read_regular


class MetricsHandler:
    """Handler of `/metrics`."""

    def __init__(self, context: HandlerContext) -> None:
        self._context = context

    async def get_metrics(self, request: Request) -> Response:
        # Imported late: it costs 14 MB and 70 ms, and only scrapes need it.
        from supervisor.api import metrics

        bridge = self._context.bridge
        seen = metrics.Snapshot(
            self._context.scheduler,
            bridge.facts,
            bridge.tally,
            now(),
            _resident_bytes(),
            time.monotonic(),
        )
        pieces, kind = metrics.pieces(seen, request.headers.get("accept", ""))
        text = bytearray()
        for piece in pieces:
            text += piece
            await asyncio.sleep(0)  # let other requests run between pieces
        return Response(bytes(text), headers={"Content-Type": kind})


# The service is healthy if the last tick is more recent; used by the container health check.
ALIVE_S = 90.0
# Lines of jobs.yaml.
MASKED_AT_ONCE = 500
# A list of backups is read again if it is older.
_FRESH = timedelta(seconds=10)
# Longer than the child may take that reads the folders.
LISTED_S = 25.0


class GetHandlers:
    """Handlers of all other GET routes."""

    def __init__(self, context: HandlerContext) -> None:
        self._context = context
        self._roll = StatusCache()
        self._backups: Backups | None = None
        self._listing = asyncio.Lock()

    async def get_status(self, request: Request) -> Response:
        return as_json(
            self._roll.status(
                self._context.scheduler, self._context.bridge.facts, now(), time.monotonic()
            )
        )

    async def get_jobs(self, request: Request) -> Response:
        mask, in_file = (
            self._context.bridge.mask,
            build_views.jobs_in_file_order(self._context.scheduler),
        )
        return as_json(
            responses.Jobs(tuple(definitions.definition_of(job, mask) for job in in_file))
        )

    async def get_job(self, request: Request) -> Response:
        job, scheduler = self._context.job(request), self._context.scheduler
        mask = self._context.bridge.mask
        environment = None
        if given.ENV.of(request):
            environment = definitions.environment(job, mask, os.environ, self._context.folder)
        definition = definitions.definition_of(job, mask)
        whole = responses.JobDetail(
            *(getattr(definition, name) for name in definition.__struct_fields__),
            status=build_views.job_status(scheduler, job, now()),
            runs=tuple(
                build_views.open_run(scheduler, run) for run in scheduler.open_runs_of(job.name)
            ),
            environment=environment,
        )
        return as_json(whole)

    async def get_next(self, request: Request) -> Response:
        job = self._context.job(request)
        zone = schedule.zone(job.timezone)
        slots = build_views.next_slots(
            self._context.scheduler, job, now(), given.SLOTS.of(request)
        )
        return as_json(responses.Slots(tuple(slot.astimezone(zone) for slot in slots)))

    async def get_explain(self, request: Request) -> Response:
        job, at = self._context.job(request), given.AT.of(request)
        zone = schedule.zone(self._context.scheduler.config.timezone)
        runs = self._newest(job) if at is None else self._context.history.runs_at(job.name, at)
        facts = [] if runs else explain.no_run(job, at, self._gap(job, at), zone, now())
        for run in runs:
            facts += self._facts_of(run)
        if at is None:
            scheduler = self._context.scheduler
            following = build_views.job_status(scheduler, job, now()).next_at
            pause = scheduler.pause_over(job.name, now())
            paused = "" if pause is None else pause_cause(pause)
            facts += explain.outlook(job, following, paused, zone)
        return as_json(responses.Explained(job.name, tuple(facts)))

    async def get_run_explained(self, request: Request) -> Response:
        run = self._context.run(request)
        return as_json(responses.Explained(run.job, tuple(self._facts_of(run))))

    async def get_runs(self, request: Request) -> Response:
        wanted = RunFilter(
            job=given.OF_JOB.of(request),
            state=given.STATE.of(request),
            since=given.SINCE.of(request),
            until=given.UNTIL.of(request),
            before=given.BEFORE.of(request),
            limit=given.LIMIT.of(request),
        )
        return list_response("runs", self._context.history.run_ids(wanted), self._run_views)

    def _run_views(self, ids: Sequence[int]) -> list[RunView]:
        return [self._context.run_view(run) for run in self._context.history.runs_of(ids)]

    async def get_run(self, request: Request) -> Response:
        return as_json(self._context.run_view_with_attempts(self._context.run(request)))

    async def get_log(self, request: Request) -> Response:
        run = self._context.run(request)
        mask = self._context.bridge.mask
        grep, wanted = given.GREP.of(request), log_parts.byte_range(given.RANGE.of(request))
        if not given.FOLLOW.of(request):
            return await self._context.feed.kept_log(run.id, mask, grep, wanted)
        if grep is not None or wanted is not None:
            raise HttpError(422, "follow: expected it without grep and Range")
        return self._context.feed.log(run.id, mask)

    async def get_config(self, request: Request) -> Response:
        text = read_regular(StateDir(self._context.folder).accepted, LARGEST_BYTES)
        return PiecewiseResponse(
            _masked_lines(text, self._context.bridge.mask), media_type="text/plain; charset=utf-8"
        )

    async def get_backups(self, request: Request) -> Response:
        """Answer from the last list if it is recent; a request that waits shares the child."""
        async with self._listing:
            if self._backups is None or now() - self._backups.read_at > _FRESH:
                answer = self._context.bridge.submit(peer_of(request), ListBackups())
                self._backups = await asyncio.wait_for(asyncio.wrap_future(answer), LISTED_S)
        return as_json(self._backups)

    async def get_incidents(self, request: Request) -> Response:
        found = self._context.history.incidents(given.LIMIT.of(request))
        waiting = self._context.scheduler.waiting_alerts
        shown = tuple(build_views.incident_view(each, waiting) for each in found)
        return as_json(responses.Incidents(shown))

    async def get_actions(self, request: Request) -> Response:
        return as_json(
            responses.Actions(tuple(self._context.history.actions(given.LIMIT.of(request))))
        )

    async def get_reloads(self, request: Request) -> Response:
        return as_json(
            responses.Reloads(tuple(self._context.history.reloads(given.LIMIT.of(request))))
        )

    async def get_events(self, request: Request) -> Response:
        return self._context.feed.events(given.LAST_EVENT.of(request))

    async def get_health(self, request: Request) -> Response:
        age_s = time.monotonic() - self._context.bridge.ticked_mono
        if self._context.bridge.is_ready and age_s < ALIVE_S:
            return as_json(responses.Health(healthy=True, tick_age_seconds=round(age_s, 3)))
        raise HttpError(503, f"the last tick was {age_s:.0f} s ago")

    async def get_ready(self, request: Request) -> Response:
        scheduler = self._context.scheduler
        if scheduler.ledger_error:
            raise HttpError(503, f"the ledger cannot be written: {scheduler.ledger_error}")
        if not self._context.bridge.is_ready or scheduler.life != "serving":
            raise HttpError(503, f"the supervisor is {scheduler.life}")
        return as_json(responses.Readiness(True))

    def _facts_of(self, run: Run) -> list[str]:
        """Return the sentences that explain the current state of a run."""
        zone = schedule.zone(self._context.scheduler.config.timezone)
        open_now = self._context.scheduler.runs.get(run.id, run)
        waits = build_views.why_waiting_of(self._context.scheduler, open_now)
        return explain.run(open_now, self._context.attempts(run), waits, zone)

    def _newest(self, job: Job) -> list[Run]:
        """Return the open runs of a job, or its newest run if none is open."""
        return self._context.scheduler.open_runs_of(job.name) or self._context.history.runs(
            RunFilter(job=job.name, limit=1)
        )

    def _gap(self, job: Job, at: datetime | None) -> MissedRange | None:
        return None if at is None else self._context.history.gap_at(job.name, at)


def _resident_bytes() -> int | None:
    """Return the resident memory of this process, as the kernel counts it (proc(5), statm)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None


async def _masked_lines(text: bytes, mask: Mask) -> AsyncIterator[bytes]:
    """Yield a text with secrets masked, some lines at a time; other requests run between."""
    lines = text.decode(errors="replace").splitlines(keepends=True)
    for begin in range(0, len(lines), MASKED_AT_ONCE):
        yield mask("".join(lines[begin : begin + MASKED_AT_ONCE])).encode(errors="replace")
        await asyncio.sleep(0)
