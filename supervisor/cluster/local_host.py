"""This host's own supervisor, asked over its socket by the agent."""

import contextlib
import select
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from supervisor.cli.client import Client
from supervisor.cli.errors import CliError
from supervisor.cluster.agent_messages import Answer, Assign
from supervisor.core.model import Trigger
from supervisor.core.views import RunView, Status

# The supervisor answers in milliseconds; an agent must not hang on it.
ANSWER_S = 10.0
_PIECE = 65536


class HostRefusedError(Exception):
    """Refusal of the supervisor; the text says why."""


class LocalHost:
    """The supervisor of this host. Its methods raise HostRefusedError."""

    def __init__(self, path: Path) -> None:
        self._client = Client(path)

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


class HostLine:
    """The line to the supervisor: attempts to run, and how far they are.

    Its methods raise OSError when the line is lost; then connect again and give all again.
    """

    def __init__(self, path: Path) -> None:
        """Connect. Raises: OSError."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._rest = b""
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when there are answers."""
        return self._socket.fileno()

    def give(self, assigns: Sequence[Assign]) -> None:
        """Give attempts to the supervisor; each is answered once, and again as it goes on."""
        if assigns:
            self._socket.sendall(msgspec.json.encode(assigns) + b"\n")

    def drain(self) -> list[Answer]:
        """Return the answers that have come since the last call."""
        answers: list[Answer] = []
        while select.select([self._socket], [], [], 0)[0]:
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("the supervisor has closed the agent's line")
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                answers += msgspec.json.decode(line, type=list[Answer])
        return answers

    def close(self) -> None:
        """Close the line."""
        self._socket.close()
