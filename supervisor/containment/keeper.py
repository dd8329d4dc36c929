"""Supervises the process tree of one run at a time: spawn, read output, reap, kill leftovers.

A keeper is forked by the fork server and takes orders from the supervisor, one packet
each (`ipc.py`, `launch_spec.py`). It decides nothing about runs: no retries, no deadlines.
`spawn.py` starts processes, `process_tree.py` kills trees.

Invariant: no process of a run is left when `emptied` is sent; the kernel has said ECHILD.
If the supervisor or the fork server dies, the keeper kills the tree just as completely
before it exits. End of file on the output means nothing.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time
import typing

from supervisor.containment import ipc, process_tree, run_log, signal_fd, spawn
from supervisor.containment.launch_errors import StartError
from workers import json_text

NAMED_STRAYS = 20
READ_BYTES = 64 * 1024
TURN_BYTES = 1024 * 1024  # output read before other events are handled
LAST_BYTES = 4 * 1024 * 1024  # limit for a pipe that a process outside the tree keeps filling
TAIL_BYTES = 4 * 1024
ROUND_MS = 20
# A run that ends within this is reported in one packet, and its output is read once, at its
# end: a third of the wake-ups. A pipe holds 64 KiB until then.
BRIEF_S = 0.05

# Without the copies and searches of `json.loads`; an order has no spaces around it.
_decode = json.JSONDecoder().raw_decode

_NO_PROGRAM: spawn.Order = {
    "argv": ["/"],
    "env": {},
    "bare": True,
    "cwd": "/",
    "nice": 0,
    "limits": [],
}


class OutputTail:
    """The last output of an internal job (run 0 or less), which has no log on disk."""

    def __init__(self) -> None:
        self.kept = b""

    def write(self, piece: bytes) -> None:
        """Keep the newest TAIL_BYTES."""
        self.kept = (self.kept + piece)[-TAIL_BYTES:]

    def close(self) -> None:
        """Do nothing; no file is open."""

    def account(self) -> dict[str, object]:
        """Return the packet fields about the output."""
        return {"tail": self.kept.decode(errors="replace")} if self.kept else {}


class HeldRun:
    """The current run and its accounting."""

    def __init__(self, spawned: spawn.Spawned, log: run_log.RunLog | OutputTail) -> None:
        self.pid: int | None = spawned.pid  # None: reaped
        self.unreported_pid: int | None = spawned.pid  # None: its pid was sent
        self.brief_until: float | None = time.monotonic() + BRIEF_S  # None: past
        self.output: int | None = spawned.output  # None: closed; all writers are gone
        self.log = log
        self.killed = False  # as a whole, by order: its processes are no strays
        self.cpu_s = 0.0
        self.max_rss_kib = 0
        self.strays: dict[int, str] = {}

    def pid_once(self) -> dict[str, object]:
        """Return its pid for the first packet about it, later {}."""
        pid, self.unreported_pid = self.unreported_pid, None
        return {} if pid is None else {"pid": pid}

    def account(self, usage: typing.Any) -> None:
        """Add what wait4 reports for one process and those it waited for."""
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)

    def named_strays(self) -> list[str]:
        """Return the first NAMED_STRAYS, and how many more there were."""
        named = list(self.strays.values())
        more = len(named) - NAMED_STRAYS
        return named if more <= 0 else [*named[:NAMED_STRAYS], f"and {more} more"]


class Keeper:
    """The loop of one keeper; all its waiting is one poll."""

    def __init__(
        self, control: socket.socket, fork_server: int, runs_dir: str, signals: int
    ) -> None:
        self._control: socket.socket | None = control  # None: no more orders will come
        self._fork_server = fork_server
        self._runs_dir = runs_dir
        self._signals = signals
        self._held: HeldRun | None = None
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(signals, select.POLLIN)

    def serve(self) -> None:
        """Process orders until end of file; then kill the current run.

        The fork server's death arrives as SIGTERM. Any other SIGTERM, such as one to a whole
        control group, is ignored: the supervisor decides about its runs.
        """
        if not process_tree.set_parent_death_signal(self._fork_server, signal.SIGTERM):
            return
        process_tree.adopt_orphans()
        _touch_launch_pages()
        while self._control is not None or self._held is not None:
            ready = dict(self._poll.poll(self._patience_ms()))
            if self._signals in ready:
                signal_fd.drain(self._signals)
                if os.getppid() != self._fork_server:
                    self._retire()
            if self._held is not None:
                if self._held.output in ready:
                    self._read(self._held, TURN_BYTES)
                self._reap(self._held)
            if self._held is not None:
                self._attend_long_run(self._held)
            if self._control is not None and self._control.fileno() in ready:
                self._handle_packet(self._control)

    def _patience_ms(self) -> int | None:
        """Return the poll timeout in ms; only a tree that is new or being killed needs one."""
        held = self._held
        if held is None:
            return None
        if held.pid is None or held.killed:
            return ROUND_MS
        if held.brief_until is None:
            return None
        return max(1, round((held.brief_until - time.monotonic()) * 1000))

    def _attend_long_run(self, held: HeldRun) -> None:
        """Report the pid of a run that is no longer brief, and read its output from now on."""
        if held.brief_until is None or time.monotonic() < held.brief_until:
            return
        held.brief_until = None
        if held.output is not None:
            self._poll.register(held.output, select.POLLIN)
        if held.unreported_pid is not None:
            self._send(held.pid_once())

    # --- orders from the supervisor ------------------------------------------

    def _handle_packet(self, control: socket.socket) -> None:
        packet, descriptors = ipc.receive(control)
        try:
            if not packet:
                self._retire()
                return
            order, _ = _decode(packet.decode())
            if "force" not in order:
                self._begin(order, descriptors[0] if descriptors else None)
            elif self._held is not None:
                self._force(self._held, order["force"])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _begin(self, order: spawn.Order, message_fd: int | None) -> None:
        # Before the fork: afterwards each page written is copied as long as the child lives.
        run = order["run"]
        log = run_log.RunLog(self._runs_dir, run, order["attempt"]) if run > 0 else OutputTail()
        try:
            spawned = spawn.spawn(order, message_fd)
        except StartError as error:
            self._send({"failed": str(error)})
            return
        self._held = HeldRun(spawned, log)

    def _force(self, held: HeldRun, force: str) -> None:
        if held.pid is None:  # what is left is already being killed
            return
        if force == "kill":
            held.killed = True
            process_tree.kill(process_tree.children())
        else:
            # Send SIGCONT so that a stopped process can handle SIGTERM.
            for number in (signal.SIGTERM, signal.SIGCONT):
                _signal_group(held.pid, number)

    def _retire(self) -> None:
        if self._control is not None:
            self._poll.unregister(self._control)
            self._control.close()
            self._control = None
        if self._held is not None:
            self._held.killed = True
            process_tree.kill(process_tree.children())

    # --- ends of processes ---------------------------------------------------

    def _reap(self, held: HeldRun) -> None:
        ended, empty = self._reap_dead(held)
        if empty:
            self._finish(held, ended)
        elif held.pid is None or held.killed:
            self._kill_left(held)
            if ended:
                self._send({**held.pid_once(), **ended})

    def _reap_dead(self, held: HeldRun) -> tuple[dict[str, object], bool]:
        """Reap dead children.

        Return the packet fields for the run's own process if it was among them, and whether
        no child is left.
        """
        ended: dict[str, object] = {}
        while True:
            try:
                pid, code, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return ended, True
            if pid == 0:
                return ended, False
            held.account(usage)
            if pid == held.pid:
                held.pid = None
                ended = {"status": code, "exit_cpu_s": usage.ru_utime + usage.ru_stime}

    def _kill_left(self, held: HeldRun) -> None:
        left = process_tree.children()
        if not held.killed:
            new = [pid for pid in left if pid not in held.strays]
            held.strays |= process_tree.names(new)
        process_tree.kill(left)

    def _finish(self, held: HeldRun, packet: dict[str, object]) -> None:
        """Report the end of the tree; what equals the defaults of `KeeperPacket` is left out."""
        if held.output is not None:
            self._read(held, LAST_BYTES)
        held.log.close()
        if held.output is not None:
            self._stop_reading(held, held.output)
        self._held = None
        packet |= held.pid_once()
        packet["emptied"] = True
        packet["cpu_s"] = held.cpu_s
        packet["max_rss_bytes"] = held.max_rss_kib * 1024
        if held.strays:
            packet["strays"] = held.named_strays()
        self._send(packet | held.log.account())

    def _read(self, held: HeldRun, most: int) -> None:
        """Move output to the log until there is no more, or about `most` bytes were read."""
        while held.output is not None and most > 0:
            try:
                piece = os.read(held.output, READ_BYTES)
            except BlockingIOError:
                return
            if piece:
                held.log.write(piece)
                most -= len(piece)
            else:
                self._stop_reading(held, held.output)

    def _stop_reading(self, held: HeldRun, fd: int) -> None:
        if held.brief_until is None:
            self._poll.unregister(fd)
        os.close(fd)
        held.output = None

    def _send(self, packet: dict[str, object]) -> None:
        if self._control is not None:
            try:
                ipc.send(self._control, json_text.encode(packet).encode())
            except ConnectionError:
                return  # the supervisor is gone: the next turn reads end of file


def _touch_launch_pages() -> None:
    """Fail to start a program, so that the first launch finds its pages copied already."""
    with contextlib.suppress(StartError):
        spawn.spawn(_NO_PROGRAM, None)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(PermissionError):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:  # forked, but not yet the leader of its session
            os.kill(pid, number)
