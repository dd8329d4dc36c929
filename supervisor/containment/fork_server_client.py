"""The supervisor's line to the nursery: start it, tell it, hear it, end it.

Knows the nursery's command line and nothing of keepers or runs.
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
# Appended, so that no neighbour of this package can stand in for a standard module.
_BEGIN = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from supervisor.containment import fork_server; fork_server.main(sys.argv[2])"
)


class ForkServerPacket(msgspec.Struct):
    """One packet of the nursery."""

    ready: bool = False
    swept: int = 0
    unborn: int = 0
    error: str = ""
    born: int = 0
    pid: int = 0
    survived: tuple[int, ...] = ()
    left: tuple[str, ...] = ()


class ForkServerClient:
    """One nursery, from its exec to its end."""

    def __init__(self, settings: Mapping[str, object], environment: Mapping[str, str]) -> None:
        """Start it; from the main thread, whose end would be its own.

        Raises:
            OSError: it cannot be exec'd.
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
        """Its process id; never given away while this object lives."""
        return self._process.pid

    def spawn_keeper(self, number: int) -> socket.socket:
        """Have a keeper made; our end of the line to it, which works at once.

        Raises:
            OSError: the nursery is gone or does not read.
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
        """Let a keeper go on that somebody has stopped."""
        self._send(b'{"wake":%d}' % number)

    def kill(self, number: int) -> None:
        """Kill a keeper; its tree falls to the nursery."""
        self._send(b'{"kill":%d}' % number)

    def receive(self) -> ForkServerPacket | None:
        """One packet; None: the nursery is dead.

        Raises:
            BlockingIOError: nothing has come.
        """
        packet, _ = ipc.receive(self.control)
        if not packet:
            return None
        told = msgspec.json.decode(packet, type=ForkServerPacket)
        self.was_ready |= told.ready
        return told

    def go_on(self) -> None:
        """Continue it, if somebody has stopped it."""
        os.kill(self.pid, signal.SIGCONT)

    def go_on_if_stopped(self) -> None:
        """After a SIGCHLD: continue it, or kill it if it is stopped again and again."""
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is None:
                return
            if self._stops.add(time.monotonic()):
                self._process.kill()
            else:
                self.go_on()

    def look_after(self, keepers: Mapping[int, int]) -> None:
        """Continue it and keepers that were stopped; kill those that stay still, or are traced.

        keepers: pid -> number; pid 0: not known yet.
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
        """Kill it; its keepers end what they hold, and what they leave falls to us."""
        self._process.kill()

    def end(self, within_s: float) -> None:
        """Hang up, let it end all that it holds, and make sure of its own end."""
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            self.go_on()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self._process.kill()
        # Not for good: a process that traces it may hold what is left of it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DEAD_WITHIN_S)

    def _send(self, packet: bytes) -> None:
        # A dead one has an end of file on its socket, which says more than an error here.
        with contextlib.suppress(OSError):
            ipc.send(self.control, packet)


def settings(
    runs_dir: Path, instance: str, umask: int | None, limits: Sequence[tuple[int, int, int]]
) -> dict[str, object]:
    """What every nursery of this supervisor is told (nursery.Settings)."""
    return {
        "runs_dir": str(runs_dir),
        "instance": instance,
        "umask": umask,
        "limits": list(limits),
    }
