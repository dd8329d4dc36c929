"""One HTTP call and its result. For child processes only: it imports requests.

Causes never contain the URL, because its path is the credential. They quote the
body of the response, which the supervisor masks.
"""

import contextlib
import http.client
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
import urllib3

from supervisor.notifications.call_result import CallResult
from workers.retry_after import retry_after_s

CONNECT_S = 5.0
READ_S = 10.0
QUOTED_BYTES = 200
# https://docs.slack.dev/apis/web-api/#responses
_REFUSAL = re.compile(r'\{\s*"ok"\s*:\s*false\b')


def call(
    session: requests.Session,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> CallResult:
    """Make one call; a POST follows no redirect, because its body is for one address only."""
    host = _host(url)
    try:
        with session.request(
            method,
            url,
            data=body,
            headers=dict(headers),
            timeout=(CONNECT_S, READ_S),
            allow_redirects=method == "GET",
            stream=True,
        ) as response:
            return _meaning(response, host)
    except requests.exceptions.ConnectTimeout:
        return CallResult(False, f"no connection to {host} within {CONNECT_S:.0f} s")
    except requests.exceptions.ReadTimeout:
        return CallResult(False, f"no answer from {host} within {READ_S:.0f} s")
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        return CallResult(False, f"{host}: its URL cannot be called", refused=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        return CallResult(False, f"call {host}: {root_cause(error)}")


def _host(url: str) -> str:
    """Return the host of a URL, the only part that may be shown."""
    with contextlib.suppress(ValueError):
        return urlsplit(url).hostname or "no host"
    return "no host"


def _meaning(response: requests.Response, host: str) -> CallResult:
    status = response.status_code
    if 200 <= status < 300:
        said = _refusal(response)
        return CallResult(not said, f"{host} answered {status}: {said}" if said else "")
    cause = f"{host} answered {status}"
    if 300 <= status < 400:
        return CallResult(False, f"{cause}: it has moved", refused=True)
    quoted = _quoted(response)
    cause += f": {quoted}" if quoted else f" {response.reason or ''}".rstrip()
    retry_after = retry_after_s(response.headers.get("Retry-After"))
    if status in (408, 425, 429) or status >= 500:
        return CallResult(False, cause, retry_after)
    return CallResult(
        False, cause, retry_after, refused=True, is_bad_request=status in (400, 413, 422)
    )


def _refusal(response: requests.Response) -> str:
    """Return the answer of a server that refuses with a 2xx, as Slack's API does; or "".

    An answer that does not come, or does not say so, changes nothing: a 2xx is an arrival.
    """
    length = response.raw.length_remaining
    if length is not None and not 0 < length <= QUOTED_BYTES:
        return ""
    said = _quoted(response)
    return said if _REFUSAL.match(said) else ""


def _quoted(response: requests.Response) -> str:
    try:
        body = response.raw.read(QUOTED_BYTES, decode_content=True) or b""
    except (OSError, urllib3.exceptions.HTTPError, ValueError):
        return ""
    text = " ".join(body.decode(errors="replace").split())
    return "".join(letter for letter in text if letter.isprintable())


def root_cause(error: BaseException) -> str:
    """Return the innermost system error in a chain of exceptions, else the type name."""
    said, seen = type(error).__name__, 0
    inner: BaseException | None = error
    while inner is not None and seen < 20:
        # The messages of requests contain the URL.
        if isinstance(inner, OSError) and inner.strerror:
            said = inner.strerror
        elif isinstance(inner, urllib3.exceptions.ProtocolError | http.client.RemoteDisconnected):
            said = "it closed the connection without an answer"
        elif isinstance(inner, http.client.HTTPException):
            said = "its answer is not valid HTTP"
        inner, seen = inner.__cause__ or inner.__context__, seen + 1
    return said
