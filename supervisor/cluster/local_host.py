"""This host's own supervisor, asked over its socket by the agent."""

import contextlib
import os
import threading
import time
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


class HostRefusedError(Exception):
    """Refusal of the supervisor, or no answer; the text says why."""


class LocalHost:
    """The supervisor of this host. Its methods raise HostRefusedError."""

    def __init__(self, socket: Path) -> None:
        self._client = Client(socket)

    def assign(self, job: str, key: AssignmentKey, order: Order) -> responses.Assigned:
        """Return the run of an assignment, which is opened if it is not known."""
        body = {
            "job": job,
            "run": key.run,
            "attempt": key.attempt,
            "fence": key.fence,
            "trigger": key.trigger,
            "due": order.due.isoformat(),
            "set": order.set,
            "dry_run": order.dry_run,
        }
        return msgspec.json.decode(self._post("assignments", **body), type=responses.Assigned)

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


class LocalEvents:
    """A descriptor that is readable after something has changed on this host."""

    def __init__(self, socket: Path) -> None:
        self._client = Client(socket)
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        threading.Thread(target=self._listen, name="events", daemon=True).start()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def drain(self) -> None:
        """Make the descriptor unreadable until the next change."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def _listen(self) -> None:
        while True:
            with contextlib.suppress(CliError):
                for _ in self._client.stream("v1", "events"):
                    os.eventfd_write(self._fd, 1)
            os.eventfd_write(self._fd, 1)  # changes may have been missed
            time.sleep(REST_S)
