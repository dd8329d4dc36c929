"""Watching jobs.yaml by content: two looks a second apart must agree.

An editor that writes in two steps, a file replaced, deleted or unreadable are
all just contents that differ. Pure: what is decided here is only *when* the file
is looked at, and when its text is worth reading; children do both.
"""

from datetime import datetime

# The file is looked at at this second of each minute.
LOOK_AT_SECOND = 50
SETTLE_S = 1.0


class Watch:
    """The file as last acted on, and a look that waits for its second.

    Instants are monotonic seconds. look_at: when the next look is wanted; None: not
    before somebody asks for one.
    """

    def __init__(self, acted_on: str) -> None:
        self.look_at: float | None = None
        self._acted_on = acted_on
        self._candidate: str | None = None
        self._forced = False

    def want(self, mono: float) -> None:
        """Want a look now, unless one is wanted already."""
        if self.look_at is None:
            self.look_at = mono

    def insist(self, mono: float) -> None:
        """Want the text read, new or not."""
        self._forced = True
        self._candidate = None
        self.look_at = mono

    def begin(self, mono: float) -> bool:
        """Whether to look now; the look is then no longer wanted."""
        if self.look_at is None or mono < self.look_at:
            return False
        self.look_at = None
        return True

    def saw(self, found: str, mono: float) -> bool:
        """What a look found: whether the text stood still and is to be read now."""
        is_new = self._forced or found != self._acted_on
        if self.look_at is not None:  # asked for while this look was under way
            return False
        if is_new and found != self._candidate:
            self._candidate, self.look_at = found, mono + SETTLE_S
            return False
        self._candidate = None
        if is_new:
            self._acted_on, self._forced = found, False
        return is_new

    def gave_up(self, why: str) -> bool:
        """A look did not come to an end: whether that is news."""
        is_new = self._forced or why != self._acted_on
        self._acted_on, self._forced, self._candidate = why, False, None
        return is_new


def seconds_to_look(wall: datetime) -> float:
    """Seconds to the next second 50 of a minute, never zero."""
    now = wall.second + wall.microsecond / 1e6
    return (LOOK_AT_SECOND - now) % 60 or 60.0
