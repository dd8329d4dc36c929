"""Query the API over the socket, without starting a process for each request."""

import contextlib
import http.client
import json
import socket
from typing import Any

from tests.acceptance.daemon import Sandbox


def code(sandbox: Sandbox, path: str) -> int:
    """Return the HTTP status of an API path."""
    return _get(sandbox, path)[0]


def answer(sandbox: Sandbox, path: str) -> Any:
    """Return the decoded response of a GET that must succeed."""
    status, body = _get(sandbox, path)
    assert status == 200, body
    return json.loads(body)


def text(sandbox: Sandbox, path: str) -> str:
    """Return the response body of a GET with any status."""
    return _get(sandbox, path)[1].decode()


def status(sandbox: Sandbox) -> dict[str, Any]:
    """Return the response of `/v1/status`."""
    return dict(answer(sandbox, "/v1/status"))


def run(sandbox: Sandbox, number: int) -> dict[str, Any]:
    """Return the current state of one run."""
    return dict(answer(sandbox, f"/v1/runs/{number}"))


def is_healthy(sandbox: Sandbox) -> bool:
    """Return whether the supervisor answers and ticks."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return code(sandbox, "/healthz") == 200
    return False


def _get(sandbox: Sandbox, path: str) -> tuple[int, bytes]:
    line = http.client.HTTPConnection("localhost")
    line.sock = socket.socket(socket.AF_UNIX)
    line.sock.settimeout(5)
    with contextlib.closing(line):
        line.sock.connect(str(sandbox.socket))
        line.request("GET", path)
        said = line.getresponse()
        return said.status, said.read()
