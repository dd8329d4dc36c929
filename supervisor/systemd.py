"""Notifies the service manager (systemd) of readiness, reloads, stopping and liveness.

Sends datagrams to $NOTIFY_SOCKET as specified in sd_notify(3), without waiting and
without an answer. If the socket would block, the message is sent with the next one.
Without a socket nothing is sent and the loop is not woken. Nothing is decided here:
the loop says when to send, and only the loop may report that it is alive.
"""

import os
import socket
from collections.abc import MutableMapping
from datetime import datetime

from supervisor.core.effects import Note
from supervisor.core.events import At
from supervisor.core.state import SchedulerState, ServicePhase
from supervisor.log import ServiceLog
from workers.units import format_count, is_whole


def summary(scheduler: SchedulerState) -> str:
    """Return a one-line summary: jobs, running and pending runs, and what is wrong."""
    parts = [
        format_count(len(scheduler.jobs), "job"),
        f"{len(scheduler.live_attempts)} running",
        f"{scheduler.pending()} pending",
    ]
    if scheduler.incidents:
        parts.append(f"{len(scheduler.incidents)} with an incident")
    if scheduler.paused is not None:
        parts.append("paused")
    if scheduler.problems:
        parts.append("jobs.yaml is refused")
    if scheduler.ledger_error:
        parts.append("the ledger cannot be written")
    prefix = "" if scheduler.life is ServicePhase.SERVING else f"{scheduler.life}: "
    return prefix + ", ".join(parts)


VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
# Keep-alive pings per watchdog period: one may come late or be lost.
PINGS_A_PERIOD = 3
SHORTEST_S = 0.01
AGAIN_S = 1.0
STATUS_CHARACTERS = 200
# sun_path holds 108 bytes; an abstract name has no NUL at its end.
LONGEST_ADDRESS = 108


class NotifySocket:
    """Connection to the service manager, or a no-op if there is none.

    address: of its socket, "@" first for an abstract one; "": no service manager.
    watchdog_s: longest allowed silence in seconds; None: no watchdog.
    error: why the last message did not arrive, or never can; "" if it did.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.error = ""
        self._address = address
        self._silence_s: float | None = None
        if address and watchdog_s is not None:
            self._silence_s = max(SHORTEST_S, watchdog_s / PINGS_A_PERIOD)
        self._owed: dict[str, str] = {}
        self._status = ""
        self._was_ready = False
        self._is_stopping = False
        self._speak_at: float | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def ready(self, status: str, mono: float) -> None:
        """Report readiness, at the start or after a reload; pings are due from now on."""
        if self._is_stopping:
            return
        self._owed["READY"] = "1"
        if not self._was_ready and os.getpid() != 1:  # 1 is another process for systemd
            self._owed["MAINPID"] = str(os.getpid())
        self._was_ready = True
        self._describe(status)
        self._send(mono)

    def reloading(self, mono: float) -> None:
        """Report that jobs.yaml is being read; `ready` ends this state."""
        if self._is_stopping:
            return
        self._owed.pop("READY", None)
        self._owed |= {"RELOADING": "1", "MONOTONIC_USEC": str(int(mono * 1e6))}
        self._send(mono)

    def stopping(self, status: str, mono: float) -> None:
        """Report that the service is stopping; later calls have no effect."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._owed["STOPPING"] = "1"
        self._describe(status)
        self._send(mono)

    def status(self, text: str, mono: float) -> None:
        """Send the line for `systemctl status` if it has changed."""
        if self._describe(text):
            self._send(mono)

    def send_due(self, mono: float) -> None:
        """Send what is due: a keep-alive ping, or messages that would have blocked before."""
        if self._speak_at is not None and mono >= self._speak_at:
            self._send(mono)

    def next_instant(self) -> float | None:
        """Return the monotonic time at which `send_due` has work; None if never."""
        return self._speak_at

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._speak_at = None

    def _describe(self, text: str) -> bool:
        line = " ".join(text.split())[:STATUS_CHARACTERS]
        is_new = line != self._status
        if is_new:
            self._status = self._owed["STATUS"] = line
        return is_new

    def _send(self, mono: float) -> None:
        """Send all pending values with a keep-alive ping, and set the time of the next send."""
        if self._socket is None:
            return
        is_watched = self._silence_s is not None and self._was_ready
        if is_watched:
            self._owed["WATCHDOG"] = "1"
        said = "".join(f"{name}={value}\n" for name, value in self._owed.items())
        try:
            self._socket.sendto(said.encode(errors="replace"), _sockaddr(self._address))
            self.error = ""
        except BlockingIOError:
            self._speak_at = mono + min(AGAIN_S, self._silence_s or AGAIN_S)
            return
        except OSError as error:  # no receiver: drop what is pending
            self.error = f"$NOTIFY_SOCKET {self._address}: {error.strerror or error}"
        self._owed.clear()
        self._speak_at = mono + (self._silence_s or 0.0) if is_watched else None


