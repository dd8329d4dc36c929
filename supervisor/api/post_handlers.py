"""POST handlers: each submits a request to the loop and returns the reply."""

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from supervisor.api import request_bodies
from supervisor.api.bridge import Reload, TestAlert
from supervisor.api.context import HandlerContext, peer_of
from supervisor.api.errors import HttpError, as_json, require_ok
from supervisor.api.parameters import INCIDENT, JOB
from supervisor.core import control_requests, responses
from supervisor.state_dir import StateDir

REPLY_S = 30.0
RELOAD_S = 90.0
# Longer than one call may take, including the start of its child process.
TEST_S = 45.0

B = TypeVar("B")


class PostHandlers:
    """Handlers of all POST routes."""

    def __init__(self, context: HandlerContext) -> None:
        self._context = context

    async def post_run(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.RunBody)
        given = msgspec.json.encode(body.set).decode()
        wanted = control_requests.RunJobs(
            (JOB.of(request),), body.with_deps, given, body.dry_run, body.on_host
        )
        return self._opened(await self._submit(request, wanted))

    async def post_run_all(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.RunAllBody)
        reply = await self._submit(request, control_requests.RunAll(body.only))
        return as_json(responses.OpenedAll(reply.runs), 202)

    async def post_cancel_job(self, request: Request) -> Response:
        reply = await self._submit(request, control_requests.CancelJob(JOB.of(request)))
        return as_json(responses.Cancelled(reply.runs), 202)

    async def post_cancel_run(self, request: Request) -> Response:
        run = self._context.run(request)
        reply = await self._submit(request, control_requests.CancelRun(run.id))
        return as_json(responses.Cancelled(reply.runs), 202)

    async def post_pause(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.PauseBody)
        name = request.path_params.get("job", "")
        await self._submit(request, control_requests.PauseJob(name, body.for_seconds, body.reason))
        return as_json(responses.Paused(name or "all"))

    async def post_resume(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.ResumeBody)
        name = request.path_params.get("job", "")
        await self._submit(request, control_requests.ResumeJob(name, body.from_now))
        return as_json(responses.Resumed(name or "all"))

    async def post_ack(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.AckBody)
        number = INCIDENT.of(request)
        await self._submit(
            request, control_requests.AckIncident(number, body.for_seconds, body.reason)
        )
        return as_json(responses.Acked(number))

    async def post_restore(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.RestoreBody)
        wanted = control_requests.RestoreBackup(body.file, body.target, body.force, body.unproven)
        return self._opened(await self._submit(request, wanted))

    async def post_verify(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.VerifyBody)
        wanted = control_requests.VerifyBackup(body.file)
        return self._opened(await self._submit(request, wanted))

    async def post_stop(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.StopBody)
        await self._submit(request, control_requests.StopService(body.drain_seconds))
        return as_json(responses.Stopping(True), 202)

    async def post_reload(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.ReloadBody)
        if body.previous and not StateDir(self._context.folder).previous.exists():
            hint = "one is kept as soon as a second text of jobs.yaml was accepted"
            raise HttpError(409, "no earlier text of jobs.yaml is kept", hint)
        answer = self._context.bridge.submit(peer_of(request), Reload(body.previous))
        return as_json(await asyncio.wait_for(asyncio.wrap_future(answer), RELOAD_S))

    async def post_membership(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.MembershipBody)
        wanted = control_requests.ConfirmHost(body.for_seconds, body.grace_seconds)
        await self._submit(request, wanted)
        return as_json(responses.Confirmed(body.for_seconds))

    async def post_notify_test(self, request: Request) -> Response:
        body = await self._body(request, request_bodies.NotifyTestBody)
        await self._submit(request, control_requests.NotifyTest(body.channel))
        channels = self._context.scheduler.config.notify.channels
        names = [each.name for each in channels if body.channel in ("", each.name)]
        if not names:
            raise HttpError(404, f'no channel is called "{body.channel}" any more')
        submit, peer = self._context.bridge.submit, peer_of(request)
        answers = [asyncio.wrap_future(submit(peer, TestAlert(name))) for name in names]
        outcomes = await asyncio.wait_for(asyncio.gather(*answers), TEST_S)
        failed = {name: end.cause for name, end in zip(names, outcomes, strict=True) if end.cause}
        if failed:
            is_one = len(names) == 1
            causes = [why if is_one else f"{name}: {why}" for name, why in failed.items()]
            where = "/".join(failed)
            hint = (
                f"notify in jobs.yaml has the URL of {where}; nightshift status shows what waits"
            )
            raise HttpError(502, f"the test alert did not arrive: {'; '.join(causes)}", hint)
        return as_json(responses.Delivered(", ".join(names)))

    async def _submit(
        self, request: Request, what: control_requests.Request
    ) -> control_requests.Reply:
        answer = self._context.bridge.submit(peer_of(request), what)
        reply = await asyncio.wait_for(asyncio.wrap_future(answer), REPLY_S)
        return require_ok(reply)

    def _opened(self, reply: control_requests.Reply) -> Response:
        """Return the requested run, which is the last one, after its dependencies."""
        run = self._context.run_view(self._context.run_of(reply.runs[-1]))
        return as_json(responses.Opened(run, reply.runs), 202)

    async def _body(self, request: Request, kind: type[B]) -> B:
        try:
            return msgspec.json.decode(await self._bytes(request) or b"{}", type=kind)
        except ClientDisconnect as error:
            raise HttpError(400, "the request did not come whole") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(422, f"the body cannot be read: {error}") from error

    async def _bytes(self, request: Request) -> bytes:
        """Return the body. Raises: HttpError 413 if it is too large.

        The rest of a large body is read first: many clients read no response before
        they have sent all of it.
        """
        most, size = self._context.limits.body_bytes, 0
        pieces: list[bytes] = []
        async for piece in request.stream():
            size += len(piece)
            if size <= most:
                pieces.append(piece)
        if size > most:
            raise HttpError(413, f"a body of more than {most} bytes")
        return b"".join(pieces)
