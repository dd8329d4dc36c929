"""The clean process that forks keepers: one thread, few descriptors, no secrets.

Exec'd by the supervisor (`processes.py`) with one argument, a JSON object; asked
by packets. A keeper that dies leaves its tree to the nursery, which kills it
and says `swept`. It knows no runs.

The law: every child is a keeper, or doomed. When the supervisor is gone (end
of file; SIGTERM from the kernel) the keepers get LAST_S to empty their trees,
and then nothing is left.

Keep it lean: its memory is copied into every keeper and every worker.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import traceback
import typing

from supervisor.containment import packets, tree
from supervisor.containment.keeper import Keeper
from workers import child

LAST_S = 2.0
ROUND_MS = 20
_MORE_KILLABLE = 100  # of 1000, for keepers and runs: the supervisor goes last


class Settings(typing.NamedTuple):
    """What the supervisor says at the start. limits: (resource, soft, hard)."""

    control_fd: int
    supervisor: int
    runs_dir: str
    umask: int | None
    limits: list[tuple[int, int, int]]


class Nursery:
    """The loop: orders from the supervisor, deaths of children."""

    def __init__(self, control: socket.socket, settings: Settings, wakeup: int) -> None:
        self._control = control
        self._settings = settings
        self._wakeup = wakeup
        self._keepers: dict[int, int] = {}  # pid -> number
        self._unswept: list[int] = []  # numbers of dead keepers whose trees may live
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wakeup, select.POLLIN)

    def serve(self) -> None:
        """Until the supervisor is gone; returns only in the nursery, never in a keeper."""
        self._say({"ready": True})
        while True:
            ready = {fd for fd, _ in self._poll.poll(ROUND_MS if self._unswept else None)}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                if os.getppid() != self._settings.supervisor:
                    return
            self._bury()
            if self._control.fileno() in ready and not self._obey():
                return

    def end(self) -> None:
        """Let the keepers finish, for LAST_S; then kill whatever is left."""
        waited = select.poll()
        waited.register(self._wakeup, select.POLLIN)
        for _ in range(int(LAST_S * 1000 / ROUND_MS)):
            tree.reap()
            if not tree.children():
                return
            waited.poll(ROUND_MS)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup, 4096)
        tree.end_children()

    def _obey(self) -> bool:
        """Do what one packet asks; False: there will be no other."""
        packet, descriptors = packets.receive(self._control)
        if not packet:
            return False
        order = json.loads(packet)
        match order:
            case {"keeper": number}:
                self._bear(number, descriptors[0])
            case {"wake": number}:
                self._signal(number, signal.SIGCONT)
            case {"kill": number}:
                self._signal(number, signal.SIGKILL)
        return True

    def _bear(self, number: int, fd: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._say({"unborn": number, "error": f"fork: {error.strerror}"})
            os.close(fd)
            return
        if pid == 0:
            self._become_keeper(fd)
        os.close(fd)
        self._keepers[pid] = number

    def _become_keeper(self, fd: int) -> typing.NoReturn:
        status = 1
        try:
            nursery = os.getppid()
            self._control.close()
            os.close(self._wakeup)
            os.setsid()
            control = socket.socket(fileno=fd)
            packets.widen(control)
            Keeper(control, nursery, self._settings.runs_dir, hear_signals()).serve()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)

    def _signal(self, number: int, by: signal.Signals) -> None:
        for pid, known in self._keepers.items():
            if known == number:
                os.kill(pid, by)

    def _bury(self) -> None:
        """Reap the dead, kill what dead keepers left, and tell when it is gone."""
        for pid in tree.reap():
            number = self._keepers.pop(pid, None)
            if number is not None:
                self._unswept.append(number)
        if not self._unswept:
            return
        left = [pid for pid in tree.children() if pid not in self._keepers]
        tree.kill(left)
        if not left:
            for number in self._unswept:
                self._say({"swept": number})
            self._unswept.clear()

    def _say(self, packet: dict[str, object]) -> None:
        with contextlib.suppress(ConnectionError):
            packets.send(self._control, json.dumps(packet).encode())


def hear_signals() -> int:
    """A descriptor that becomes readable when SIGCHLD or SIGTERM comes.

    Handlers, and not "ignore", because only those are undone by an exec.
    """
    mine, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    previous = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    if previous >= 0:
        os.close(previous)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return mine


def take_default_signals() -> None:
    """Block and ignore nothing, whatever our parent did: jobs inherit it from here.

    Python itself ignores two signals; each way to start a job undoes that.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(argument: str) -> None:
    """Run the nursery as the supervisor's settings say."""
    settings = Settings(**json.loads(argument))
    control = socket.socket(fileno=settings.control_fd)
    control.set_inheritable(False)
    take_default_signals()
    wakeup = hear_signals()
    if not tree.hear_of_death(settings.supervisor, signal.SIGTERM):
        return
    tree.adopt_orphans()
    for kind, soft, hard in settings.limits:
        resource.setrlimit(kind, (soft, hard))
    if settings.umask is not None:
        os.umask(settings.umask)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+") as file:
        score = min(1000, int(file.read()) + _MORE_KILLABLE)
        file.seek(0)
        file.write(str(score))
    os.chdir("/")
    child.speak_by_the_line()
    gc.collect()
    gc.freeze()  # what is copied at every fork should not be written to by the collector
    nursery = Nursery(control, settings, wakeup)
    nursery.serve()
    nursery.end()
