"""Alert delivery in the supervisor: `Deliver` -> child -> `Delivered` or `Undelivered`.

The child process is `child/send_alerts.py`. The details of a message (the run, its
output, the last success) are read here, at delivery. If they cannot be read, the
message is sent without them.
"""

import contextlib
import socket
import sqlite3
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

import msgspec

from supervisor.containment import run_log
from supervisor.containment.internal_jobs import DELIVERY, TEST, End, InternalJob, why_ended
from supervisor.core import effects, schedule
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert
from supervisor.core.model import Channel, Run
from supervisor.core.state import SchedulerState
from supervisor.ledger.queries import History
from supervisor.log import ServiceLog
from supervisor.notifications import terminal_screen
from supervisor.notifications.alert_text import AlertContext
from supervisor.notifications.channel_kind import Message
from supervisor.notifications.channels import kind_of
from supervisor.notifications.child.messages import CALL_S, DELIVERED, RETRY_AFTER
from workers import protocol
from workers.text import readable

WORKER = "supervisor.notifications.child.send_alerts:run"


class Outcome(msgspec.Struct, frozen=True):
    """The number of messages that arrived, and the error of the next one ("" if all did)."""

    arrived: int
    cause: str = ""
    retry_after_s: float | None = None
    refused: bool = False


class PostBatch:
    """Sender of message batches through child processes, one batch at a time."""

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


OUTPUT_BYTES = 16 * 1024
# More than the longest message, less than the smallest packet limit of any kernel.
BATCH_BYTES = 64 * 1024


class AlertSender:
    """Sender of the alerts in the core's `Deliver` actions."""

    def __init__(self, folder: Path, log: ServiceLog) -> None:
        self._folder = folder
        self._log = log
        self._batch = PostBatch(DELIVERY, "deliver-alerts")
        self._channel: Channel | None = None
        self._ahead: list[tuple[Alert, Message]] = []
        self._on_the_way: list[Alert] = []
        self._host = readable(socket.gethostname())

    def take(self, deliver: effects.Deliver, scheduler: SchedulerState) -> None:
        """Queue these alerts for delivery, in one or more batches."""
        channel = self._channel = scheduler.config.notify.channel
        assert channel is not None, "without a channel no alert is waiting"
        self._ahead = [
            (alert, self._message(alert, channel, scheduler)) for alert in deliver.alerts
        ]

    def next_instant(self) -> float | None:
        """Return 0 if a batch can be launched now, else None."""
        return 0.0 if self._ahead and not self._batch.is_out else None

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch for the next messages that fit into a packet, or None."""
        if not self._ahead or self._batch.is_out or self._channel is None:
            return None
        count = _fitting([message for _, message in self._ahead])
        going, self._ahead = self._ahead[:count], self._ahead[count:]
        self._on_the_way = [alert for alert, _ in going]
        return self._batch.begin(at, self._channel, [message for _, message in going])

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Return the events for the outbox if the batch has ended."""
        outcome = self._batch.outcome(events)
        if outcome is None:
            return []
        happened: list[ev.Event] = []
        arrived = tuple(alert.id for alert in self._on_the_way[: outcome.arrived])
        if arrived:
            happened.append(ev.Delivered(at, arrived))
        if outcome.cause:
            self._ahead = []
            why = outcome.cause, outcome.retry_after_s, outcome.refused
            happened.append(ev.Undelivered(at, *why))
        return happened

    def _message(self, alert: Alert, channel: Channel, scheduler: SchedulerState) -> Message:
        lines: list[str] = []
        if alert.run is not None:
            with contextlib.suppress(OSError):
                lines = self._last_lines(alert.run)
        about = AlertContext(
            alert=alert,
            zone=schedule.zone(scheduler.config.timezone),
            host=self._host,
            run=None if alert.run is None else self._run(alert.run, scheduler),
            job=scheduler.definition(alert.job),
            last_success=scheduler.last_success.get(alert.job),
            output=tuple(lines),
        )
        return kind_of(channel.kind).message(about, self._log.mask)

    def _last_lines(self, run: int) -> list[str]:
        found, is_cut = run_log.newest(self._folder / "runs", run, OUTPUT_BYTES)
        # Mask before cutting or rendering; the whole message is masked again.
        text = self._log.mask(found.decode(errors="replace"))
        if is_cut:  # the text may begin inside a secret, which cannot reach into its second half
            text = text[len(text) // 2 :]
        return terminal_screen.shown(text)

    def _run(self, number: int, scheduler: SchedulerState) -> Run | None:
        if number in scheduler.runs:
            return scheduler.runs[number]
        try:
            with contextlib.closing(History(self._folder)) as history:
                return history.run(number)
        except sqlite3.Error:
            return None


class TrialAlertSender:
    """Sender of a test alert; resolves the futures that wait for its outcome."""

    def __init__(self) -> None:
        self._batch = PostBatch(TEST, "test-alert")
        self._waiting: list[Future[Outcome]] = []
        self._channel: Channel | None = None

    def ask(self, answer: "Future[Outcome]", scheduler: SchedulerState) -> None:
        """Request a test alert; the future gets the outcome."""
        if scheduler.config.notify.channel is None:
            answer.set_result(Outcome(0, "no channel is configured"))
            return
        self._channel = scheduler.config.notify.channel
        self._waiting.append(answer)

    def next_instant(self) -> float | None:
        """Return 0 if a test alert can be launched now, else None."""
        return 0.0 if self._waiting and not self._batch.is_out else None

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch for the test alert, or None."""
        if not self._waiting or self._batch.is_out or self._channel is None:
            return None
        message = kind_of(self._channel.kind).test_message(readable(socket.gethostname()))
        return self._batch.begin(at, self._channel, [message])

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Resolve the waiting futures; on success an empty `Delivered` retries the outbox."""
        outcome = self._batch.outcome(events)
        if outcome is None:
            return []
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            # Mark the future as running so the caller cannot cancel it before set_result.
            if answer.set_running_or_notify_cancel():
                answer.set_result(outcome)
        return [] if outcome.cause else [ev.Delivered(at, ())]


def _fitting(messages: list[Message]) -> int:
    """Return how many of these messages fit into one packet, at least one.

    Each is JSON text inside JSON text, so its quotes are escaped twice.
    """
    count, room = 0, BATCH_BYTES
    for message in messages:
        room -= len(msgspec.json.encode(msgspec.json.encode(message).decode()))
        if count and room < 0:
            break
        count += 1
    return count
