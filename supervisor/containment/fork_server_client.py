"""The supervisor's connection to the fork server: start it, send requests, end it.

Knows the fork server's command line and nothing of keepers or runs.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from supervisor.containment import ipc, process_tree
from supervisor.containment.stopped_processes import Looks, Stops

_DEAD_WITHIN_S = 0.1
# Appended, so that no package next to this one can shadow a standard module.
_BEGIN = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from supervisor.containment import fork_server; fork_server.main(sys.argv[2])"
)


class ForkServerPacket(msgspec.Struct):
    """One packet of the fork server."""

    ready: bool = False
    swept: int = 0
    unborn: int = 0
    error: str = ""
    born: int = 0
    pid: int = 0
    survived: tuple[int, ...] = ()
    left: tuple[str, ...] = ()


class ForkServerClient:
    """One fork server, from its exec to its end."""

    def __init__(self, settings: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Start the fork server. Call from the main thread: it dies with the calling thread.

        Raises:
            OSError: it cannot be executed.
        """
        process_tree.adopt_orphans()
        self.was_ready = False
        self._stops, self._looks = Stops(), Looks()
        self.control, theirs = ipc.pair()
        fd = theirs.fileno()
        said = json.dumps({**settings, "control_fd": fd, "supervisor": os.getpid()})
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "utf8",
                    "-P",
                    "-c",
                    _BEGIN,
                    str(Path(__file__).parents[2]),
                    said,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=(fd,),
                start_new_session=True,
            )
        self.control.setblocking(False)

    @property
    def pid(self) -> int:
        """Return its process id; the kernel does not reuse it while this object lives."""
        return self._process.pid

    def spawn_keeper(self, number: int) -> socket.socket:
        """Request a keeper; return our end of its socket, which is usable at once.

        Raises:
            OSError: the fork server is gone or does not read.
        """
        mine, theirs = ipc.pair()
        with theirs:
            try:
                ipc.send(self.control, b'{"keeper":%d}' % number, theirs.fileno())
            except OSError:
                mine.close()
                raise
        mine.setblocking(False)
        return mine

    def wake(self, number: int) -> None:
        """Send SIGCONT to a keeper that was stopped."""
        self._send(b'{"wake":%d}' % number)

    def kill(self, number: int) -> None:
        """Kill a keeper; the fork server inherits its tree."""
        self._send(b'{"kill":%d}' % number)

    def receive(self) -> ForkServerPacket | None:
        """Return one packet; None: the fork server is dead.

        Raises:
            BlockingIOError: no packet has arrived.
        """
        packet, _ = ipc.receive(self.control)
        if not packet:
            return None
        message = msgspec.json.decode(packet, type=ForkServerPacket)
        self.was_ready |= message.ready
        return message

    def go_on(self) -> None:
        """Send SIGCONT to the fork server."""
        os.kill(self.pid, signal.SIGCONT)

    def go_on_if_stopped(self) -> None:
        """Continue a stopped fork server after a SIGCHLD; kill it if it is stopped repeatedly."""
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is None:
                return
            if self._stops.add(time.monotonic()):
                self._process.kill()
            else:
                self.go_on()

    def look_after(self, keepers: Mapping[int, int]) -> None:
        """Continue stopped processes; kill those that stay stopped or are traced.

        keepers: pid -> number, checked besides the fork server; pid 0: not known yet.
        """
        fresh, hopeless = self._looks.look([self.pid, *filter(None, keepers)])
        if self.pid in hopeless:
            self.shoot()
        elif self.pid in fresh:
            self.go_on()
        for pid in set(fresh) - {self.pid}:
            self.wake(keepers[pid])
        for pid in set(hopeless) - {self.pid}:
            self.kill(keepers[pid])

    def shoot(self) -> None:
        """Kill the fork server; keepers kill their trees, and we inherit what is left."""
        self._process.kill()

    def end(self, within_s: float) -> None:
        """Close the socket, wait for a clean exit, then SIGKILL."""
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            self.go_on()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self._process.kill()
        # With a limit: a process that traces it may keep it from being reaped.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DEAD_WITHIN_S)

    def _send(self, packet: bytes) -> None:
        # If it is dead, `receive` returns end of file, so the error here is redundant.
        with contextlib.suppress(OSError):
            ipc.send(self.control, packet)


def settings(
    runs_dir: Path, instance: str, umask: int | None, limits: Sequence[tuple[int, int, int]]
) -> dict[str, object]:
    """Return the settings of every fork server of this supervisor (`fork_server.Settings`)."""
    return {
        "runs_dir": str(runs_dir),
        "instance": instance,
        "umask": umask,
        "limits": list(limits),
    }