def from_environ(environ: MutableMapping[str, str], pid: int) -> NotifySocket:
    """Return the notify socket that the environment names and remove its variables.

    Jobs must not be able to notify in our name. pid: our own; a watchdog for another
    process is ignored.
    """
    given = {name: environ.pop(name, "") for name in VARIABLES}
    address, watchdog_s, refusal = given["NOTIFY_SOCKET"], None, ""
    if not address:
        return NotifySocket()
    if address[0] not in "/@" or len(os.fsencode(address)) > LONGEST_ADDRESS:
        address, refusal = "", _refusal("NOTIFY_SOCKET", "an absolute path or @name", address)
    elif given["WATCHDOG_USEC"] and given["WATCHDOG_PID"] in ("", str(pid)):
        try:
            watchdog_s = _microseconds(given["WATCHDOG_USEC"]) / 1e6
        except ValueError:
            refusal = _refusal("WATCHDOG_USEC", "microseconds above 0", given["WATCHDOG_USEC"])
    line = NotifySocket(address, watchdog_s)
    line.error = refusal
    return line


def _sockaddr(address: str) -> bytes:
    named = os.fsencode(address)
    return b"\0" + named[1:] if named.startswith(b"@") else named


def _microseconds(text: str) -> int:
    if not (is_whole(text) and len(text) <= 18 and int(text)):
        raise ValueError(text)
    return int(text)


def _refusal(name: str, expected: str, got: str) -> str:
    return f'${name}: expected {expected}, got "{got[:STATUS_CHARACTERS]}": it is not heeded'


class SystemdNotifier:
    """Sender of state changes to systemd that remembers what was sent, to send it once."""

    def __init__(self, line: NotifySocket, log: ServiceLog) -> None:
        self._line = line
        self._log = log
        self._sent_minute: datetime | None = None
        self._sent_reading = False
        self._logged_error = line.error

    def begin(self, scheduler: SchedulerState, mono: float) -> None:
        """Report readiness, once the API answers."""
        self._line.ready(summary(scheduler), mono)

    def update(
        self, scheduler: SchedulerState, is_reading: bool, minute: datetime, at: At
    ) -> None:
        """Report what has changed; log once why it could not be sent.

        is_reading: whether jobs.yaml is being read again. minute: the next full one.
        """
        if scheduler.life in (ServicePhase.STOPPING, ServicePhase.STOPPED):
            self._line.stopping(summary(scheduler), at.mono)
        elif is_reading != self._sent_reading:
            self._sent_reading = is_reading
            if is_reading:
                self._line.reloading(at.mono)
            else:
                self._line.ready(summary(scheduler), at.mono)
        elif minute != self._sent_minute:  # one status line per minute, not one per run
            self._sent_minute = minute
            self._line.status(summary(scheduler), at.mono)
        self._line.send_due(at.mono)
        self._log_failure(at)

    def next_instant(self) -> float | None:
        """Return the monotonic time of the next message that no event triggers; None if none."""
        return self._line.next_instant()

    def _log_failure(self, at: At) -> None:
        error = self._line.error
        if error and error != self._logged_error:
            text = f"the service manager was not notified: {error}"
            self._log.note(at.wall, Note("warning", text))
        self._logged_error = error
