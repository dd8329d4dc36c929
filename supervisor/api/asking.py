"""POST: requests handed to the loop, and its replies."""

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from supervisor.api import bodies, shapes
from supervisor.api.answers import Problem, as_json, from_reply
from supervisor.api.ground import Ground
from supervisor.api.parameters import INCIDENT, JOB
from supervisor.core import asks
from supervisor.core.model import Peer
from supervisor.desk import Reload, TestAlert
from supervisor.state_folder import StateFolder

REPLY_S = 30.0
RELOAD_S = 90.0
# Longer than a call may take, and the child that makes it.
TEST_S = 45.0

B = TypeVar("B")


class Asking:
    """The answers to requests."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def post_run(self, request: Request) -> Response:
        body = await self._body(request, bodies.RunBody)
        given = msgspec.json.encode(body.set).decode()
        wanted = asks.RunJobs((JOB.of(request),), body.with_deps, given, body.dry_run)
        return self._opened(await self._ask(request, wanted))

    async def post_run_all(self, request: Request) -> Response:
        body = await self._body(request, bodies.RunAllBody)
        reply = await self._ask(request, asks.RunAll(body.only))
        return as_json(shapes.OpenedAll(reply.runs), 202)

    async def post_cancel_job(self, request: Request) -> Response:
        reply = await self._ask(request, asks.CancelJob(JOB.of(request)))
        return as_json(shapes.Cancelled(reply.runs), 202)

    async def post_cancel_run(self, request: Request) -> Response:
        run = self._ground.run(request)
        reply = await self._ask(request, asks.CancelRun(run.id))
        return as_json(shapes.Cancelled(reply.runs), 202)

    async def post_pause(self, request: Request) -> Response:
        body = await self._body(request, bodies.PauseBody)
        name = request.path_params.get("job", "")
        await self._ask(request, asks.PauseJob(name, body.for_seconds, body.reason))
        return as_json(shapes.Paused(name or "all"))

    async def post_resume(self, request: Request) -> Response:
        body = await self._body(request, bodies.ResumeBody)
        name = request.path_params.get("job", "")
        await self._ask(request, asks.ResumeJob(name, body.from_now))
        return as_json(shapes.Resumed(name or "all"))

    async def post_ack(self, request: Request) -> Response:
        body = await self._body(request, bodies.AckBody)
        number = INCIDENT.of(request)
        await self._ask(request, asks.AckIncident(number, body.for_seconds, body.reason))
        return as_json(shapes.Acked(number))

    async def post_restore(self, request: Request) -> Response:
        body = await self._body(request, bodies.RestoreBody)
        wanted = asks.RestoreBackup(body.file, body.target, body.force, body.unproven)
        return self._opened(await self._ask(request, wanted))

    async def post_stop(self, request: Request) -> Response:
        body = await self._body(request, bodies.StopBody)
        await self._ask(request, asks.StopService(body.drain_seconds))
        return as_json(shapes.Stopping(True), 202)

    async def post_reload(self, request: Request) -> Response:
        body = await self._body(request, bodies.ReloadBody)
        if body.previous and not StateFolder(self._ground.folder).previous.exists():
            hint = "one is kept as soon as a second text of jobs.yaml was accepted"
            raise Problem(409, "no earlier text of jobs.yaml is kept", hint)
        answer = self._ground.desk.ask(_peer(request), Reload(body.previous))
        return as_json(await asyncio.wait_for(asyncio.wrap_future(answer), RELOAD_S))

    async def post_notify_test(self, request: Request) -> Response:
        await self._ask(request, asks.NotifyTest())
        answer = self._ground.desk.ask(_peer(request), TestAlert())
        outcome = await asyncio.wait_for(asyncio.wrap_future(answer), TEST_S)
        if outcome.cause:
            hint = "notify.slack in jobs.yaml is its URL; nightshift status says what waits"
            raise Problem(502, f"the test alert did not arrive: {outcome.cause}", hint)
        return as_json(shapes.Delivered("slack"))

    async def _ask(self, request: Request, what: asks.Request) -> asks.Reply:
        answer = self._ground.desk.ask(_peer(request), what)
        reply = await asyncio.wait_for(asyncio.wrap_future(answer), REPLY_S)
        return from_reply(reply)

    def _opened(self, reply: asks.Reply) -> Response:
        """The run that was asked for is the last one: its dependencies stand before it."""
        run = self._ground.show(self._ground.run_of(reply.runs[-1]))
        return as_json(shapes.Opened(run, reply.runs), 202)

    async def _body(self, request: Request, kind: type[B]) -> B:
        try:
            return msgspec.json.decode(await self._bytes(request) or b"{}", type=kind)
        except ClientDisconnect as error:
            raise Problem(400, "the request did not come whole") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(422, f"the body does not hold: {error}") from error

    async def _bytes(self, request: Request) -> bytes:
        """The body; of one that is too large the rest is taken, for many read no answer before."""
        most, size = self._ground.limits.body_bytes, 0
        pieces: list[bytes] = []
        async for piece in request.stream():
            size += len(piece)
            if size <= most:
                pieces.append(piece)
        if size > most:
            raise Problem(413, f"a body of more than {most} bytes")
        return b"".join(pieces)


def _peer(request: Request) -> Peer:
    uid, pid = request.client if request.client is not None else ("-1", 0)
    return Peer(int(uid), pid)
