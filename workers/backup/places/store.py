"""What every place can do. Values and the interface; no I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from workers.backup.errors import BackupError

# Companions of copies are small; a larger object is none.
MOST_SMALL_BYTES = 16 << 20
Step = Callable[[int], None]


class PlaceError(BackupError):
    """A place that refuses or does not answer; the text begins with its name.

    Not permanent unless said: a later attempt may find it in order.
    """

    def __init__(self, place: str, what: str, permanent: bool = False) -> None:
        super().__init__(f"{place}: {what}", permanent)


class TakenError(PlaceError):
    """The name is in use there; what has it was left as it is."""


class LockedError(PlaceError):
    """The place keeps the object by a lock or retention of its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of a place: its name and size."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Protection:
    """How the place keeps an object, as far as it tells.

    is_versioned: what is deleted or overwritten remains as a version.
    kept_until: the end of its retention. is_on_hold: by a legal hold, which has no end.
    """

    is_versioned: bool = False
    kept_until: datetime | None = None
    is_on_hold: bool = False

    def why_kept(self, now: datetime) -> str:
        """Return why the object cannot be removed now: `until ...`; empty if it can."""
        if self.is_on_hold:
            return "by a legal hold"
        if self.kept_until is not None and self.kept_until > now:
            return f"until {self.kept_until:%Y-%m-%d %H:%M} UTC"
        return ""


NO_PROTECTION = Protection()


class Store(Protocol):
    """An open place. Every method raises PlaceError; a wait for it ends by `Place.answer`.

    label: the place's name for people. proves_first: whether a plain copy gets its name only
    when it was read back (`secondary_copy`), and so needs no receipt.
    """

    label: str
    proves_first: bool

    def entries(self) -> list[Entry]:
        """Return the objects directly in the place."""

    def create(self, name: str, file: Path, sha256: str, step: Step) -> None:
        """Put the content of `file` under `name`; killed at any moment it is whole or absent.

        sha256: of the content (hex), kept as metadata where the place has that.
        step: called with the bytes sent so far; may raise.

        Raises:
            TakenError: the name is in use.
        """

    def create_small(self, name: str, content: bytes) -> None:
        """Put `content` under `name` like `create`."""

    def read(self, name: str, size_bytes: int) -> Iterator[bytes]:
        """Yield the content of an object of that size, in blocks."""

    def read_small(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of small objects by name; those that do not exist are left out."""

    def protection(self, name: str) -> Protection:
        """Return how the place keeps an object; nothing if it does not tell."""

    def delete(self, name: str) -> None:
        """Delete an object; do nothing if it does not exist.

        Raises:
            LockedError: the place keeps it.
        """
