"""Binds the address of the page, and serves it until a signal ends the process."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable

from starlette.types import ASGIApp
from uvicorn.config import Config as UvicornConfig
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from supervisor.api.connection import LimitedConnection
from supervisor.api.limits import ClientLimits
from supervisor.api.sockets import BACKLOG, bind_tcp

LIMITS = ClientLimits(request_s=15.0, stalled_s=30.0, clients=200)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises: OSError."""
    address = f"[{host}]" if ":" in host else host
    return bind_tcp(f"{address}:{port}")


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until SIGINT, SIGTERM, or SIGHUP: the terminal was closed."""
    asyncio.run(_serve(app, listening))


async def _serve(app: ASGIApp, listening: socket.socket) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in _ENDING:
        loop.add_signal_handler(number, ended.set)
    config = UvicornConfig(
        app,
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        # With it, a client on this machine would name the proxy that it comes from.
        proxy_headers=False,
    )
    config.load()
    # Warnings are about invalid requests, which anybody can send without limit.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    lifespan = LifespanOn(config)
    await lifespan.startup()
    guests: dict[LimitedConnection, None] = {}
    make = _protocol(config, lifespan, guests)
    server = await loop.create_server(make, sock=listening, backlog=BACKLOG)
    await ended.wait()
    server.close()
    for guest in list(guests):
        guest.transport.abort()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(lifespan.shutdown(), 1.0)


def _protocol(
    config: UvicornConfig, lifespan: LifespanOn, guests: dict[LimitedConnection, None]
) -> Callable[[], LimitedConnection]:
    state = ServerState()
    return lambda: LimitedConnection(config, state, lifespan.state, LIMITS, guests)
