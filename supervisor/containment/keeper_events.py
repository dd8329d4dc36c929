"""Converts packets of keepers and messages of workers to events of the core. Pure."""

from supervisor.containment.keeper_client import KeeperPacket, Key
from supervisor.containment.message_pipe import ReceivedMessages
from supervisor.core import events
from workers import protocol


def message_events(
    messages: list[ReceivedMessages], key: Key, at: events.At
) -> list[events.AttemptEvent]:
    """Return an event for each message of a worker."""
    return [events.MessageReceived(at, *key, message) for message in messages]


def packet_events(
    packet: KeeperPacket, last_messages: list[ReceivedMessages], key: Key, at: events.At
) -> list[events.AttemptEvent]:
    """Return the events of a keeper's packet, in the order in which they happened.

    last_messages: what the worker has sent before the exit that the packet reports.
    """
    happened: list[events.AttemptEvent] = []
    if packet.pid is not None:
        happened.append(events.Started(at, *key, packet.pid))
    if packet.status is not None:
        happened += message_events(last_messages, key, at)
        happened.append(events.Exited(at, *key, packet.status, packet.exit_cpu_s))
    if packet.tail:
        happened.append(events.MessageReceived(at, *key, protocol.Log("info", packet.tail)))
    if packet.emptied:
        happened.append(_tree_empty(packet, key, at))
    if packet.failed is not None:
        happened.append(events.LaunchFailed(at, *key, packet.failed))
    return happened


def _tree_empty(packet: KeeperPacket, key: Key, at: events.At) -> events.TreeEmpty:
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
