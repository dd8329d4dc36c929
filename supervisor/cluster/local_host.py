"""This host's own supervisor, asked over its socket by the agent."""

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from supervisor.cli.client import Client
from supervisor.cli.errors import CliError
from supervisor.cluster.messages import Order
from supervisor.core import responses
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.model import Trigger
from supervisor.core.views import RunView, Status

# The supervisor answers in milliseconds; an agent must not hang on it.
ANSWER_S = 10.0
REST_S = 0.5
# Requests that are sent at the same time: its API serves 64 clients in all.
AT_ONCE = 16
_RUN = re.compile(rb'\nevent: run\ndata: {"id":(\d+),')
# Changes that came before the stream, or that it has left out, are not in it.
_MISSED = re.compile(rb"^: changes follow|\nevent: missed\n|^event: missed\n")


class HostRefusedError(Exception):
    """Refusal of the supervisor; the text says why."""


class NoAnswerError(HostRefusedError):
    """No answer of the supervisor, which may have done what it was asked for."""


Asked = tuple[str, AssignmentKey, Order]


class LocalHost:
    """The supervisor of this host. Its methods raise HostRefusedError."""

    def __init__(self, path: Path) -> None:
        self._client, self._path = Client(path), str(path)

    def assign(self, asked: Sequence[Asked]) -> list[responses.Assigned | HostRefusedError]:
        """Return the run of each assignment, opened if it is not known, or the error.

        They are asked for at the same time, so that the supervisor records them together.
        """
        answers: list[responses.Assigned | HostRefusedError] = []
        for first in range(0, len(asked), AT_ONCE):
            several = asked[first : first + AT_ONCE]
            opened = [_opened(self._path, "/v1/assignments", _body(*each)) for each in several]
            answers += [_assigned(each) for each in opened]
        return answers

    def confirm(self, for_s: float, grace_s: float) -> None:
        """Say for how long this host may run what it was assigned."""
        self._post("membership", for_seconds=max(0.0, for_s), grace_seconds=grace_s)

    def cancel(self, run: int) -> None:
        """End a run; one that has ended meanwhile is as well."""
        with contextlib.suppress(HostRefusedError):
            self._post("runs", str(run), "cancel")

    def assigned(self) -> tuple[RunView, ...]:
        """Return the open runs that were assigned to this host."""
        try:
            answer = self._client.get("v1", "status", limit_s=ANSWER_S)
        except CliError as error:
            raise HostRefusedError(error.text) from error
        runs = msgspec.json.decode(answer, type=Status).runs
        return tuple(run for run in runs if run.trigger == Trigger.ASSIGNED)

    def _post(self, *parts: str, **body: object) -> bytes:
        try:
            return self._client.post("v1", *parts, body=body, limit_s=ANSWER_S)
        except CliError as error:
            raise HostRefusedError(error.text) from error


def _body(job: str, key: AssignmentKey, order: Order) -> bytes:
    return msgspec.json.encode(
        {
            "job": job,
            "run": key.run,
            "attempt": key.attempt,
            "fence": key.fence,
            "trigger": key.trigger,
            "due": order.due.isoformat(),
            "set": order.set,
            "dry_run": order.dry_run,
        }
    )


def _opened(path: str, target: str, body: bytes) -> "socket.socket | OSError":
    """Return a connection over which the request was sent, or the error."""
    head = (
        f"POST {target} HTTP/1.1\r\nHost: nightshift\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.settimeout(ANSWER_S)
        opened.connect(path)
        opened.sendall(head.encode() + body)
    except OSError as error:
        opened.close()
        return error
    return opened


def _assigned(opened: "socket.socket | OSError") -> responses.Assigned | HostRefusedError:
    """Return the answer to a request that was sent."""
    if isinstance(opened, OSError):
        return NoAnswerError(f"the supervisor does not answer: {opened}")
    try:
        with opened:
            answer = b"".join(iter(lambda: opened.recv(65536), b""))
        head, _, content = answer.partition(b"\r\n\r\n")
        status = int(head.split(None, 2)[1])
        if status == 200:
            return msgspec.json.decode(content, type=responses.Assigned)
        refused = msgspec.json.decode(content, type=responses.ErrorBody).error
    except (OSError, ValueError, IndexError) as error:
        return NoAnswerError(f"the supervisor broke off: {error or type(error).__name__}")
    return HostRefusedError(refused) if status < 500 or status == 503 else NoAnswerError(refused)


class LocalEvents:
    """A descriptor that is readable after runs have changed on this host."""

    def __init__(self, path: Path) -> None:
        self._client = Client(path)
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._changed: set[int] = set()
        self._missed = True
        threading.Thread(target=self._listen, name="events", daemon=True).start()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def drain(self) -> frozenset[int] | None:
        """Make the descriptor unreadable; return the runs that changed, None: perhaps all."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        with self._lock:
            changed, self._changed = self._changed, set()
            missed, self._missed = self._missed, False
        return None if missed else frozenset(changed)

    def _listen(self) -> None:
        while True:
            with contextlib.suppress(CliError):
                rest = b""
                for piece in self._client.stream("v1", "events"):
                    *events, rest = (rest + piece).split(b"\n\n")
                    self._note(events)
            time.sleep(REST_S)

    def _note(self, events: Sequence[bytes]) -> None:
        with self._lock:
            for event in events:
                if (found := _RUN.search(event)) is not None:
                    self._changed.add(int(found[1]))
                self._missed = self._missed or _MISSED.search(event) is not None
        os.eventfd_write(self._fd, 1)
