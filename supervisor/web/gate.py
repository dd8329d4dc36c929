"""ASGI middleware: who comes in, and the headers that every answer has.

Order: the name of the host and the origin (`request_rules.py`), then the person
(token, password or proxy), then the CSRF token of a POST. What passes has a session in
`scope["state"]["session"]`. Static files need no session.
"""

import http.cookies
import time
from collections import deque
from urllib.parse import parse_qs, unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor.web import passwords, request_rules
from supervisor.web.rendering import Renderer
from supervisor.web.sessions import Session, Sessions
from supervisor.web.settings import HeaderAccess, PasswordAccess, TokenAccess, WebSettings
from supervisor.web.statics import STYLE_HASH

CSP = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{STYLE_HASH}'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LARGEST_BODY_BYTES = 64 * 1024
# Wrong passwords in WINDOW_S, of all clients together; then none is looked at for a while.
MOST_WRONG, WINDOW_S = 10, 60.0
LONGEST_PASSWORD = 1024


class Gate:
    """Lets requests through to the pages, or answers them itself."""

    def __init__(self, app: ASGIApp, settings: WebSettings, render: Renderer) -> None:
        self._app = app
        self._settings = settings
        self._render = render
        self._sessions = Sessions()
        self._token_used = False
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)
        # Cookies are sent to every port of a host.
        self._cookie = f"nightshift-{settings.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _below_base(scope, self._settings.base)
        request = Request(scope, receive)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = await self._answer(request)
        await (answer or self._app)(
            scope, receive if answer else request.receive, send_with_headers
        )

    async def _answer(self, request: Request) -> Response | None:
        """Return the answer of the gate itself; None: the request goes on to a page."""
        settings, headers = self._settings, request.headers
        why = request_rules.why_refused(request.method, headers, settings.host, settings.hosts)
        if why:
            return self._refused(403, "Refused", why)
        path = request.scope["path"]
        if path.startswith("/static/"):
            return None
        session = self._session(request)
        if path == "/login":
            return await self._login(request, session)
        if session is None:
            return self._begin(request)
        request.scope.setdefault("state", {})["session"] = session
        if request.method == "POST":
            return await self._why_no_form(request, session)
        return None

    # --- who it is ---------------------------------------------------------------

    def _session(self, request: Request) -> Session | None:
        access = self._settings.access
        found = self._sessions.find(self._cookie_of(request), time.monotonic())
        if isinstance(access, HeaderAccess) and found is not None:
            # The proxy decides with each request: a person who signs out there is out.
            return found if self._named(request, access) == found.user else None
        return found

    def _begin(self, request: Request) -> Response:
        """Answer a request without a session: with one, or with how to get one."""
        match self._settings.access:
            case TokenAccess(token):
                return self._by_token(request, token)
            case PasswordAccess():
                if request.method != "GET":
                    return self._refused(401, "Sign in first", "The form was not sent.")
                return self._sign_in(status=401)
            case HeaderAccess() as access:
                user = self._named(request, access)
                if not user:
                    why = f"The proxy names nobody: expected {access.header} from a trusted proxy."
                    return self._refused(401, "Sign in first", why)
                return self._welcome(request, user)

    def _by_token(self, request: Request, token: str) -> Response:
        given = request.query_params.get("token", "")
        is_right = request.method == "GET" and passwords.is_same(given, token)
        if is_right and not self._token_used:
            self._token_used = True
            return self._welcome(request, "")
        used = "Its token has been used: " if is_right else ""
        why = (
            f"{used}open the URL that nightshift web prints, once, in the browser that is to stay "
            "signed in; begin nightshift web again for another."
        )
        return self._refused(401, "Not signed in", why)

    def _named(self, request: Request, access: HeaderAccess) -> str:
        """Return the person that a trusted proxy names, or ""."""
        peer = request.client.host if request.client else ""
        values = request.headers.getlist(access.header)
        if not access.is_trusted(peer) or len(values) != 1:
            return ""
        user = unquote(values[0]).strip()
        return user if user.isprintable() and len(user) <= 64 else ""

    async def _login(self, request: Request, session: Session | None) -> Response:
        access = self._settings.access
        if not isinstance(access, PasswordAccess):
            return RedirectResponse(f"{self._settings.base}/", 303)
        if request.method == "POST" and request.query_params.get("out"):
            if session is not None and session.is_csrf_token(
                (await _form(request)).get("csrf", "")
            ):
                self._sessions.end(self._cookie_of(request))
            return RedirectResponse(f"{self._settings.base}/login", 303)
        if request.method != "POST":
            return self._sign_in()
        now = time.monotonic()
        if len(self._wrong) == MOST_WRONG and now - self._wrong[0] < WINDOW_S:
            return self._sign_in("Too many wrong passwords: wait a minute.", 429)
        form = await _form(request)
        name, password = form.get("name", "").strip(), form.get("password", "")
        is_right = len(password) <= LONGEST_PASSWORD and await run_in_threadpool(
            passwords.is_right, access, name, password
        )
        if not is_right:
            self._wrong.append(now)
            return self._sign_in("Name and password do not match.", 401)
        return self._welcome(request, name)

    def _welcome(self, request: Request, user: str) -> Response:
        """Begin a session and redirect, so that no token stays in the address."""
        path = request.scope["path"] if request.scope["path"] != "/login" else "/"
        answer = RedirectResponse(f"{self._settings.base}{path}", 303)
        is_https = request.headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(
            self._cookie,
            self._sessions.begin(user, time.monotonic()),
            path=f"{self._settings.base}/",
            httponly=True,
            samesite="strict",
            secure=is_https,
        )
        return answer

    def _cookie_of(self, request: Request) -> str:
        try:
            found = http.cookies.SimpleCookie(request.headers.get("cookie", "")).get(self._cookie)
        except http.cookies.CookieError:
            return ""
        return found.value if found is not None else ""

    # --- forms and refusals ------------------------------------------------------

    async def _why_no_form(self, request: Request, session: Session) -> Response | None:
        form = await _form(request)
        if not session.is_csrf_token(form.get("csrf", "")):
            why = "The form does not carry the token of this session: load the page again."
            return self._refused(403, "Refused", why)
        request.scope["state"]["form"] = form
        return None

    def _sign_in(self, why: str = "", status: int = 200) -> Response:
        page = self._render.bare("login.html", base=self._settings.base, why=why)
        return HTMLResponse(page, status)

    def _refused(self, status: int, title: str, why: str) -> Response:
        page = self._render.bare("refused.html", title=title, why=why)
        return HTMLResponse(page, status)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form, the last of each name; {} if it is too large."""
    size, pieces = 0, []
    async for piece in request.stream():
        size += len(piece)
        if size <= LARGEST_BODY_BYTES:
            pieces.append(piece)
    if size > LARGEST_BODY_BYTES:
        return {}
    text = b"".join(pieces).decode(errors="replace")
    try:
        return {
            name: values[-1] for name, values in parse_qs(text, True, max_num_fields=500).items()
        }
    except ValueError:
        return {}


def _below_base(scope: Scope, base: str) -> Scope:
    """Return the scope with the base path taken off; a proxy may have done it already."""
    path: str = scope["path"]
    if base and (path == base or path.startswith(f"{base}/")):
        path = path[len(base) :] or "/"
    return {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}


def has_session(request: Request) -> bool:
    """Return whether the gate found a session; a static file needs none."""
    return "session" in request.scope.get("state", {})


def session_of(request: Request) -> Session:
    """Return the session that the gate found."""
    session: Session = request.scope["state"]["session"]
    return session


def form_of(request: Request) -> dict[str, str]:
    """Return the fields of the form that the gate has checked."""
    form: dict[str, str] = request.scope["state"]["form"]
    return form
