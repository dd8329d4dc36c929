"""Middleware that refuses requests of web pages if the socket is forwarded to TCP.

`ssh -L 8080:/run/nightshift.sock host` exposes the socket to every page in a local
browser: posting an empty form to /v1/stop needs no CORS preflight. Browsers send the
origin of a request and other programs do not. Refused are:

* an Origin other than the requested host (Fetch standard, "Origin header"; also `null`),
* a Sec-Fetch-Site other than `none` or `same-origin` (Fetch Metadata),
* a body of a type that an HTML form can send without a preflight (Fetch
  standard, "CORS-safelisted request-header": the three types below),
* a Host that is not a name of this machine, which stops DNS rebinding.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from supervisor.api.errors import as_json
from supervisor.api.host_names import is_local
from supervisor.core import responses

FORM_TYPES = frozenset(("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"))
_SAME_SITES = frozenset(("none", "same-origin"))
_READING = frozenset(("GET", "HEAD"))


class CrossOriginProtection:
    """ASGI middleware that answers 403 or 415 to requests a foreign page may have sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer with the reason for the refusal."""
        headers = Headers(scope=scope)
        if reason := why_foreign(headers):
            hint = "only programs on this machine are answered, such as nightshift and curl"
            await as_json(responses.ErrorBody(reason, hint), 403)(scope, receive, send)
        elif scope["method"] not in _READING and (form := form_type(headers)):
            hint = "send JSON: curl -H 'Content-Type: application/json' -d '{...}'"
            answer = as_json(
                responses.ErrorBody(f"a body of type {form} is not accepted", hint), 415
            )
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def why_foreign(headers: Headers) -> str:
    """Return why the headers indicate a foreign page, or "" if they do not."""
    for host in headers.getlist("host"):
        if not is_local(host):
            return f"Host: {host!r} is not a name of this machine"
    for site in headers.getlist("sec-fetch-site"):
        if site.strip().lower() not in _SAME_SITES:
            return f"Sec-Fetch-Site: {site!r} is another site"
    for origin in headers.getlist("origin"):
        if not _is_same_origin(origin, headers.get("host", "")):
            return f"Origin: {origin!r} is another origin"
    return ""


def form_type(headers: Headers) -> str:
    """Return the content type if an HTML form can send it, else ""."""
    for value in headers.getlist("content-type"):
        # A type that cannot be parsed is none of the three; commas join repeated headers.
        for part in value.split(","):
            essence = part.split(";")[0].strip().lower()
            if essence in FORM_TYPES:
                return essence
    return ""


def _is_same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin.strip().lower())
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https") and bool(host) and parts.netloc == host.strip().lower()
    )
