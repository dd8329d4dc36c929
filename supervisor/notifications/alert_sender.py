"""Alert delivery in the supervisor: `Deliver` -> child -> `Delivered` or `Undelivered`.

Each channel has a child process of its own, so that one that does not respond delays
no other. The messages are made when they are sent (`message_source.py`).
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from supervisor.containment.internal_jobs import DELIVERY
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Channel
from supervisor.core.state import SchedulerState
from supervisor.notifications.channel_kind import Message
from supervisor.notifications.message_batch import MessageBatch
from supervisor.notifications.message_source import MessageSource

# More than the longest message, less than the smallest packet limit of any kernel.
BATCH_BYTES = 64 * 1024


class _Delivery(Struct):
    """Delivery to one channel; ahead: alerts whose turn comes, sent: those in the child."""

    batch: MessageBatch
    channel: Channel | None = None
    ahead: list[tuple[Alert, Message]] = []
    sent: list[Alert] = []

    @property
    def is_ready(self) -> bool:
        return bool(self.ahead) and not self.batch.is_out

    @property
    def is_free(self) -> bool:
        return not self.ahead and not self.batch.is_out


class AlertSender:
    """Sender of the alerts in the core's `Deliver` actions."""

    def __init__(self, source: MessageSource) -> None:
        self._source = source
        self._deliveries: list[_Delivery] = []

    def take(self, deliver: effects.Deliver, scheduler: SchedulerState) -> None:
        """Queue these alerts for delivery, in one or more batches."""
        channel = deliver.channel
        delivery = self._delivery_to(channel.name)
        delivery.channel = channel
        delivery.ahead = [
            (alert, self._source.message(alert, channel, scheduler)) for alert in deliver.alerts
        ]

    def next_instant(self) -> float | None:
        """Return 0 if a batch can be launched now, else None."""
        return 0.0 if any(delivery.is_ready for delivery in self._deliveries) else None

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch for the next messages that fit into a packet, or None."""
        delivery = next((each for each in self._deliveries if each.is_ready), None)
        if delivery is None or delivery.channel is None:
            return None
        count = _fitting([message for _, message in delivery.ahead])
        going, delivery.ahead = delivery.ahead[:count], delivery.ahead[count:]
        delivery.sent = [alert for alert, _ in going]
        return delivery.batch.begin(at, delivery.channel, [message for _, message in going])

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Return the events for the outboxes of the channels whose batch has ended."""
        events, happened = list(events), list[ev.Event]()
        for delivery in self._deliveries:
            happened += _ended(delivery, events, at)
        return happened

    def _delivery_to(self, name: str) -> _Delivery:
        """Return the delivery to this channel, or one that can be used for it."""
        for delivery in self._deliveries:
            is_same = delivery.channel is not None and delivery.channel.name == name
            if is_same and not delivery.is_free:
                return delivery
        for delivery in self._deliveries:
            if delivery.is_free:
                return delivery
        batch = MessageBatch(DELIVERY - len(self._deliveries), "deliver-alerts")
        self._deliveries.append(_Delivery(batch))
        return self._deliveries[-1]


def _ended(delivery: _Delivery, events: list[ev.Event], at: ev.At) -> list[ev.Event]:
    outcome = delivery.batch.outcome(events)
    if outcome is None or delivery.channel is None:
        return []
    name, happened = delivery.channel.name, list[ev.Event]()
    arrived = tuple(alert.id for alert in delivery.sent[: outcome.arrived])
    if arrived:
        happened.append(ev.Delivered(at, arrived, name))
    if outcome.cause:
        delivery.ahead = []
        why = outcome.retry_after_s, outcome.refused
        happened.append(ev.Undelivered(at, outcome.cause, name, *why))
    return happened


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
