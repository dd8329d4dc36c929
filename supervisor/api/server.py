"""The API's listening sockets, and the thread that serves them.

The sockets are bound in `sockets.py`, because uvicorn would make its UNIX socket
accessible to all users. What serves them (`serving.py`) takes a third of a start to
import: `load` does it while something else is awaited, the thread otherwise, when the
first client has connected.
"""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from supervisor.api.bridge import LoopBridge
from supervisor.api.limits import ClientLimits
from supervisor.api.sockets import bind, bind_tcp
from supervisor.core.config_model import Api as Access

STOP_LIMIT_S = 1.0
RESTART_S = 1.0


def load() -> None:
    """Import what serves requests."""
    import supervisor.api.serving  # noqa: F401


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
        self._is_serving = threading.Event()  # or has ended
        self._is_closing = threading.Event()
        self._close_fd = os.eventfd(0, os.EFD_CLOEXEC)  # readable once it is closing
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
        if self._is_closing.is_set():
            return
        self._is_closing.set()
        os.eventfd_write(self._close_fd, 1)
        if self._thread.is_alive() and self._is_serving.wait(STOP_LIMIT_S):
            # The thread's loop may have failed and closed in the meantime.
            with contextlib.suppress(RuntimeError):
                self._stop()
            self._thread.join(STOP_LIMIT_S)
        self._socket.close()
        if self._public is not None:
            self._public.close()
        os.close(self._close_fd)
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _run(self) -> None:
        """Serve from the first client on until closed; begin again after a shortage."""
        self._wait_for_client()
        while not self._is_closing.is_set():
            # A shortage may meet the import, too; `Serving` reports its own.
            with contextlib.suppress(OSError, MemoryError):
                self._serve()
            self._is_closing.wait(RESTART_S)
        self._is_serving.set()

    def _serve(self) -> None:
        from supervisor.api.serving import Serving

        Serving(
            self._socket, self._public, self._bridge, self._folder, self._limits, self._began
        ).run()

    def _wait_for_client(self) -> None:
        waited = select.poll()
        for fd in (self._socket, self._public, self._close_fd):
            if fd is not None:
                waited.register(fd, select.POLLIN)
        waited.poll()

    def _began(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._is_serving.set()
