"""What may be asked, as a list at the bottom: nouns for GET, verbs for POST.

Each route renders what was published, reads history, or hands in a request and
waits for its reply. Answers are `view` values; errors are {"error", "hint"}.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from supervisor.api import bodies
from supervisor.api.answers import Problem, as_json, from_reply, guarded, nowhere
from supervisor.containment import output
from supervisor.core import events as ev
from supervisor.core import explain, schedule, view
from supervisor.core.model import Job, Peer, Run, State
from supervisor.core.world import World
from supervisor.desk import Desk, Reload
from supervisor.ledger.history import History, Wanted
from supervisor.masking import masker

# The tick is alive if it came within this; the container's health check asks.
ALIVE_S = 90.0
REPLY_S = 30.0
RELOAD_S = 90.0
FOLLOW_EVERY_S = 0.2
# A calendar cannot be asked at the ends of time.
_YEARS = range(1970, 9000)

B = TypeVar("B")


class Routes:
    """The answers, over one desk and one state folder."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk = desk
        self._folder = folder
        self._history: History | None = None

    # --- what is known --------------------------------------------------------------

    @property
    def world(self) -> World:
        """The published world."""
        if self._desk.world is None:
            raise Problem(503, "the supervisor is starting")
        return self._desk.world

    @property
    def history(self) -> History:
        """The ledger, opened by this thread at its first use."""
        if self._history is None:
            self._history = History(self._folder)
        return self._history

    def job(self, request: Request) -> Job:
        """The job that the path names."""
        name = request.path_params["job"]
        job = self.world.jobs.get(name)
        if job is None:
            raise Problem(404, f'no job is called "{name}"', "nightshift jobs lists them")
        return job

    def run(self, request: Request) -> Run:
        """The run that the path names, as it is now."""
        number = _number(request.path_params["run"], "run")
        found = self.world.runs.get(number) or self.history.run(number)
        if found is None:
            raise Problem(404, f"no run {number} is known", "nightshift history lists them")
        return found

    # --- GET --------------------------------------------------------------------------

    async def get_status(self, request: Request) -> Response:
        return as_json(view.status(self.world, self._desk.facts, _now()))

    async def get_jobs(self, request: Request) -> Response:
        mask = masker(self.world.config.secrets)
        return as_json({"jobs": [bodies.job(job, mask) for job in view.in_file(self.world)]})

    async def get_job(self, request: Request) -> Response:
        job, mask = self.job(request), masker(self.world.config.secrets)
        shown = bodies.job(job, mask)
        shown["status"] = view.job_status(self.world, job, _now())
        shown["runs"] = [
            view.open_run(self.world, run) for run in self.world.open_runs_of(job.name)
        ]
        if request.query_params.get("env") in ("1", "true"):
            shown["environment"] = bodies.environment(job, mask, os.environ, self._folder)
        return as_json(shown)

    async def get_next(self, request: Request) -> Response:
        most = min(_number(request.query_params.get("n", "5"), "n"), 1000)
        zone = schedule.zone(self.job(request).timezone)
        slots = view.coming(self.world, self.job(request), _now(), most)
        return as_json({"slots": [slot.astimezone(zone) for slot in slots]})

    async def get_explain(self, request: Request) -> Response:
        job = self.job(request)
        zone = schedule.zone(self.world.config.timezone)
        asked = request.query_params.get("at")
        if asked is None:
            newest = self.history.runs(Wanted(job=job.name, limit=1))
            runs = self.world.open_runs_of(job.name) or newest
            facts = [] if runs else [f"{job.name} has not run yet."]
        else:
            at = _instant(asked, "at")
            runs = self.history.runs_at(job.name, at)
            gap = None if runs else self.history.gap_at(job.name, at)
            facts = explain.in_gap(gap, zone) if gap else []
            facts = facts if runs or facts else explain.no_slot(job, at, zone)
        for run in runs:
            now = self.world.runs.get(run.id, run)
            waits = view.waiting_for(self.world, now)
            facts += explain.run(now, self.history.attempts(run.id), waits, zone)
        following = view.job_status(self.world, job, _now()).next_at
        if asked is None and following is not None:
            facts.append(f"Its next slot is {following.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}.")
        return as_json({"job": job.name, "facts": facts})

    async def get_runs(self, request: Request) -> Response:
        query = request.query_params
        state = query.get("state")
        if state is not None and state not in list(State):
            raise Problem(422, f'state "{state}": expected one of {", ".join(State)}')
        wanted = Wanted(
            job=query.get("job"),
            state=state,
            since=_instant(query["since"], "since") if "since" in query else None,
            before=_number(query["before"], "before") if "before" in query else None,
            limit=_number(query.get("limit", "100"), "limit"),
        )
        runs = [self.world.runs.get(run.id, run) for run in self.history.runs(wanted)]
        return as_json({"runs": [self._show(run) for run in runs]})

    async def get_run(self, request: Request) -> Response:
        return as_json(self._show_whole(self.run(request)))

    async def get_log(self, request: Request) -> Response:
        run = self.run(request)
        kind = "text/plain; charset=utf-8"
        mask = masker(self.world.config.secrets)
        if request.query_params.get("follow") in ("1", "true"):
            return StreamingResponse(self._follow(run.id, mask), media_type=kind)
        text = output.join(self._folder / "runs", run.id).decode(errors="replace")
        return Response(mask(text), media_type=kind)

    async def get_incidents(self, request: Request) -> Response:
        limit = _number(request.query_params.get("limit", "100"), "limit")
        found = self.history.incidents(limit)
        return as_json({"incidents": [view.incident_view(each) for each in found]})

    async def get_actions(self, request: Request) -> Response:
        limit = _number(request.query_params.get("limit", "100"), "limit")
        return as_json({"actions": self.history.actions(limit)})

    async def get_health(self, request: Request) -> Response:
        age_s = time.monotonic() - self._desk.ticked_mono
        if self._desk.is_ready and age_s < ALIVE_S:
            return as_json({"healthy": True, "tick_age_seconds": round(age_s, 3)})
        raise Problem(503, f"the last tick was {age_s:.0f} s ago")

    async def get_ready(self, request: Request) -> Response:
        if self.world.ledger_trouble:
            raise Problem(503, f"the ledger cannot be written: {self.world.ledger_trouble}")
        if not self._desk.is_ready or self.world.life != "serving":
            raise Problem(503, f"the supervisor is {self.world.life}")
        return as_json({"ready": True})

    # --- POST -------------------------------------------------------------------------

    async def post_run(self, request: Request) -> Response:
        body = await self._body(request, bodies.RunBody)
        given = msgspec.json.encode(body.set).decode()
        name = request.path_params["job"]
        reply = await self._ask(request, ev.RunJobs((name,), body.with_deps, given, body.dry_run))
        return as_json({"run": self._show_run(reply.runs[-1]), "runs": reply.runs}, 202)

    async def post_run_all(self, request: Request) -> Response:
        body = await self._body(request, bodies.RunAllBody)
        reply = await self._ask(request, ev.RunAll(body.only))
        return as_json({"runs": reply.runs}, 202)

    async def post_cancel_job(self, request: Request) -> Response:
        reply = await self._ask(request, ev.CancelJob(request.path_params["job"]))
        return as_json({"cancelled": reply.runs}, 202)

    async def post_cancel_run(self, request: Request) -> Response:
        run = self.run(request)
        reply = await self._ask(request, ev.CancelRun(run.id))
        return as_json({"cancelled": reply.runs}, 202)

    async def post_pause(self, request: Request) -> Response:
        body = await self._body(request, bodies.PauseBody)
        name = request.path_params.get("job", "")
        await self._ask(request, ev.PauseJob(name, body.for_seconds, body.reason))
        return as_json({"paused": name or "all"})

    async def post_resume(self, request: Request) -> Response:
        body = await self._body(request, bodies.ResumeBody)
        name = request.path_params.get("job", "")
        await self._ask(request, ev.ResumeJob(name, body.from_now))
        return as_json({"resumed": name or "all"})

    async def post_ack(self, request: Request) -> Response:
        body = await self._body(request, bodies.AckBody)
        number = _number(request.path_params["incident"], "incident")
        await self._ask(request, ev.AckIncident(number, body.for_seconds, body.reason))
        return as_json({"acked": number})

    async def post_stop(self, request: Request) -> Response:
        body = await self._body(request, bodies.StopBody)
        await self._ask(request, ev.StopService(body.drain_seconds))
        return as_json({"stopping": True}, 202)

    async def post_reload(self, request: Request) -> Response:
        body = await self._body(request, bodies.ReloadBody)
        answer = self._desk.ask(_peer(request), Reload(body.previous))
        return as_json(await asyncio.wait_for(asyncio.wrap_future(answer), RELOAD_S))

    # --- the way ------------------------------------------------------------------------

    async def _ask(self, request: Request, what: ev.Request) -> ev.Reply:
        answer = self._desk.ask(_peer(request), what)
        reply = await asyncio.wait_for(asyncio.wrap_future(answer), REPLY_S)
        return from_reply(reply)

    async def _body(self, request: Request, kind: type[B]) -> B:
        try:
            return msgspec.json.decode(await request.body() or b"{}", type=kind)
        except ClientDisconnect as error:
            raise Problem(400, "the request did not come whole") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(422, f"the body does not hold: {error}") from error

    def _show_run(self, number: int) -> view.RunView:
        run = self.world.runs.get(number) or self.history.run(number)
        if run is None:
            raise Problem(404, f"no run {number} is known")
        return self._show(run)

    def _show(self, run: Run) -> view.RunView:
        if run.id in self.world.runs:
            return view.open_run(self.world, self.world.runs[run.id])
        return view.run_view(run)

    def _show_whole(self, run: Run) -> view.RunView:
        shown = self._show(run)
        return view.run_view(run, self.history.attempts(run.id), shown.pid, shown.cause)

    async def _follow(self, run: int, mask: Callable[[str], str]) -> AsyncIterator[bytes]:
        """The log as it grows, until the run is final."""
        sent = 0
        while True:
            is_over = run not in self.world.runs and run not in self.world.living
            whole = output.join(self._folder / "runs", run)
            if len(whole) > sent:
                yield mask(whole[sent:].decode(errors="replace")).encode()
                sent = len(whole)
            if is_over:
                return
            await asyncio.sleep(FOLLOW_EVERY_S)


