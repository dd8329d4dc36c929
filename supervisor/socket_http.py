"""HTTP/1.1 over a UNIX socket: one request on a connection of its own, the answer as it is."""

import contextlib
import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# What can go wrong while an answer is awaited or read.
ERRORS = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body is not read yet: status, headers, and the body as a stream."""

    body: http.client.HTTPResponse
    connection: socket.socket

    @property
    def status(self) -> int:
        """Return the status."""
        return self.body.status

    def headers(self, *names: str) -> dict[str, str]:
        """Return those of these headers that there are."""
        return {name: value for name in names if (value := self.body.headers[name])}

    def abort(self) -> None:
        """End the connection; a thread that waits for the body finds its end."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def connect(path: Path | str, limit_s: float | None) -> socket.socket:
    """Return a connection to the socket. limit_s: of each later step. Raises: OSError."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(limit_s)
        made.connect(str(path))
    except BaseException:
        made.close()
        raise
    return made


def request(
    path: Path | str,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    limit_s: float | None = None,
) -> Answer:
    """Send a request and return its answer. Raises: ERRORS.

    limit_s: of each step, such as the wait for the next bytes; None: no limit.
    """
    connection = http.client.HTTPConnection("nightshift")
    connection.sock = line = connect(path, limit_s)
    given = {"Connection": "close", **headers}
    if body is not None:
        given["Content-Type"] = "application/json"
    try:
        # The server may reply and close before the whole body is sent.
        with contextlib.suppress(BrokenPipeError):
            connection.request(method, target, body, given)
        return Answer(connection.getresponse(), line)
    except BaseException:
        connection.close()
        raise
