"""What a keeper and a worker told, as events of the core. Pure."""

from supervisor.containment.mail import Heard
from supervisor.containment.places import Key, Told
from supervisor.core import events


def said(heard: list[Heard], key: Key, at: events.At) -> list[events.AttemptEvent]:
    """An event for each message of a worker."""
    return [events.Said(at, *key, message) for message in heard]


def emptied(told: Told, key: Key, at: events.At) -> events.Emptied:
    """The account that a keeper gives when nothing of its run is left."""
    return events.Emptied(
        at,
        *key,
        strays=told.strays,
        cpu_s=told.cpu_s,
        max_rss_bytes=told.max_rss_bytes,
        log_bytes=told.log_bytes,
        dropped_bytes=told.dropped_bytes,
        log_lost=told.log_lost,
    )
