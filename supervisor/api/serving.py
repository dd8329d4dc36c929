"""Serves HTTP on listening sockets, in one asyncio loop.

uvicorn's protocol is used without its server, which polls. `connection.py` defines and
enforces the limits per client. Each socket counts its clients separately: a flood on the
TCP socket does not block the UNIX socket. This module and what it imports are half of
the code of a service; `server.py` says when they are loaded.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from supervisor.api.bridge import LoopBridge
from supervisor.api.connection import LimitedConnection, UnixConnection
from supervisor.api.context import HandlerContext
from supervisor.api.limits import ClientLimits
from supervisor.api.routes import application, public_application
from supervisor.api.sockets import BACKLOG

FLUSH_LIMIT_S = 0.5


class Serving:
    """What the API's thread serves; began: gets the function that ends it from any thread."""

    def __init__(
        self,
        private: socket.socket,
        public: socket.socket | None,
        bridge: LoopBridge,
        folder: Path,
        limits: ClientLimits,
        began: Callable[[Callable[[], object]], None],
    ) -> None:
        self._private, self._public = private, public
        self._bridge, self._folder, self._limits = bridge, folder, limits
        self._began = began

    def run(self) -> None:
        """Serve until ended; log a lack of memory or file descriptors, and return."""
        try:
            asyncio.run(self._serve())
        except (OSError, MemoryError) as error:
            _say(error)

    async def _serve(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(_say_in_short)
        context = HandlerContext(self._bridge, self._folder, self._limits)
        here, there = dict[LimitedConnection, None](), dict[LimitedConnection, None]()
        listening: list[asyncio.Server] = [
            await loop.create_unix_server(
                self._protocol_factory(application(context), UnixConnection, here),
                sock=self._private,
                backlog=BACKLOG,
            )
        ]
        if self._public is not None:
            door = self._protocol_factory(public_application(context), LimitedConnection, there)
            listening.append(await loop.create_server(door, sock=self._public, backlog=BACKLOG))
        self._began(lambda: loop.call_soon_threadsafe(stopped.set))
        await stopped.wait()
        for server in listening:
            server.close()
        context.feed.close()
        await _flush_responses(here, there)
        for guest in [*here, *there]:
            guest.transport.abort()

    def _protocol_factory(
        self, app: Starlette, kind: type[LimitedConnection], guests: dict[LimitedConnection, None]
    ) -> Callable[[], LimitedConnection]:
        """Return the factory of protocol objects for one socket."""
        # Each default that is named here would import a module, or wrap every request.
        config = UvicornConfig(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        config.load()
        # uvicorn's warnings are about invalid requests, which clients can send without limit.
        # Errors are faults of the service and are still logged.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        state = ServerState()
        return lambda: kind(config, state, {}, self._limits, guests)


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
        guest.is_answered for guests in rooms for guest in guests
    ):
        await asyncio.sleep(0.01)
