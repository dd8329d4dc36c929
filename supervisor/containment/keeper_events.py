"""Converts packets of keepers and messages of workers to events of the core. Pure."""

from supervisor.containment.keeper_client import KeeperPacket, Key
from supervisor.containment.message_pipe import ReceivedMessages
from supervisor.core import events


def message_event(
    messages: list[ReceivedMessages], key: Key, at: events.At
) -> list[events.AttemptEvent]:
    """Return an event for each message of a worker."""
    return [events.MessageReceived(at, *key, message) for message in messages]


def tree_empty_event(packet: KeeperPacket, key: Key, at: events.At) -> events.TreeEmpty:
    """Return the event for the packet that reports an empty tree."""
    return events.TreeEmpty(
        at,
        *key,
        strays=packet.strays,
        cpu_s=packet.cpu_s,
        max_rss_bytes=packet.max_rss_bytes,
        log_bytes=packet.log_bytes,
        dropped_bytes=packet.dropped_bytes,
        log_lost=packet.log_lost,
    )
