"""What may be asked, as one list: nouns for GET, verbs for POST.

The list makes the router here and the document in `document.py`: a route that
is not in it does not exist, and one that is cannot be undocumented.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor.api import bodies, parameters, shapes
from supervisor.api.answers import Ask, guarded, nowhere
from supervisor.api.asking import Asking
from supervisor.api.cross_origin import CrossOriginProtection
from supervisor.api.declared import Declared
from supervisor.api.document import Document
from supervisor.api.ground import Ground
from supervisor.api.parameters import (
    AT,
    BEFORE,
    ENV,
    FOLLOW,
    INCIDENT,
    JOB,
    LAST_EVENT,
    LIMIT,
    OF_JOB,
    RUN,
    SINCE,
    SLOTS,
    STATE,
    Parameter,
)
from supervisor.api.reading import Reading
from supervisor.api.scraping import Scraping
from supervisor.core.changes import Changes
from supervisor.core.view import RunView, Status

# What may also be read by TCP.
PUBLIC = ("/metrics", "/healthz")
_TEXT = "text/plain"


def questions(ground: Ground) -> list[Declared]:
    """GET."""
    r = Reading(ground)
    return [
        _get("/v1/status", r.get_status, "The whole service at a glance", Status),
        _get("/v1/jobs", r.get_jobs, "The definitions in force", shapes.Jobs),
        _get("/v1/jobs/{job}", r.get_job, "One job", shapes.JobWhole, JOB, ENV),
        _get("/v1/jobs/{job}/next", r.get_next, "Its coming slots", shapes.Slots, JOB, SLOTS),
        _get("/v1/jobs/{job}/explain", r.get_explain, "Why it ran or not",
             shapes.Explained, JOB, AT),
        _get("/v1/runs", r.get_runs, "Runs, newest first", shapes.Runs,
             OF_JOB, STATE, SINCE, BEFORE, LIMIT),
        _get("/v1/runs/{run}", r.get_run, "One run with its attempts", RunView, RUN),
        _get("/v1/runs/{run}/explain", r.get_run_explained, "Why it ran, waits or not",
             shapes.Explained, RUN),
        Declared("GET", "/v1/runs/{run}/log", r.get_log, "What it printed",
                 media=_TEXT, takes=(RUN, FOLLOW)),
        _get("/v1/incidents", r.get_incidents, "Incidents, newest first",
             shapes.Incidents, LIMIT),
        _get("/v1/actions", r.get_actions, "Who asked what, newest first",
             shapes.Actions, LIMIT),
        Declared("GET", "/v1/events", r.get_events, "Changes of runs, as they happen",
                 media="text/event-stream", takes=(LAST_EVENT,)),
        Declared("GET", "/healthz", r.get_health, "Is the tick alive?",
                 shapes.Healthy, errors=(503,)),
        Declared("GET", "/readyz", r.get_ready, "Are runs admitted?",
                 shapes.Ready, errors=(503,)),
        Declared("GET", "/metrics", Scraping(ground).get_metrics, "For Prometheus",
                 media=_TEXT, errors=(503,)),
    ]  # fmt: skip


def requests(ground: Ground) -> list[Declared]:
    """POST."""
    a = Asking(ground)
    return [
        _post("/v1/jobs/{job}/run", a.post_run, "Run it now",
              shapes.Opened, bodies.RunBody, JOB, errors=(409,)),
        _post("/v1/run-all", a.post_run_all, "Run every enabled job once, one at a time",
              shapes.OpenedAll, bodies.RunAllBody, errors=(404, 409)),
        _post("/v1/jobs/{job}/cancel", a.post_cancel_job, "End its open runs",
              shapes.Cancelled, None, JOB, errors=(409,)),
        _post("/v1/runs/{run}/cancel", a.post_cancel_run, "End one open run",
              shapes.Cancelled, None, RUN, errors=(409,)),
        _post("/v1/jobs/{job}/pause", a.post_pause, "No slots of it for a time",
              shapes.Paused, bodies.PauseBody, JOB, status=200),
        _post("/v1/jobs/{job}/resume", a.post_resume, "Lift its pause",
              shapes.Resumed, bodies.ResumeBody, JOB, status=200),
        _post("/v1/pause", a.post_pause, "No slots of any job for a time",
              shapes.Paused, bodies.PauseBody, status=200),
        _post("/v1/resume", a.post_resume, "Lift the pause over all",
              shapes.Resumed, bodies.ResumeBody, status=200),
        _post("/v1/reload", a.post_reload, "Read jobs.yaml now",
              Changes, bodies.ReloadBody, status=200, errors=(409,)),
        _post("/v1/restore", a.post_restore, "Put a backup in place of a database",
              shapes.Opened, bodies.RestoreBody, errors=(409,)),
        _post("/v1/notify-test", a.post_notify_test, "Send one test alert",
              shapes.Delivered, None, status=200, errors=(409, 502)),
        _post("/v1/stop", a.post_stop, "Stop the service",
              shapes.Stopping, bodies.StopBody),
        _post("/v1/incidents/{incident}/ack", a.post_ack, "No reminders of it for a time",
              shapes.Acked, bodies.AckBody, INCIDENT, status=200, errors=(404,)),
    ]  # fmt: skip


def table(ground: Ground) -> list[Declared]:
    """All of it, with the document of itself."""
    declared = [*questions(ground), *requests(ground)]
    document = Document()
    declared.append(
        Declared("GET", "/openapi.json", document.get_openapi, "This list, for programs")
    )
    document.describe(declared)
    return declared


def application(ground: Ground) -> Starlette:
    """Everything, for the UNIX socket; a page that reaches a forwarded one is refused."""
    return _application(table(ground), Middleware(CrossOriginProtection))


def public_application(ground: Ground) -> Starlette:
    """What strangers may read."""
    return _application([each for each in table(ground) if each.path in PUBLIC])


def _application(declared: list[Declared], *middleware: Middleware) -> Starlette:
    routes = [Route(each.path, guarded(_within(each)), methods=[each.method]) for each in declared]
    handlers = {404: nowhere, 405: nowhere}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def _within(declared: Declared) -> Ask:
    """The route, for requests that carry nothing undeclared."""
    if not declared.is_strict:
        return declared.ask

    async def ask(request: Request) -> Response:
        parameters.strangers_among(request, declared.takes)
        return await declared.ask(request)

    return ask


def _get(path: str, ask: Ask, says: str, answer: type, *takes: Parameter[Any]) -> Declared:
    return Declared("GET", path, ask, says, answer, takes=takes)


def _post(
    path: str,
    ask: Ask,
    says: str,
    answer: type,
    body: type | None,
    *takes: Parameter[Any],
    status: int = 202,
    errors: tuple[int, ...] = (),
) -> Declared:
    return Declared(
        "POST", path, ask, says, answer, status=status, takes=takes, body=body, errors=errors
    )