def application(desk: Desk, folder: Path) -> Starlette:
    """The routes of section 7, as one list."""
    r = Routes(desk, folder)
    gets: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/v1/status", r.get_status),
        ("/v1/jobs", r.get_jobs),
        ("/v1/jobs/{job}", r.get_job),
        ("/v1/jobs/{job}/next", r.get_next),
        ("/v1/jobs/{job}/explain", r.get_explain),
        ("/v1/runs", r.get_runs),
        ("/v1/runs/{run}", r.get_run),
        ("/v1/runs/{run}/log", r.get_log),
        ("/v1/incidents", r.get_incidents),
        ("/v1/actions", r.get_actions),
        ("/healthz", r.get_health),
        ("/readyz", r.get_ready),
    ]
    posts: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/v1/jobs/{job}/run", r.post_run),
        ("/v1/run-all", r.post_run_all),
        ("/v1/jobs/{job}/cancel", r.post_cancel_job),
        ("/v1/runs/{run}/cancel", r.post_cancel_run),
        ("/v1/jobs/{job}/pause", r.post_pause),
        ("/v1/jobs/{job}/resume", r.post_resume),
        ("/v1/pause", r.post_pause),
        ("/v1/resume", r.post_resume),
        ("/v1/reload", r.post_reload),
        ("/v1/stop", r.post_stop),
        ("/v1/incidents/{incident}/ack", r.post_ack),
    ]
    routes = [Route(path, guarded(ask), methods=["GET"]) for path, ask in gets]
    routes += [Route(path, guarded(ask), methods=["POST"]) for path, ask in posts]
    return Starlette(routes=routes, exception_handlers={404: nowhere, 405: nowhere})


def _peer(request: Request) -> Peer:
    uid, pid = request.client if request.client is not None else ("-1", 0)
    return Peer(int(uid), pid)


def _now() -> datetime:
    return datetime.now(UTC)


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(422, f'{name} "{text[:40]}": expected a whole number')
    return int(text)


def _instant(text: str, name: str) -> datetime:
    with contextlib.suppress(ValueError, OverflowError):
        # A plus sign in a query string means a blank.
        instant = datetime.fromisoformat(text.replace(" ", "+"))
        if instant.tzinfo is not None and instant.year in _YEARS:
            return instant.astimezone(UTC)
    raise Problem(
        422,
        f'{name} "{text[:40]}": expected RFC 3339 with an offset, such as 2026-02-09T00:00:00Z',
    )
