"""What was sent: the newest run that was seen, and those up to it that are still to be sent.

Kept in a small JSON file, replaced as a whole. A lock beside it refuses a second process
with the same position, which would send everything twice.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from workers import lock_file
from workers.regular_file import MissingFileError, UnreadableFileError, read_regular

LARGEST_BYTES = 1024**2
# Runs that wait to be sent; with more, the oldest are given up.
MOST_WAITING = 10_000


class PositionError(Exception):
    """A file of the position that cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Position:
    """instance: of the ledger that `seen` and `waiting` are numbers of."""

    instance: str
    seen: int
    waiting: frozenset[int] = frozenset()

    def reaching(self, newest: int) -> "Position":
        """Return the position with all runs up to `newest` seen."""
        if newest <= self.seen:
            return self
        first = max(self.seen + 1, newest - MOST_WAITING + 1)
        waiting = self.waiting | frozenset(range(first, newest + 1))
        if len(waiting) > MOST_WAITING:
            waiting = frozenset(sorted(waiting)[-MOST_WAITING:])
        return Position(self.instance, newest, waiting)

    def without(self, runs: frozenset[int]) -> "Position":
        """Return the position with these runs sent, or given up."""
        return Position(self.instance, self.seen, self.waiting - runs)


class PositionFile:
    """The file, locked while it is open."""

    def __init__(self, path: Path) -> None:
        """Lock it. Raises: PositionError."""
        self._path = path
        beside = path.with_name(f"{path.name}.lock")
        try:
            self._lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            lock_file.acquire_and_sign(self._lock)
        except lock_file.HeldError as error:
            os.close(self._lock)
            raise PositionError(f"{path} is in use by {error.owner}") from error
        except OSError as error:
            raise PositionError(f"{beside}: {error.strerror}: --position names another") from error

    def __enter__(self) -> "PositionFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._lock)

    def read(self) -> Position | None:
        """Return what was kept; None if there is no file. Raises: PositionError."""
        try:
            content = read_regular(self._path, LARGEST_BYTES)
            found = msgspec.json.decode(content, type=Position)
        except MissingFileError:
            return None
        except (UnreadableFileError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"{self._path}: {error}: remove it to go on with the runs that end from now on"
            raise PositionError(text) from error
        return Position(
            found.instance, found.seen, frozenset(sorted(found.waiting)[-MOST_WAITING:])
        )

    def write(self, position: Position) -> None:
        """Replace the content. Raises: OSError."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(position))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)
