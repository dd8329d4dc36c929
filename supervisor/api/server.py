"""The API thread: one asyncio loop and its listening sockets.

The sockets are bound in `sockets.py`, because uvicorn would make its UNIX socket
accessible to all users. uvicorn's protocol is used without its server, which polls.
`connection.py` defines and enforces the limits per client. Each socket counts its
clients separately: a flood on the TCP socket does not block the UNIX socket.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from supervisor.api.bridge import LoopBridge
from supervisor.api.connection import ClientLimits, LimitedConnection, UnixConnection
from supervisor.api.context import HandlerContext
from supervisor.api.routes import application, public_application
from supervisor.api.sockets import BACKLOG, bind, bind_tcp
from supervisor.core.model import Api as Access

STOP_LIMIT_S = 1.0
FLUSH_LIMIT_S = 0.5
RESTART_S = 1.0


class ApiServer:
    """The sockets and the thread that serves them. Raises: StateDirError."""

    def __init__(
        self,
        path: Path,
        access: Access,
        bridge: LoopBridge,
        folder: Path,
        limits: ClientLimits = ClientLimits(),  # noqa: B008 - frozen
    ) -> None:
        self._path = path
        self._socket = bind(path, access)
        self._public: socket.socket | None = None
        self._inode = path.stat().st_ino
        self._bridge = bridge
        self._folder = folder
        self._limits = limits
        self._is_serving = threading.Event()
        self._is_closing = threading.Event()
        self._stop: Callable[[], object] = bool
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    def open_metrics(self, address: str) -> None:
        """Bind a TCP socket for /metrics and /healthz; `start` serves it. Raises: OSError."""
        self._public = bind_tcp(address)

    def start(self) -> None:
        """Start the thread; earlier connections wait in the backlog."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, and remove the socket file unless it was replaced."""
        self._is_closing.set()
        if self._thread.is_alive() and self._is_serving.wait(STOP_LIMIT_S):
            # The thread's loop may have failed and closed in the meantime.
            with contextlib.suppress(RuntimeError):
                self._stop()
            self._thread.join(STOP_LIMIT_S)
        self._socket.close()
        if self._public is not None:
            self._public.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _run(self) -> None:
        """Serve until closed; restart after a lack of memory or file descriptors."""
        while not self._is_closing.is_set():
            try:
                asyncio.run(self._serve())
            except (OSError, MemoryError) as error:
                _say(error)
            self._is_closing.wait(RESTART_S)

    async def _serve(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(_say_in_short)
        context = HandlerContext(self._bridge, self._folder, self._limits)
        here, there = dict[LimitedConnection, None](), dict[LimitedConnection, None]()
        listening: list[asyncio.Server] = [
            await loop.create_unix_server(
                self._protocol_factory(application(context), UnixConnection, here),
                sock=self._socket,
                backlog=BACKLOG,
            )
        ]
        if self._public is not None:
            protocol = self._protocol_factory(
                public_application(context), LimitedConnection, there
            )
            listening.append(
                await loop.create_server(protocol, sock=self._public, backlog=BACKLOG)
            )
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        self._is_serving.set()
        await stopped.wait()
        for server in listening:
            server.close()
        context.feed.close()
        await _flush_responses(here, there)
        for client in [*here, *there]:
            client.transport.abort()

    def _protocol_factory(
        self, app: Starlette, kind: type[LimitedConnection], clients: dict[LimitedConnection, None]
    ) -> Callable[[], LimitedConnection]:
        """Return the factory of protocol objects for one socket."""
        config = UvicornConfig(app, log_config=None, access_log=False, lifespan="off", ws="none")
        config.load()
        # uvicorn's warnings are about invalid requests, which clients can send without limit.
        # Errors are faults of the service and are still logged.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        state = ServerState()
        return lambda: kind(config, state, {}, self._limits, clients)


def _say_in_short(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a system error in one line; asyncio retries accept after a second."""
    error = context.get("exception")
    if isinstance(error, (OSError, MemoryError)):
        _say(error)
    else:
        loop.default_exception_handler(context)


def _say(error: OSError | MemoryError) -> None:
    said = "not enough memory" if isinstance(error, MemoryError) else error
    # Logging may itself run out of memory, which must not end the thread.
    with contextlib.suppress(MemoryError):
        logging.getLogger("nightshift").error("requests are not answered: %s", said)


async def _flush_responses(*rooms: dict[LimitedConnection, None]) -> None:
    """Wait up to `FLUSH_LIMIT_S` for pending responses, such as the one to `stop`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FLUSH_LIMIT_S
    while loop.time() < deadline and not all(
        client.is_answered for clients in rooms for client in clients
    ):
        await asyncio.sleep(0.01)
