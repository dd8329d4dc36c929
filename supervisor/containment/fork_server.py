"""The clean process that forks keepers: one thread, few descriptors, no secrets.

The supervisor executes it (`fork_server_client.py`) with one argument, a JSON object,
and sends it requests as packets. When a keeper dies, the fork server inherits its tree,
kills it and sends `swept`. It knows nothing about runs.

Invariant: every child is a keeper or about to be killed. When the supervisor is gone
(end of file; SIGTERM from the kernel) the keepers get LAST_S to empty their trees;
then the rest is killed.

Keep this lean: its memory is copied into every keeper and every worker.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import time
import traceback
import typing

from supervisor.containment import instance_mark, ipc, launch_errors, process_tree, signal_fd
from supervisor.containment.keeper import Keeper
from supervisor.containment.stopped_processes import Stops
from workers import bootstrap

LAST_S = 0.3
LAST_KILL_S = 0.1
ROUND_MS = 20
# A process that survives its keeper this long, killed in each round, will not die.
SURVIVES_S = 1.0
HELD_ROUND_MS = 1000
MOST_WAKES = 64  # per turn
_MORE_KILLABLE = 100  # added to oom_score_adj (maximum 1000) so that the supervisor is killed last


class Settings(typing.NamedTuple):
    """What the supervisor passes at the start. limits: (resource, soft, hard)."""

    control_fd: int
    supervisor: int
    runs_dir: str
    instance: str
    umask: int | None
    limits: list[tuple[int, int, int]]


class ForkServer:
    """The loop: requests from the supervisor, deaths of children."""

    def __init__(self, control: socket.socket, settings: Settings, signals: int) -> None:
        self._control = control
        self._settings = settings
        self._signals = signals
        self._keepers: dict[int, int] = {}  # pid -> number
        self._unswept: list[int] = []  # numbers of dead keepers whose trees may be alive
        self._unswept_since = 0.0
        self._doomed: dict[int, float] = {}  # killed keepers -> time of the kill
        self._held: set[int] = set()  # children that survived SIGKILL; already reported
        self._stops: dict[int, Stops] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(signals, select.POLLIN)

    def serve(self) -> None:
        """Serve until the supervisor is gone; only the fork server returns, never a keeper."""
        self._send({"ready": True})
        while True:
            ready = {fd for fd, _ in self._poll.poll(self._patience_ms())}
            if self._signals in ready:
                signal_fd.drain(self._signals)
                if os.getppid() != self._settings.supervisor:
                    return
            self._reap()
            if self._control.fileno() in ready and not self._handle_packet():
                return

    def _patience_ms(self) -> int | None:
        if self._unswept or self._doomed:
            return ROUND_MS
        return HELD_ROUND_MS if self._held else None

    def end(self) -> None:
        """Let the keepers finish, for LAST_S; then kill what is left."""
        for pid in self._keepers:
            os.kill(pid, signal.SIGCONT)
        waited = select.poll()
        waited.register(self._signals, select.POLLIN)
        for _ in range(int(LAST_S * 1000 / ROUND_MS)):
            process_tree.reap()
            if not process_tree.children():
                return
            waited.poll(ROUND_MS)
            signal_fd.drain(self._signals)
        process_tree.end_children(within_s=LAST_KILL_S)

    def _handle_packet(self) -> bool:
        """Process one packet; return False at end of file."""
        packet, descriptors = ipc.receive(self._control)
        if not packet:
            return False
        order = json.loads(packet)
        match order:
            case {"keeper": number}:
                self._spawn_keeper(number, descriptors[0])
            case {"wake": number}:
                self._signal(number, signal.SIGCONT)
            case {"kill": number}:
                self._signal(number, signal.SIGKILL)
                now = time.monotonic()
                self._doomed |= {pid: now for pid, n in self._keepers.items() if n == number}
        return True

    def _spawn_keeper(self, number: int, fd: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._send({"unborn": number, "error": launch_errors.process_refused(error)})
            os.close(fd)
            return
        if pid == 0:
            self._become_keeper(fd)
        os.close(fd)
        self._keepers[pid] = number
        self._send({"born": number, "pid": pid})

    def _become_keeper(self, fd: int) -> typing.NoReturn:
        status = 1
        try:
            fork_server = os.getppid()
            self._control.close()
            os.setsid()
            control = socket.socket(fileno=fd)
            ipc.enlarge_buffers(control)
            Keeper(control, fork_server, self._settings.runs_dir, self._signals).serve()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)

    def _signal(self, number: int, by: signal.Signals) -> None:
        for pid, known in self._keepers.items():
            if known == number:
                os.kill(pid, by)

    def _reap(self) -> None:
        """Reap dead children, kill what dead keepers left, and report when it is gone."""
        self._wake_stopped()
        for pid in process_tree.reap():
            self._forget(pid)
        self._give_up_held_keepers()
        if not self._unswept and not self._held:
            return
        left = [pid for pid in process_tree.children() if pid not in self._keepers]
        process_tree.kill(left)
        self._held.intersection_update(left)
        left = [pid for pid in left if pid not in self._held]
        if not left:
            for number in self._unswept:
                self._send({"swept": number})
            self._unswept.clear()
        elif time.monotonic() > self._unswept_since + SURVIVES_S:
            self._send({"survived": self._unswept, "left": process_tree.survivors(left)})
            self._held.update(left)
            self._unswept = []

    def _forget(self, pid: int) -> None:
        """Forget a child that has ended; if it was a keeper, mark its tree for killing."""
        self._doomed.pop(pid, None)
        self._stops.pop(pid, None)
        number = self._keepers.pop(pid, None)
        if number is not None:
            self._unswept.append(number)
            self._unswept_since = time.monotonic()

    def _give_up_held_keepers(self) -> None:
        """Give up on killed keepers that cannot be reaped because a process traces them."""
        for pid, since in list(self._doomed.items()):
            if process_tree.state(pid) == "Z":
                self._forget(pid)
                self._held.add(pid)
            elif time.monotonic() > since + SURVIVES_S:
                del self._doomed[pid]

    def _wake_stopped(self) -> None:
        """Continue stopped keepers; kill one that is stopped again and again."""
        for _ in range(MOST_WAKES):
            try:
                stopped = os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG)
            except ChildProcessError:
                return
            if stopped is None:
                return
            if stopped.si_pid in self._keepers:
                self._wake(stopped.si_pid)

    def _wake(self, keeper: int) -> None:
        now = time.monotonic()
        if self._stops.setdefault(keeper, Stops()).add(now):
            self._doomed[keeper] = now
            os.kill(keeper, signal.SIGKILL)
        else:
            os.kill(keeper, signal.SIGCONT)

    def _send(self, packet: dict[str, object]) -> None:
        with contextlib.suppress(ConnectionError):
            ipc.send(self._control, json.dumps(packet).encode())


def take_default_signals() -> None:
    """Reset signal dispositions and unblock all signals, since jobs inherit them from here.

    Python itself ignores SIGPIPE and SIGXFSZ; each way to start a job undoes that.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(argument: str) -> None:
    """Run the fork server with the supervisor's settings."""
    settings = Settings(**json.loads(argument))
    control = socket.socket(fileno=settings.control_fd)
    control.set_inheritable(False)
    take_default_signals()
    signals = signal_fd.open_signal_fd()
    if not process_tree.set_parent_death_signal(settings.supervisor, signal.SIGTERM):
        return
    process_tree.adopt_orphans()
    instance_mark.put_on(0, settings.instance)
    for kind, soft, hard in settings.limits:
        resource.setrlimit(kind, (soft, hard))
    if settings.umask is not None:
        os.umask(settings.umask)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+") as file:
        score = min(1000, int(file.read()) + _MORE_KILLABLE)
        file.seek(0)
        file.write(str(score))
    os.chdir("/")
    bootstrap.line_buffer_stdio()
    gc.collect()
    gc.freeze()  # the collector must not write to pages that forks share
    fork_server = ForkServer(control, settings, signals)
    fork_server.serve()
    fork_server.end()
    # The supervisor waits for this exit, and the kernel frees memory faster than Python.
    os._exit(0)
