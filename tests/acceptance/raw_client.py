"""Query the API over the socket, without starting a process for each request."""

import contextlib
import http.client
import json
import socket
from typing import Any

from tests.acceptance.daemon import House


def code(house: House, path: str) -> int:
    """Return the HTTP status of an API path."""
    return _get(house, path)[0]


def answer(house: House, path: str) -> Any:
    """Return the decoded response of a GET that must succeed."""
    status, body = _get(house, path)
    assert status == 200, body
    return json.loads(body)


def text(house: House, path: str) -> str:
    """Return the response body of a GET with any status."""
    return _get(house, path)[1].decode()


def status(house: House) -> dict[str, Any]:
    """Return the response of `/v1/status`."""
    return dict(answer(house, "/v1/status"))


def run(house: House, number: int) -> dict[str, Any]:
    """Return the current state of one run."""
    return dict(answer(house, f"/v1/runs/{number}"))


def is_healthy(house: House) -> bool:
    """Return whether the supervisor answers and ticks."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return code(house, "/healthz") == 200
    return False


def _get(house: House, path: str) -> tuple[int, bytes]:
    line = http.client.HTTPConnection("localhost")
    line.sock = socket.socket(socket.AF_UNIX)
    line.sock.settimeout(5)
    with contextlib.closing(line):
        line.sock.connect(str(house.socket))
        line.request("GET", path)
        said = line.getresponse()
        return said.status, said.read()
