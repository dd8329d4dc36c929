"""Detects changes of jobs.yaml by content: two looks one second apart must agree.

A partly written, replaced, deleted or unreadable file is simply different content.
Pure: this module only decides *when* to look at the file and when to load its text.
Child processes do both.
"""

from datetime import datetime

# The second of each minute at which the file is fingerprinted.
LOOK_AT_SECOND = 50
SETTLE_S = 1.0


class ConfigWatch:
    """The content last acted on, and the next scheduled look.

    Instants are monotonic seconds. look_at: when the next look is due; None until one is
    requested.
    """

    def __init__(self, acted_on: str) -> None:
        self.look_at: float | None = None
        self._acted_on = acted_on
        self._candidate: str | None = None
        self._forced = False

    def request_look(self, mono: float) -> None:
        """Schedule a look now, unless one is scheduled already."""
        if self.look_at is None:
            self.look_at = mono

    def force(self, mono: float) -> None:
        """Schedule a look now, and load the text even if it is unchanged."""
        self._forced = True
        self._candidate = None
        self.look_at = mono

    def begin(self, mono: float) -> bool:
        """Return whether a look is due, and if so clear the schedule."""
        if self.look_at is None or mono < self.look_at:
            return False
        self.look_at = None
        return True

    def observe(self, found: str, mono: float) -> bool:
        """Record the result of a look; return whether to load the text now.

        True if the content is new or forced, and equal in two looks.
        """
        is_new = self._forced or found != self._acted_on
        if self.look_at is not None:  # requested while this look was running
            return False
        if is_new and found != self._candidate:
            self._candidate, self.look_at = found, mono + SETTLE_S
            return False
        self._candidate = None
        if is_new:
            self._acted_on, self._forced = found, False
        return is_new

    def give_up(self, why: str) -> bool:
        """Record the reason of a failed look; return whether to report it."""
        is_new = self._forced or why != self._acted_on
        self._acted_on, self._forced, self._candidate = why, False, None
        return is_new


def seconds_to_poll(wall: datetime) -> float:
    """Return the seconds until the next second 50 of a minute; never zero."""
    now = wall.second + wall.microsecond / 1e6
    return (LOOK_AT_SECOND - now) % 60 or 60.0
