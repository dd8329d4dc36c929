"""A source of events beside processes, requests and time, as the loop polls it."""

from typing import Protocol

from supervisor.core import events as ev


class EventSource(Protocol):
    """What the loop polls in every turn; the leader of a cluster exchanges with its hosts so."""

    def next_instant(self) -> float | None:
        """Return the monotonic time of the next poll; None if only events cause one."""

    def poll(self, at: ev.At) -> list[ev.Event]:
        """Return what has happened."""
