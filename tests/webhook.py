"""A real HTTP server on this machine that records requests and replies as the test says.

with Webhook() as hook:
    hook.answers(429, {"Retry-After": "7"})  # then 200 for all further requests
    ...
    assert hook.bodies() == [...]
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One received request."""

    method: str
    path: str
    body: str
    headers: Mapping[str, str]

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reaction:
    """Reply to a request; raw: send these bytes instead of a response."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    raw: bytes | None = None
    swallows: bool = False
    drips: bool = False


class Webhook:
    """The server; it replies 200 unless a reaction is queued."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._reactions: deque[Reaction] = deque()
        self._always = Reaction()
        self._over, self._released = threading.Event(), threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length).decode(errors="replace")
                hook._keep(Call(self.command, self.path, body, dict(self.headers)))
                hook._react(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Return the URL of the server, with a secret path."""
        return f"http://127.0.0.1:{self._server.server_port}/services/T0/B0/sesame"

    @property
    def waiting(self) -> int:
        """Return the number of queued reactions that no request has used yet."""
        return len(self._reactions)

    def answers(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""):
        """Queue a reply for the next request that has none."""
        self._reactions.append(Reaction(status, headers or {}, body))
        return self

    def reacts(self, **how: Any):
        """Queue another kind of reaction: raw=b"...", swallows=True or drips=True."""
        self._reactions.append(Reaction(**how))
        return self

    def always(self, status: int) -> None:
        """Reply to all further requests with this status."""
        self._always = Reaction(status)

    def release(self) -> None:
        """Close the connections of the swallowed requests."""
        self._released.set()

    def bodies(self) -> list[Any]:
        """Return the decoded bodies of all requests."""
        return [call.json() for call in self.calls]

    def paths(self) -> list[str]:
        """Return the requested paths, below the secret path."""
        return [call.path.removeprefix("/services/T0/B0/") for call in self.calls]

    def __enter__(self) -> "Webhook":
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._over.set()
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _keep(self, call: Call) -> None:
        self.calls.append(call)

    def _react(self, handler: BaseHTTPRequestHandler) -> None:
        reaction = self._reactions.popleft() if self._reactions else self._always
        if reaction.swallows:
            self._released.wait(60)
            handler.close_connection = True
        elif reaction.drips:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self._over.wait(0.2):
                handler.wfile.write(b"x")
        elif reaction.raw is not None:
            handler.wfile.write(reaction.raw)
            handler.close_connection = True
        else:
            handler.send_response(reaction.status)
            for name, value in reaction.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(reaction.body)))
            handler.end_headers()
            handler.wfile.write(reaction.body)


def nobody() -> str:
    """Return a URL that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/services/T0/B0/sesame"
