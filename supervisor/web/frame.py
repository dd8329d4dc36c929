"""What every page has around its content, and how a page is answered.

A browser with htmx asks for a page again when something has changed; it then gets the
part that lives (`live.html`) instead of the whole document.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse

from supervisor import __version__
from supervisor.core.views import Status
from supervisor.web.feed import Feed
from supervisor.web.gate import session_of
from supervisor.web.page_response import PageResponse
from supervisor.web.rendering import Renderer
from supervisor.web.settings import PasswordAccess, WebSettings
from supervisor.web.source import AnswerError, Source
from supervisor.web.strips import Strips
from supervisor.web.views.states import icon_of
from supervisor.web.views.times import SERVICE, Times, times

PAGES = (
    ("jobs", "Jobs"),
    ("timeline", "Timeline"),
    ("calendar", "Calendar"),
    ("incidents", "Incidents"),
    ("backups", "Backups"),
    ("replication", "Replication"),
    ("actions", "Actions"),
    ("config", "Config"),
)
# Only of a cluster.
HOSTS = ("hosts", "Hosts")
CHOICE_COOKIE, ZONE_COOKIE = "nightshift-times", "nightshift-zone"
_ZONE = re.compile(r"[A-Za-z0-9_+\-/]{1,64}")


@dataclass(frozen=True, slots=True)
class Web:
    """What the handlers use."""

    settings: WebSettings
    source: Source
    feed: Feed
    strips: Strips
    render: Renderer


class PageAnswers:
    """Answers with pages in the frame."""

    def __init__(self, web: Web) -> None:
        self.web = web

    async def page(
        self, request: Request, template: str, title: str, status: Status, **values: Any
    ) -> PageResponse:
        """Return a page, or its live part for htmx."""
        session = session_of(request)
        is_live = "hx-request" in request.headers
        said: list[tuple[str, str]] = []
        if not is_live:  # a page that is about to be left must not take what the next one shows
            said, session.said = session.said, []
        pieces = self.web.render.page(
            template,
            layout="live.html" if is_live else "document.html",
            frame=self._frame(request, title, status),
            times=self.times(request, status),
            csrf=session.csrf_token(),
            said=said,
            status=status,
            **values,
        )
        return PageResponse(pieces, "gzip" in request.headers.get("accept-encoding", ""))

    def problem(self, request: Request, error: AnswerError, code: int = 503) -> HTMLResponse:
        """Return the page that says why there is no answer."""
        session = session_of(request)
        pieces = self.web.render.page(
            "problem.html",
            layout="live.html" if "hx-request" in request.headers else "document.html",
            frame=self._frame(request, "No answer", None),
            csrf=session.csrf_token(),
            said=[],
            error=error,
        )
        return HTMLResponse("".join(pieces), code)

    def times(self, request: Request, status: Status) -> Times:
        """Return the times in the zone that the person chose."""
        zone = request.cookies.get(ZONE_COOKIE, "")
        return times(
            status.timezone,
            request.cookies.get(CHOICE_COOKIE, SERVICE),
            zone if _ZONE.fullmatch(zone) else "",
            datetime.now(UTC),
        )

    def _frame(self, request: Request, title: str, status: Status | None) -> Mapping[str, Any]:
        path = quote(request.scope["path"], safe="/:@!$&'()*+,;=~")
        query = request.scope["query_string"].decode("latin-1")
        icon = "bad"
        if status is not None:
            last = [job.last.state for job in status.jobs if job.last is not None]
            icon = icon_of([each.severity for each in status.incidents], last)
        return {
            "title": title,
            "icon": icon,
            "here": f"{self.web.settings.base}{path}{'?' if query else ''}{query}",
            "back": f"{path}{'?' if query else ''}{query}",
            "section": path.strip("/").partition("/")[0] or "jobs",
            "pages": (*PAGES, HOSTS) if status is not None and status.hosts else PAGES,
            "allowed": self.web.settings.allowed,
            "user": session_of(request).user,
            "has_login": isinstance(self.web.settings.access, PasswordAccess),
            "changes": getattr(request.state, "changes", self.web.feed.changes),
            "version": __version__,
            "socket": self.web.source.path,
            "choice": request.cookies.get(CHOICE_COOKIE, SERVICE),
            "status": status,
        }
