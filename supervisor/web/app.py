"""The application: its routes, and what stands before them."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from supervisor.cli.client import Client
from supervisor.web.buttons import Buttons
from supervisor.web.detail_pages import DetailPages
from supervisor.web.feed import Feed
from supervisor.web.frame import Web
from supervisor.web.gate import Gate, has_session
from supervisor.web.live import LiveStreams
from supervisor.web.pages import ListPages
from supervisor.web.rendering import Renderer
from supervisor.web.run_form import RunForm
from supervisor.web.settings import WebSettings
from supervisor.web.source import AnswerError, Source
from supervisor.web.statics import get_static
from supervisor.web.strips import Strips
from supervisor.web.views.query import QueryError


class _Number(IntegerConvertor):
    """The number of a run or an incident in a path; one that is longer names no page."""

    regex = "[0-9]{1,18}"


register_url_convertor("number", _Number())
Handler = Callable[[Request], Awaitable[Response]]


def application(settings: WebSettings, client: Client) -> ASGIApp:
    """Return the page of the supervisor that this client asks."""
    source, strips = Source(client), Strips()
    web = Web(settings, source, Feed(source, strips.on_run), strips, Renderer(settings.base))
    lists = ListPages(web)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        web.feed.start()
        threading.Thread(target=web.render.load, name="templates", daemon=True).start()
        yield

    async def no_page(request: Request, error: Exception) -> Response:
        if not has_session(request):
            return Response("no such file\n", 404, media_type="text/plain")
        missing = AnswerError("There is no such page.", "The menu above lists all.")
        return lists.problem(request, missing, 404)

    app = Starlette(
        routes=_routes(web, lists),
        lifespan=lifespan,
        middleware=[Middleware(GZipMiddleware, minimum_size=600, compresslevel=4)],
        exception_handlers={404: no_page, 405: no_page},
    )
    app.router.redirect_slashes = False
    return Gate(app, settings, web.render)


def _routes(web: Web, lists: ListPages) -> list[BaseRoute]:
    details, buttons, live = DetailPages(web), Buttons(web), LiveStreams(web)
    run_form = RunForm(web, buttons)

    def get(path: str, handler: Handler) -> Route:
        return Route(path, _in_words(handler, lists), methods=["GET"])

    def post(path: str, handler: Handler) -> Route:
        return Route(path, _in_words(handler, lists), methods=["POST"])

    return [
        Route("/static/{name}", get_static, methods=["GET"]),
        get("/", lists.get_jobs),
        get("/jobs", lists.get_jobs),
        get("/timeline", lists.get_timeline),
        get("/calendar", lists.get_calendar),
        get("/calendar.ics", lists.get_ical),
        get("/incidents", lists.get_incidents),
        get("/backups", lists.get_backups),
        get("/replication", lists.get_replication),
        get("/hosts", lists.get_hosts),
        get("/actions", lists.get_actions),
        get("/config", lists.get_config),
        get("/runs", details.get_history),
        get("/runs/{run:number}", details.get_run),
        get("/runs/{run:number}/log", live.get_log),
        get("/runs/{run:number}/log/stream", live.get_log_stream),
        get("/jobs/{job}", details.get_job),
        get("/jobs/{job}/run", run_form.get_form),
        get("/events", live.get_events),
        post("/jobs/{job}/run", run_form.post_run),
        post("/jobs/{job}/{verb}", buttons.post_job),
        post("/runs/{run:number}/cancel", buttons.post_cancel_run),
        post("/incidents/{incident:number}/ack", buttons.post_ack),
        post("/pause", buttons.post_pause_all),
        post("/resume", buttons.post_resume_all),
        post("/reload", buttons.post_reload),
        post("/notify-test", buttons.post_notify_test),
        post("/verify", buttons.post_verify),
        post("/times", buttons.post_times),
    ]


def _in_words(handler: Handler, pages: ListPages) -> Handler:
    """Return a handler that answers a mistake or a refusal with a page."""

    async def answer(request: Request) -> Response:
        # Before anything is asked: a change from now on is one that the page may lack.
        request.state.changes = pages.web.feed.changes
        try:
            return await handler(request)
        except QueryError as error:
            wrong = AnswerError(str(error), "A link of the page leads on.")
            return pages.problem(request, wrong, 400)
        except AnswerError as error:
            code = 403 if error.is_refused else 404 if error.is_unknown else 503
            return pages.problem(request, error, code)

    return answer
