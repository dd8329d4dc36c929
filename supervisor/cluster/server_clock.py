"""The wall clock of a leader: that of PostgreSQL, so that one leader agrees with the next.

It is kept by this machine's clock since its boot and corrected by each measurement, so
that a step of this machine's own wall clock does not matter between two of them.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from supervisor.cluster.session import Connection

# A difference above this is a step of PostgreSQL's clock, and is followed at once.
STEP_S = 2.0
# The part of a smaller difference that is taken over, and the most of it.
PART, MOST_S = 0.25, 0.1


def boottime() -> float:
    """Return seconds since the boot, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def next_offset(offset_s: float, found_s: float, half_s: float) -> float:
    """Return what to add to the base clock after a measurement found `found_s`.

    half_s: half the time that it took. PostgreSQL may have answered at any moment of it, so
    a difference below that says nothing.
    """
    found = found_s - offset_s
    beyond = math.copysign(max(0.0, abs(found) - half_s), found)
    if abs(beyond) > STEP_S:
        return found_s
    return offset_s + max(-MOST_S, min(MOST_S, PART * beyond))


class ServerClock:
    """PostgreSQL's wall clock. base: seconds that only grow."""

    def __init__(self, base: Callable[[], float] = boottime) -> None:
        self._base = base
        self._offset_s: float | None = None
        self._last_s = float("-inf")

    def measure(self, db: Connection) -> None:
        """Compare with PostgreSQL's clock. Raises: psycopg.Error."""
        before = self._base()
        row = db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        self.learn(row[0], before, self._base())

    def learn(self, server_s: float, before_s: float, after_s: float) -> None:
        """Take in that PostgreSQL's clock was `server_s` between two readings of the base."""
        half_s = (after_s - before_s) / 2
        found_s = server_s - before_s - half_s
        if self._offset_s is None:
            self._offset_s = found_s
            return
        changed = next_offset(self._offset_s, found_s, half_s)
        if self._offset_s - changed > MOST_S:  # PostgreSQL's clock was set back
            self._last_s = float("-inf")
        self._offset_s = changed

    def seconds(self) -> float:
        """Return seconds since 1970; corrections alone never let them go back."""
        assert self._offset_s is not None, "measured when the leader begins"
        self._last_s = max(self._last_s, self._base() + self._offset_s)
        return self._last_s

    def wall(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)
