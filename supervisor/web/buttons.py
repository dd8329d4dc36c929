"""POST handlers: each asks the supervisor one thing, and leads back to where it was pressed."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from supervisor.backups.model import Backups
from supervisor.core import responses
from supervisor.core.config_diff import Changes
from supervisor.web.frame import CHOICE_COOKIE, PageAnswers
from supervisor.web.gate import form_of, session_of
from supervisor.web.source import AnswerError, decoded
from supervisor.web.views.times import BROWSER, IN_UTC, SERVICE

LONGEST_REASON = 200
# The supervisor's child that lists the copies has 20 s.
LISTED_S = 30.0
DURATIONS = {"1h": 3600.0, "4h": 14400.0, "1d": 86400.0, "3d": 3 * 86400.0, "7d": 7 * 86400.0}
_YEAR_S = 365 * 86400.0


class Buttons(PageAnswers):
    """Handlers of the buttons; a verb that is not allowed is refused."""

    async def post_job(self, request: Request) -> Response:
        """Run, cancel, pause or resume a job."""
        job, verb = request.path_params["job"], request.path_params.get("verb", "run")
        asked = {"run": self._run, "pause": self._pause, "resume": self._resume}
        asked["cancel"] = self._cancel_job
        if verb not in asked:
            return self._back(request, "bad", f"{verb} is no button")
        return await self._ask(request, verb, lambda: asked[verb](request, job))

    async def post_cancel_run(self, request: Request) -> Response:
        number = request.path_params["run"]

        async def cancel() -> str:
            await self._post(request, "runs", str(number), "cancel")
            return f"Run {number} is being cancelled."

        return await self._ask(request, "cancel", cancel)

    async def post_pause_all(self, request: Request) -> Response:
        return await self._ask(request, "pause", lambda: self._pause(request, ""))

    async def post_resume_all(self, request: Request) -> Response:
        return await self._ask(request, "resume", lambda: self._resume(request, ""))

    async def post_ack(self, request: Request) -> Response:
        number, form = request.path_params["incident"], form_of(request)

        async def ack() -> str:
            seconds = DURATIONS.get(form.get("for", ""), DURATIONS["1d"])
            reason = form.get("reason", "")[:LONGEST_REASON]
            await self._post(
                request, "incidents", str(number), "ack", for_seconds=seconds, reason=reason
            )
            return f"Incident {number} is acknowledged."

        return await self._ask(request, "ack", ack)

    async def post_reload(self, request: Request) -> Response:
        async def reload() -> str:
            body = await self._post(request, "reload")
            return _changes(decoded(body, Changes))

        return await self._ask(request, "reload", reload)

    async def post_notify_test(self, request: Request) -> Response:
        async def notify() -> str:
            await self._post(request, "notify-test")
            return "A test alert was delivered."

        return await self._ask(request, "notify", notify)

    async def post_verify(self, request: Request) -> Response:
        """Verify a copy; one that the supervisor lists, since it would read any file."""
        path, opened = form_of(request).get("copy", ""), 0

        async def verify() -> str:
            nonlocal opened
            found = await self.web.source.get(Backups, "backups", limit_s=LISTED_S)
            if all(copy.path != path for copy in found.backups):
                raise AnswerError("no such copy is listed", "load the page again")
            opened = decoded(
                await self._post(request, "verify", file=path), responses.Opened
            ).run.id
            return f"Run {opened} verifies {path}."

        answer = await self._ask(request, "verify", verify)
        if opened:
            answer.headers["location"] = f"{self.web.settings.base}/runs/{opened}"
        return answer

    async def post_times(self, request: Request) -> Response:
        """Keep in which zone times are shown; needs no permission."""
        chosen = form_of(request).get("times", SERVICE)
        answer = self._back(request)
        if chosen in (SERVICE, BROWSER, IN_UTC):
            answer.set_cookie(
                CHOICE_COOKIE,
                chosen,
                max_age=int(_YEAR_S),
                path=f"{self.web.settings.base}/",
                samesite="strict",
            )
        return answer

    async def _run(self, request: Request, job: str) -> str:
        form = form_of(request)
        asked = {"with_deps": bool(form.get("with_deps")), **on_host(form)}
        opened = decoded(await self._post(request, "jobs", job, "run", **asked), responses.Opened)
        return f"Run {opened.run.id} of {job} was opened."

    async def _pause(self, request: Request, job: str) -> str:
        form = form_of(request)
        seconds = DURATIONS.get(form.get("for", ""))
        reason = form.get("reason", "")[:LONGEST_REASON]
        whose = ("jobs", job) if job else ()
        await self._post(request, *whose, "pause", for_seconds=seconds, reason=reason)
        until = f" for {form['for']}" if seconds else " until it is resumed"
        return f"{job or 'All jobs'}: paused{until}."

    async def _resume(self, request: Request, job: str) -> str:
        await self._post(request, *(("jobs", job) if job else ()), "resume")
        return f"{job or 'All jobs'}: resumed."

    async def _cancel_job(self, request: Request, job: str) -> str:
        body = await self._post(request, "jobs", job, "cancel")
        runs = ", ".join(map(str, decoded(body, responses.Cancelled).cancelled))
        return f"Run {runs} of {job} is being cancelled."

    async def _post(self, request: Request, *parts: str, **body: object) -> bytes:
        return await self.web.source.post(session_of(request).user, *parts, **body)

    async def _ask(
        self, request: Request, verb: str, act: Callable[[], Awaitable[str]]
    ) -> Response:
        if verb not in self.web.settings.allowed:
            error = AnswerError(f"{verb} is not allowed on this page", "nightshift web --allow")
            return self.problem(request, error, 403)
        try:
            return self._back(request, "good", await act())
        except AnswerError as error:
            said = ". ".join(filter(None, (error.text, error.hint)))
            return self._back(request, "bad", f"{said}{_problems(error.body)}")

    def _back(self, request: Request, kind: str = "", said: str = "") -> RedirectResponse:
        """Return to the page where the button was; it shows what was said, once."""
        if said:
            session_of(request).said.append((kind, said))
        return RedirectResponse(
            f"{self.web.settings.base}{local_path(form_of(request).get('back', '/'))}", 303
        )


def on_host(form: Mapping[str, str]) -> dict[str, str]:
    """Return what a form says of the host, for the body of a request; {}: any host."""
    return {"on_host": form["on_host"]} if form.get("on_host") else {}


def local_path(text: str) -> str:
    """Return a path of this page; `/` for an address of any other place."""
    is_local = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if is_local and text.isascii() and text.isprintable() else "/"


def _changes(found: Changes) -> str:
    said = [
        f"{word}: {', '.join(names)}"
        for word, names in (
            ("added", found.added),
            ("removed", found.removed),
            ("changed", found.changed),
            ("rescheduled", [each.job for each in found.rescheduled]),
            ("at the next start", found.at_next_start),
        )
        if names
    ]
    return f"jobs.yaml was read: {'; '.join(said) or 'nothing changed'}."


def _problems(body: bytes) -> str:
    """Return the first problems of a refused jobs.yaml."""
    try:
        found = msgspec.json.decode(body, type=responses.ReloadError).problems
    except msgspec.MsgspecError:
        return ""
    said = "; ".join(f"line {each.line}: {each.path}: {each.message}" for each in found[:5])
    return f" ({said})" if said else ""
