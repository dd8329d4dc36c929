"""Straight to the socket: what is asked again and again needs no process for each time."""

import contextlib
import http.client
import json
import socket
from typing import Any

from tests.acceptance.daemon import House


def code(house: House, path: str) -> int:
    """The HTTP status of a path of the API."""
    return _get(house, path)[0]


def answer(house: House, path: str) -> Any:
    """The answer to a GET that must succeed, as a value."""
    status, body = _get(house, path)
    assert status == 200, body
    return json.loads(body)


def text(house: House, path: str) -> str:
    """The answer to a GET, whatever it is."""
    return _get(house, path)[1].decode()


def status(house: House) -> dict[str, Any]:
    """`nightshift status`."""
    return dict(answer(house, "/v1/status"))


def run(house: House, number: int) -> dict[str, Any]:
    """One run as it is now."""
    return dict(answer(house, f"/v1/runs/{number}"))


def is_healthy(house: House) -> bool:
    """Whether it is there and ticks."""
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
