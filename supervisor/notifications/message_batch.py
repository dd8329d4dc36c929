"""One batch of messages for one channel: a child process sends it, and its outcome is read.

The child process is `child/send_alerts.py`.
"""

from collections.abc import Iterable

import msgspec

from supervisor.containment.internal_jobs import End, InternalJob, why_ended
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Channel
from supervisor.notifications.channel_kind import Message
from supervisor.notifications.child.messages import CALL_S, DELIVERED, RETRY_AFTER
from workers import protocol

WORKER = "supervisor.notifications.child.send_alerts:run"


class Outcome(msgspec.Struct, frozen=True):
    """The number of messages that arrived, and the error of the next one ("" if all did)."""

    arrived: int
    cause: str = ""
    retry_after_s: float | None = None
    refused: bool = False


class MessageBatch:
    """Sender of batches through child processes, one batch at a time."""

    def __init__(self, run: int, name: str) -> None:
        self._job = InternalJob(run, name)
        self._length = 0
        self._arrived = 0
        self._retry_after_s: float | None = None
        self._failed: protocol.Failed | None = None

    @property
    def is_out(self) -> bool:
        """Return whether a batch is in progress."""
        return self._job.is_out

    def begin(self, at: ev.At, to: Channel, messages: list[Message]) -> effects.Launch:
        """Return the launch of a child that sends these messages in order."""
        self._length, self._arrived = len(messages), 0
        self._retry_after_s = self._failed = None
        params = {
            "kind": to.kind,
            "url": to.url,
            "settings": msgspec.Raw(to.settings_json.encode()),
            "messages": messages,
        }
        encoded = msgspec.json.encode(params).decode()
        return self._job.begin(at, worker=WORKER, params_json=encoded)

    def outcome(self, events: Iterable[ev.Event]) -> Outcome | None:
        """Return the outcome once the end of the child is among the events, else None."""
        events = list(events)
        for message in self._job.said(events):
            self._hear(message)
        end = self._job.end(events)
        return None if end is None else self._account(end)

    def _hear(self, message: protocol.Message | protocol.Garbage) -> None:
        match message:
            case protocol.Metric(name, value) if name == DELIVERED:
                self._arrived = max(self._arrived, min(int(value), self._length))
            case protocol.Metric(name, value) if name == RETRY_AFTER:
                self._retry_after_s = value
            case protocol.Failed() as failed:
                self._failed = failed
            case _:
                pass

    def _account(self, end: End) -> Outcome:
        if self._arrived == self._length:
            return Outcome(self._arrived)
        if self._failed is None:
            cause = f"the process that delivers {why_ended(end, CALL_S)}"
            return Outcome(self._arrived, cause)
        failed, retry_after = self._failed, self._retry_after_s
        return Outcome(self._arrived, failed.error, retry_after, failed.permanent)
