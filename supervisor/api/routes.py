"""The endpoints of the API, as one list: nouns for GET, verbs for POST.

The router here and the document in `openapi.py` are both built from this list, so
that every route is documented and every documented route exists.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor.api import parameters, request_bodies
from supervisor.api.calendar_handlers import CalendarHandlers
from supervisor.api.context import HandlerContext
from supervisor.api.cross_origin import CrossOriginProtection
from supervisor.api.endpoint import Endpoint
from supervisor.api.errors import Handler, not_found, with_error_responses
from supervisor.api.get_handlers import GetHandlers, MetricsHandler
from supervisor.api.openapi import OpenApiDocument
from supervisor.api.parameters import (
    AT,
    BEFORE,
    COMING_DAYS,
    ENV,
    FOLLOW,
    GREP,
    INCIDENT,
    JOB,
    LAST_EVENT,
    LIMIT,
    OF_JOB,
    PAST_DAYS,
    PER_JOB,
    RANGE,
    RUN,
    SINCE,
    SLOT_LIMIT,
    SLOTS,
    STATE,
    UNTIL,
    USER,
    Parameter,
)
from supervisor.api.post_handlers import PostHandlers
from supervisor.backups.model import Backups
from supervisor.core import responses
from supervisor.core.calendar_views import Days, Upcoming
from supervisor.core.config_diff import Changes
from supervisor.core.views import RunView, Status

# Paths that are also served over TCP.
PUBLIC = ("/metrics", "/healthz")
_TEXT = "text/plain"


def get_endpoints(context: HandlerContext) -> list[Endpoint]:
    """Return the GET endpoints."""
    r, c = GetHandlers(context), CalendarHandlers(context)
    return [
        _get("/v1/status", r.get_status, "Get the state of the service", Status),
        Endpoint("GET", "/v1/config", r.get_config, "Get the text of jobs.yaml in force, masked",
                 media=_TEXT),
        _get("/v1/jobs", r.get_jobs, "List the definitions in force", responses.Jobs),
        _get("/v1/jobs/{job}", r.get_job, "Get one job", responses.JobDetail, JOB, ENV),
        _get("/v1/jobs/{job}/next", r.get_next, "List the next slots of a job",
             responses.Slots, JOB, SLOTS),
        _get("/v1/jobs/{job}/explain", r.get_explain, "Explain a job at an instant",
             responses.Explained, JOB, AT),
        _get("/v1/next", c.get_next, "List the next slots of all jobs", Upcoming,
             COMING_DAYS, PER_JOB, SLOT_LIMIT),
        _get("/v1/days", c.get_days, "Count the runs of each job by day and state", Days,
             PAST_DAYS),
        _get("/v1/runs", r.get_runs, "List runs, newest first", responses.Runs,
             OF_JOB, STATE, SINCE, UNTIL, BEFORE, LIMIT),
        _get("/v1/runs/{run}", r.get_run, "Get one run with its attempts", RunView, RUN),
        _get("/v1/runs/{run}/explain", r.get_run_explained, "Explain a run",
             responses.Explained, RUN),
        Endpoint("GET", "/v1/runs/{run}/log", r.get_log, "Get the output of a run",
                 media=_TEXT, parameters=(RUN, FOLLOW, GREP, RANGE), errors=(416,)),
        _get("/v1/backups", r.get_backups, "List the backups, newest first", Backups),
        _get("/v1/incidents", r.get_incidents, "List incidents, newest first",
             responses.Incidents, LIMIT),
        _get("/v1/actions", r.get_actions, "List requests of people, newest first",
             responses.Actions, LIMIT),
        _get("/v1/reloads", r.get_reloads, "List texts of jobs.yaml that were read, newest first",
             responses.Reloads, LIMIT),
        Endpoint("GET", "/v1/events", r.get_events, "Stream changes as they happen",
                 media="text/event-stream", parameters=(LAST_EVENT,)),
        Endpoint("GET", "/healthz", r.get_health, "Check that the supervisor ticks",
                 responses.Health, errors=(503,)),
        Endpoint("GET", "/readyz", r.get_ready, "Check that runs are admitted",
                 responses.Readiness, errors=(503,)),
        Endpoint("GET", "/metrics", MetricsHandler(context).get_metrics,
                 "Get metrics for Prometheus", media=_TEXT, errors=(503,)),
    ]  # fmt: skip


def post_endpoints(context: HandlerContext) -> list[Endpoint]:
    """Return the POST endpoints."""
    a = PostHandlers(context)
    return [
        _post("/v1/jobs/{job}/run", a.post_run, "Run a job now",
              responses.Opened, request_bodies.RunBody, JOB, errors=(409,)),
        _post("/v1/run-all", a.post_run_all, "Run every enabled job once, one at a time",
              responses.OpenedAll, request_bodies.RunAllBody, errors=(404, 409)),
        _post("/v1/jobs/{job}/cancel", a.post_cancel_job, "Cancel the open runs of a job",
              responses.Cancelled, None, JOB, errors=(409,)),
        _post("/v1/runs/{run}/cancel", a.post_cancel_run, "Cancel one run",
              responses.Cancelled, None, RUN, errors=(409,)),
        _post("/v1/jobs/{job}/pause", a.post_pause, "Pause a job",
              responses.Paused, request_bodies.PauseBody, JOB, status=200),
        _post("/v1/jobs/{job}/resume", a.post_resume, "Resume a job",
              responses.Resumed, request_bodies.ResumeBody, JOB, status=200),
        _post("/v1/pause", a.post_pause, "Pause all jobs",
              responses.Paused, request_bodies.PauseBody, status=200),
        _post("/v1/resume", a.post_resume, "Resume all jobs",
              responses.Resumed, request_bodies.ResumeBody, status=200),
        _post("/v1/reload", a.post_reload, "Read jobs.yaml now",
              Changes, request_bodies.ReloadBody, status=200, errors=(409,)),
        _post("/v1/restore", a.post_restore, "Restore a backup",
              responses.Opened, request_bodies.RestoreBody, errors=(409,)),
        _post("/v1/verify", a.post_verify, "Verify a backup again",
              responses.Opened, request_bodies.VerifyBody, errors=(409,)),
        _post("/v1/notify-test", a.post_notify_test, "Send a test alert",
              responses.Delivered, request_bodies.NotifyTestBody, status=200,
              errors=(404, 409, 502)),
        _post("/v1/membership", a.post_membership, "Confirm this host of the cluster",
              responses.Confirmed, request_bodies.MembershipBody, status=200),
        _post("/v1/stop", a.post_stop, "Stop the service",
              responses.Stopping, request_bodies.StopBody),
        _post("/v1/incidents/{incident}/ack", a.post_ack, "Acknowledge an incident",
              responses.Acked, request_bodies.AckBody, INCIDENT, status=200, errors=(404,)),
    ]  # fmt: skip


def endpoints(context: HandlerContext) -> list[Endpoint]:
    """Return all endpoints, including the OpenAPI document."""
    declared = [*get_endpoints(context), *post_endpoints(context)]
    document = OpenApiDocument()
    declared.append(
        Endpoint(
            "GET", "/openapi.json", document.get_openapi, "Get this list as an OpenAPI document"
        )
    )
    document.describe(declared)
    return declared


def application(context: HandlerContext) -> Starlette:
    """Return the application for the UNIX socket, with cross-origin protection."""
    return _application(endpoints(context), Middleware(CrossOriginProtection))


def public_application(context: HandlerContext) -> Starlette:
    """Return the application for the TCP socket, with the `PUBLIC` paths only."""
    return _application([each for each in endpoints(context) if each.path in PUBLIC])


def _application(declared: list[Endpoint], *middleware: Middleware) -> Starlette:
    routes = [
        Route(each.path, with_error_responses(_checked(each)), methods=[each.method])
        for each in declared
    ]
    handlers = {404: not_found, 405: not_found}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def _checked(declared: Endpoint) -> Handler:
    """Wrap a handler so that undeclared query keys are refused."""
    if not declared.is_strict:
        return declared.handler

    async def ask(request: Request) -> Response:
        parameters.reject_unknown_query(request, declared.parameters)
        return await declared.handler(request)

    return ask


def _get(path: str, ask: Handler, says: str, answer: type, *takes: Parameter[Any]) -> Endpoint:
    return Endpoint("GET", path, ask, says, answer, parameters=takes)


def _post(
    path: str,
    ask: Handler,
    says: str,
    answer: type,
    body: type | None,
    *takes: Parameter[Any],
    status: int = 202,
    errors: tuple[int, ...] = (),
) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        ask,
        says,
        answer,
        status=status,
        parameters=(*takes, USER),
        body=body,
        errors=errors,
    )
