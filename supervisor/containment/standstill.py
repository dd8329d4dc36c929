"""Which processes stand still because somebody stopped or traces them, and for how long.

A job may send SIGSTOP to the processes that contain it, or trace them. The first is
told to their parent; the second only shows in /proc. Standard library only.
"""

from collections.abc import Collection

from supervisor.containment import tree

# So often within so many seconds is no slip of a person: somebody stops it in a loop.
_MOST_STOPS = 10
_WITHIN_S = 2.0
# In the first look it is woken, in the second it is beyond help.
_HOPELESS_LOOKS = 2


class Stops:
    """When one process was stopped of late."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def add(self, now: float) -> bool:
        """Note one more stop; whether there are too many (monotonic seconds)."""
        self._at = [at for at in self._at if now - at < _WITHIN_S]
        self._at.append(now)
        return len(self._at) > _MOST_STOPS


class Looks:
    """In how many looks in a row each process stood still."""

    def __init__(self) -> None:
        self._still: dict[int, int] = {}

    def look(self, pids: Collection[int]) -> tuple[list[int], list[int]]:
        """(those that stand still for the first time, those that are beyond help)."""
        still = [pid for pid in pids if tree.state(pid) in ("T", "t")]
        self._still = {pid: self._still.get(pid, 0) + 1 for pid in still}
        fresh = [pid for pid, looks in self._still.items() if looks < _HOPELESS_LOOKS]
        return fresh, [pid for pid in still if pid not in fresh]
