"""The init of one run's tree at a time: start it, hear it out, reap it, empty it.

A keeper is forked by the nursery and takes its orders from the supervisor, one
packet each (`packets.py`, `orders.py`). It decides nothing about runs: no
retries, no deadlines. How a process is started stands in `births.py`, how a
tree is killed in `tree.py`.

The law: nothing that a run started is left when `emptied` is said - the kernel
itself has said ECHILD. If the supervisor or the nursery goes away, the tree is
killed to the same point before the keeper goes too. End of file on the output
means nothing.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time
import typing

from supervisor.containment import births, output, packets, tree
from supervisor.containment.refusals import StartError

NAMED_STRAYS = 20
READ_BYTES = 64 * 1024
TURN_BYTES = 1024 * 1024  # output read before other events get their turn
LAST_BYTES = 4 * 1024 * 1024  # and of a pipe that somebody outside the tree still fills
TAIL_BYTES = 4 * 1024
ROUND_MS = 20
# What ends within this is told of in one packet, which halves the supervisor's wake-ups.
BRIEF_S = 0.01


class Tail:
    """The last output of an errand (run 0 or less), which has no log on disk."""

    def __init__(self) -> None:
        self.kept = b""

    def write(self, piece: bytes) -> None:
        """Keep the newest TAIL_BYTES."""
        self.kept = (self.kept + piece)[-TAIL_BYTES:]

    def close(self) -> None:
        """Nothing is open."""


class Tenant:
    """The run that is held, and what is known of it."""

    def __init__(self, birth: births.Birth, log: output.Log | Tail) -> None:
        self.pid: int | None = birth.pid  # None: reaped
        self.untold: int | None = birth.pid  # None: its pid was told
        self.tell_at = time.monotonic() + BRIEF_S
        self.output: int | None = birth.output  # None: all its writers are gone
        self.log = log
        self.killed = False  # whole, by order: what dies with it is no stray
        self.cpu_s = 0.0
        self.max_rss_kib = 0
        self.strays: dict[int, str] = {}

    def introduction(self) -> dict[str, object]:
        """Its pid, for the first packet about it; {} ever after."""
        pid, self.untold = self.untold, None
        return {} if pid is None else {"pid": pid}

    def account(self, usage: typing.Any) -> None:
        """Add what wait4 says of one process and of those it waited for."""
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)

    def named_strays(self) -> list[str]:
        """The first NAMED_STRAYS, and how many more there were."""
        named = list(self.strays.values())
        more = len(named) - NAMED_STRAYS
        return named if more <= 0 else [*named[:NAMED_STRAYS], f"and {more} more"]


class Keeper:
    """One keeper's loop; all its waiting is one poll."""

    def __init__(self, control: socket.socket, nursery: int, runs_dir: str, wakeup: int) -> None:
        self._control: socket.socket | None = control  # None: nobody gives orders any more
        self._nursery = nursery
        self._runs_dir = runs_dir
        self._wakeup = wakeup
        self._tenant: Tenant | None = None
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wakeup, select.POLLIN)

    def serve(self) -> None:
        """Take orders while anybody gives them; then end what is held.

        The nursery's death comes as SIGTERM. Any other SIGTERM, such as one
        to a whole control group, leaves the care of its runs to the supervisor.
        """
        if not tree.hear_of_death(self._nursery, signal.SIGTERM):
            return
        tree.adopt_orphans()
        while self._control is not None or self._tenant is not None:
            ready = {fd for fd, _ in self._poll.poll(self._patience_ms())}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                if os.getppid() != self._nursery:
                    self._retire()
            if self._tenant is not None:
                if self._tenant.output in ready:
                    self._read(self._tenant, TURN_BYTES)
                self._reap(self._tenant)
                self._tell_pid_in_time()
            if self._control is not None and self._control.fileno() in ready:
                self._obey(self._control)

    def _patience_ms(self) -> int | None:
        """Only a new tree, or one that is being killed, is looked at without a sign from it."""
        tenant = self._tenant
        if tenant is None:
            return None
        if tenant.untold is not None:
            return max(1, round((tenant.tell_at - time.monotonic()) * 1000))
        return ROUND_MS if tenant.pid is None or tenant.killed else None

    def _tell_pid_in_time(self) -> None:
        tenant = self._tenant
        if tenant is not None and tenant.untold is not None and time.monotonic() >= tenant.tell_at:
            self._say(tenant.introduction())

    # --- orders ---------------------------------------------------------------

    def _obey(self, control: socket.socket) -> None:
        packet, descriptors = packets.receive(control)
        try:
            if not packet:
                self._retire()
                return
            order = json.loads(packet)
            if "force" not in order:
                self._begin(order, descriptors[0] if descriptors else None)
            elif self._tenant is not None:
                self._force(self._tenant, order["force"])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _begin(self, order: births.Order, message_fd: int | None) -> None:
        try:
            birth = births.begin(order, message_fd)
        except StartError as error:
            self._say({"failed": str(error)})
            return
        run = order["run"]
        log = output.Log(self._runs_dir, run, order["attempt"]) if run > 0 else Tail()
        self._tenant = Tenant(birth, log)
        self._poll.register(birth.output, select.POLLIN)

    def _force(self, tenant: Tenant, force: str) -> None:
        if tenant.pid is None:  # what is left is being killed already
            return
        if force == "kill":
            tenant.killed = True
            tree.kill(tree.children())
        else:
            # CONT, so that one who stands still can heed it.
            for number in (signal.SIGTERM, signal.SIGCONT):
                _signal_group(tenant.pid, number)

    def _retire(self) -> None:
        if self._control is not None:
            self._poll.unregister(self._control)
            self._control.close()
            self._control = None
        if self._tenant is not None:
            self._tenant.killed = True
            tree.kill(tree.children())

    # --- endings --------------------------------------------------------------

    def _reap(self, tenant: Tenant) -> None:
        ended, empty = self._reap_dead(tenant)
        if not empty and (tenant.pid is None or tenant.killed):
            if ended:
                self._say({**tenant.introduction(), **ended})
            self._kill_left(tenant)
        elif empty:
            self._finish(tenant, ended)

    def _reap_dead(self, tenant: Tenant) -> tuple[dict[str, object], bool]:
        """(what to tell of the run's own process if it was among the dead, nothing is left)."""
        ended: dict[str, object] = {}
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if dead is None:
                    return ended, False
                if dead.si_pid == tenant.pid:
                    self._before_reaping(tenant, dead.si_pid)
                _, code, usage = os.wait4(dead.si_pid, 0)
            except ChildProcessError:
                return ended, True
            tenant.account(usage)
            if dead.si_pid == tenant.pid:
                tenant.pid = None
                ended = {"status": code, "exit_cpu_s": usage.ru_utime + usage.ru_stime}

    def _before_reaping(self, tenant: Tenant, pid: int) -> None:
        """Kill the group of the run's own process while its number is still taken."""
        left = [child for child in tree.children() if child != pid]
        if not left:
            return
        if not tenant.killed:
            tenant.strays |= tree.names(left)
        tree.kill([pid, *left])

    def _kill_left(self, tenant: Tenant) -> None:
        left = tree.children()
        if not tenant.killed:
            new = [pid for pid in left if pid not in tenant.strays]
            tenant.strays |= tree.names(new)
        tree.kill(left)

    def _finish(self, tenant: Tenant, packet: dict[str, object]) -> None:
        if tenant.output is not None:
            self._read(tenant, LAST_BYTES)
        tenant.log.close()
        if tenant.output is not None:
            self._stop_reading(tenant, tenant.output)
        self._tenant = None
        packet |= tenant.introduction()
        packet |= {
            "emptied": True,
            "strays": tenant.named_strays(),
            "cpu_s": tenant.cpu_s,
            "max_rss_bytes": tenant.max_rss_kib * 1024,
        }
        if isinstance(tenant.log, Tail):
            packet["tail"] = tenant.log.kept.decode(errors="replace")
        else:
            packet["log_bytes"] = tenant.log.kept_bytes
            packet["log_lost"] = tenant.log.lost
            packet["dropped_bytes"] = tenant.log.dropped_bytes
        self._say(packet)

    def _read(self, tenant: Tenant, most: int) -> None:
        """Move output to the log until there is none, or about `most` bytes were read."""
        with contextlib.suppress(BlockingIOError):
            while tenant.output is not None and most > 0:
                piece = os.read(tenant.output, READ_BYTES)
                if piece:
                    tenant.log.write(piece)
                    most -= len(piece)
                else:
                    self._stop_reading(tenant, tenant.output)

    def _stop_reading(self, tenant: Tenant, fd: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        tenant.output = None

    def _say(self, packet: dict[str, object]) -> None:
        if self._control is not None:
            # If nobody is there, the end of the socket says so in the next turn.
            with contextlib.suppress(ConnectionError):
                packets.send(self._control, json.dumps(packet).encode())


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(PermissionError):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:  # forked, and not yet the leader of its session
            os.kill(pid, number)
