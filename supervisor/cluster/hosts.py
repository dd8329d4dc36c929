"""Which hosts are dead, by the observer's own clock alone. Pure.

A host counts as dead when its heartbeat was seen unchanged for the whole lease, by looks
without a gap. Instants of the server or of other hosts are never compared with a clock, so
that no step of a clock declares anybody dead (the rule of client-go's leader election).
"""

from collections.abc import Mapping
from typing import NamedTuple


class Seen(NamedTuple):
    """A heartbeat as text, and since when (monotonic seconds) it has been seen unchanged."""

    heartbeat: str
    since: float


class HostWatch(NamedTuple):
    """What an observer has seen of each worker.

    looked_at: monotonic seconds of its last look; None: it has not looked yet.
    """

    seen: Mapping[int, Seen]
    looked_at: float | None

    def look(self, heartbeats: Mapping[int, str], mono: float, gap_s: float) -> "HostWatch":
        """Return the watch after a look at all heartbeats.

        gap_s: after so long without a look, the observer itself may have been frozen, and
        everything is seen as new.
        """
        is_gap = self.looked_at is None or mono - self.looked_at > gap_s
        seen = {}
        for worker, heartbeat in heartbeats.items():
            before = self.seen.get(worker)
            is_same = before is not None and before.heartbeat == heartbeat and not is_gap
            seen[worker] = before if is_same and before is not None else Seen(heartbeat, mono)
        return HostWatch(seen, mono)

    def silent_s(self, worker: int, mono: float) -> float:
        """Return for how long a worker's heartbeat has not changed; 0.0 if it is unknown."""
        found = self.seen.get(worker)
        return 0.0 if found is None else mono - found.since


UNSEEN = HostWatch({}, None)
