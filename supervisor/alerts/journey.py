"""One journey of messages to a webhook: the child that goes, and what it told.

The URL and the texts go over the keeper's socket and nowhere else: not onto a
disk, which may be what the alert is about, nor into arguments or an environment.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from supervisor.alerts.words import CALL_S, DELIVERED, RETRY_AFTER
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.errands import End, Errand, why_ended
from workers import protocol

WORKER = "supervisor.alerts.posting:run"


class Outcome(msgspec.Struct, frozen=True):
    """How many messages arrived; why the next one did not, "" if all did."""

    arrived: int
    cause: str = ""
    retry_after_s: float | None = None
    refused: bool = False


class Journey:
    """Journeys of one kind, one at a time."""

    def __init__(self, run: int, name: str) -> None:
        self._errand = Errand(run, name)
        self._length = 0
        self._arrived = 0
        self._retry_after_s: float | None = None
        self._failed: protocol.Failed | None = None

    @property
    def is_out(self) -> bool:
        """Whether one has begun and not ended."""
        return self._errand.is_out

    def begin(self, at: ev.At, url: str, messages: list[dict[str, Any]]) -> effects.Launch:
        """The child that is to post these, in this order."""
        self._length, self._arrived = len(messages), 0
        self._retry_after_s = self._failed = None
        params = msgspec.json.encode({"url": url, "messages": messages}).decode()
        return self._errand.begin(at, worker=WORKER, params_json=params)

    def outcome(self, heard: Iterable[ev.Event]) -> Outcome | None:
        """What came of it, once its end is among what was heard."""
        heard = list(heard)
        for message in self._errand.said(heard):
            self._hear(message)
        end = self._errand.end(heard)
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
        failed, wish = self._failed, self._retry_after_s
        return Outcome(self._arrived, failed.error, wish, failed.permanent)
