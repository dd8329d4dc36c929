"""Watching jobs.yaml by content: two looks a second apart must agree.

An editor that writes in two steps, a file replaced, deleted or unreadable are
all just contents that differ. What is decided here is only *when* a text is
worth reading; a child reads it.
"""

import hashlib
from datetime import datetime
from pathlib import Path

# The file is looked at at this second of each minute.
LOOK_AT_SECOND = 50
SETTLE_S = 1.0


class Watch:
    """The file as last acted on, and a look that waits for its second.

    Instants are monotonic seconds.
    """

    def __init__(self, path: Path, acted_on: str) -> None:
        self._path = path
        self._acted_on = acted_on
        self._candidate = ""
        self._forced = False
        self.look_again_at: float | None = None

    def look(self, mono: float) -> None:
        """Look once; a new content wants a second look."""
        found = self._fingerprint()
        if self._forced or found != self._acted_on:
            self._candidate = found
            self.look_again_at = mono + SETTLE_S

    def insist(self, mono: float) -> None:
        """Look for somebody who wants the text read, new or not."""
        self._forced = True
        self.look(mono)

    def look_again(self, mono: float) -> bool:
        """The second look: whether the text stood still and is to be read now."""
        if self.look_again_at is None or mono < self.look_again_at:
            return False
        found = self._fingerprint()
        if found != self._candidate:
            self._candidate, self.look_again_at = found, mono + SETTLE_S
            return False
        self.look_again_at = None
        wanted = self._forced or found != self._acted_on
        self._acted_on, self._forced = found, False
        return wanted

    def _fingerprint(self) -> str:
        return fingerprint(self._path)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content, or the name of the error that hides it."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return type(error).__name__


def seconds_to_look(wall: datetime) -> float:
    """Seconds to the next second 50 of a minute, never zero."""
    now = wall.second + wall.microsecond / 1e6
    return (LOOK_AT_SECOND - now) % 60 or 60.0
