"""The thread that answers: one asyncio loop, one UNIX socket, hard limits.

We bind the socket ourselves (uvicorn would open it to all) and use uvicorn's
protocol without its server, which polls. A client that is slow, silent, huge
or many harms nobody: a whole request within REQUEST_S, at most MOST_CLIENTS.
"""

import asyncio
import contextlib
import grp
import os
import socket
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from supervisor.api.routes import application
from supervisor.core.model import Api as Access
from supervisor.desk import Desk
from supervisor.state_folder import FolderTrouble

REQUEST_S = 5.0
LAST_WORD_S = 1.0
LAST_ANSWERS_S = 0.5
BACKLOG = 512
MOST_CLIENTS = 64
MOST_BODY_BYTES = 64 * 1024
_UCRED = struct.Struct("3i")


class Api:
    """The socket and the thread that serves it. Raises: FolderTrouble."""

    def __init__(self, path: Path, access: Access, desk: Desk, folder: Path) -> None:
        self._path = path
        self._socket = _bind(path, access)
        self._inode = path.stat().st_ino
        self._desk = desk
        self._folder = folder
        self._is_serving = threading.Event()
        self._stop: Callable[[], object] = bool
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    def start(self) -> None:
        """Answer from now on; who connected before waits in the backlog."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering; the socket file goes if it is still ours."""
        if self._thread.is_alive() and self._is_serving.wait(LAST_WORD_S):
            self._stop()
            self._thread.join(LAST_WORD_S)
        self._socket.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        app = application(self._desk, self._folder)
        config = UvicornConfig(app, log_config=None, access_log=False, lifespan="off", ws="none")
        config.load()
        state, guests = ServerState(), dict[_Guest, None]()
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await loop.create_unix_server(
            lambda: _Guest(config, state, {}, guests), sock=self._socket, backlog=BACKLOG
        )
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        self._is_serving.set()
        await stopped.wait()
        server.close()
        await _last_answers(guests)
        for guest in list(guests):
            guest.transport.abort()


class _Guest(H11Protocol):
    """One connection: who it is, and how long it may take."""

    def __init__(
        self,
        config: UvicornConfig,
        state: ServerState,
        app_state: dict[str, Any],
        guests: "dict[_Guest, None]",
    ) -> None:
        super().__init__(config, state, app_state)
        self._guests = guests
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        pid, uid, _ = _UCRED.unpack(
            transport.get_extra_info("socket").getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
            )
        )
        self.client = (str(uid), pid)
        self._guests[self] = None
        if len(self._guests) > MOST_CLIENTS:
            self._turn_one_away()
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guests.pop(self, None)
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = self.cycle
        if cycle is None:
            return
        if len(cycle.body) > MOST_BODY_BYTES:
            self.transport.close()
        elif not cycle.more_body:
            self._cancel_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._expect_request()

    @property
    def is_answered(self) -> bool:
        """Whether nothing of an answer is still to be sent."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_waiting(self) -> bool:
        """Whether no whole request has come yet."""
        return self._deadline is not None

    def _expect_request(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _turn_one_away(self) -> None:
        """The oldest one that has not sent a whole request."""
        for guest in self._guests:
            if guest.is_waiting and guest is not self:
                guest.transport.abort()
                del self._guests[guest]
                return
        self.transport.abort()


async def _last_answers(guests: "dict[_Guest, None]") -> None:
    """Let answers that are on their way arrive - that to `stop` among them - for a moment."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LAST_ANSWERS_S
    while loop.time() < deadline and not all(guest.is_answered for guest in guests):
        await asyncio.sleep(0.01)


def _bind(path: Path, access: Access) -> socket.socket:
    """A listening socket with its mode and group; a stale one is replaced."""
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise FolderTrouble(f"socket {path}: {error.strerror}") from error
    finally:
        os.umask(umask)
    if access.socket_group is not None:
        try:
            os.chown(path, -1, grp.getgrnam(access.socket_group).gr_gid)
        except (KeyError, OSError) as error:
            raise FolderTrouble(f"socket {path}: group {access.socket_group}: {error}") from error
    os.chmod(path, access.socket_mode)
    listening.setblocking(False)
    listening.listen(BACKLOG)
    return listening


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody answers; anything else is never deleted."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise FolderTrouble(
            f"socket {path}: something that is no socket is in its place: move it away, "
            "or choose another path with --socket"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise FolderTrouble(f"socket {path}: another program answers there: choose another --socket")
