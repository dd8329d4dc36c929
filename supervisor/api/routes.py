"""What may be asked, as one list: nouns for GET, verbs for POST."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor.api.answers import guarded, nowhere
from supervisor.api.asking import Asking
from supervisor.api.ground import Ground
from supervisor.api.reading import Reading
from supervisor.desk import Desk


def application(desk: Desk, folder: Path) -> Starlette:
    """The routes of section 7, as one list."""
    ground = Ground(desk, folder)
    r, a = Reading(ground), Asking(ground)
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
        ("/v1/jobs/{job}/run", a.post_run),
        ("/v1/run-all", a.post_run_all),
        ("/v1/jobs/{job}/cancel", a.post_cancel_job),
        ("/v1/runs/{run}/cancel", a.post_cancel_run),
        ("/v1/jobs/{job}/pause", a.post_pause),
        ("/v1/jobs/{job}/resume", a.post_resume),
        ("/v1/pause", a.post_pause),
        ("/v1/resume", a.post_resume),
        ("/v1/reload", a.post_reload),
        ("/v1/restore", a.post_restore),
        ("/v1/notify-test", a.post_notify_test),
        ("/v1/stop", a.post_stop),
        ("/v1/incidents/{incident}/ack", a.post_ack),
    ]
    routes = [Route(path, guarded(ask), methods=["GET"]) for path, ask in gets]
    routes += [Route(path, guarded(ask), methods=["POST"]) for path, ask in posts]
    return Starlette(routes=routes, exception_handlers={404: nowhere, 405: nowhere})
