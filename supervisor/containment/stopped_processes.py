"""Detects processes that are stopped or traced, and for how long.

A job may send SIGSTOP to the processes that contain it, or trace them. The kernel reports
a stop to the parent; tracing is visible only in /proc. Standard library only.
"""

from collections.abc import Collection

from supervisor.containment import process_tree

# More stops than this within _WITHIN_S are no accident but a loop that stops it.
_MOST_STOPS = 10
_WITHIN_S = 2.0
# The first look wakes a stopped process; the second gives it up.
_HOPELESS_LOOKS = 2


class Stops:
    """The recent times at which one process was stopped."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def add(self, now: float) -> bool:
        """Record a stop (monotonic seconds) and return whether there are too many."""
        self._at = [at for at in self._at if now - at < _WITHIN_S]
        self._at.append(now)
        return len(self._at) > _MOST_STOPS


class Looks:
    """The number of consecutive looks in which each process was stopped."""

    def __init__(self) -> None:
        self._still: dict[int, int] = {}

    def look(self, pids: Collection[int]) -> tuple[list[int], list[int]]:
        """Return (pids stopped for the first time, pids that stayed stopped)."""
        still = [pid for pid in pids if process_tree.state(pid) in ("T", "t")]
        self._still = {pid: self._still.get(pid, 0) + 1 for pid in still}
        fresh = [pid for pid, looks in self._still.items() if looks < _HOPELESS_LOOKS]
        return fresh, [pid for pid in still if pid not in fresh]
