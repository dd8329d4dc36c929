"""Where a catalogue's documents come from: here a folder, in `api.py` an API.

A document is a list of pages (bytes of `{"data": [...]}`); a folder has one
page each. What is in them is for `rows.py` to judge. The law: a source reads,
bounded in size and time, and names what it could not read.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from workers.sync.rows import ROWS_VERSION

Document = Sequence[bytes]

# 20,000 cards with all their prices are 55 MB; what is so much larger is a mistake.
MAX_DOCUMENT_BYTES = 256 << 20


class UnreadableCatalogueError(Exception):
    """A document that could not be read; `permanent` if a retry would not help."""

    def __init__(self, text: str, permanent: bool) -> None:
        super().__init__(text)
        self.permanent = permanent


class SyncCancelledError(Exception):
    """SIGTERM came; what was done until then is whole."""


class Source(Protocol):
    """A catalogue; both methods raise Unreadable."""

    def sets(self) -> Document:
        """All sets."""

    def cards(self, set_id: str) -> Document:
        """All cards of one set; `set_id` has passed `rows.sets`."""

    def close(self) -> None:
        """Let go of connections."""


class Folder:
    """`sets.json` and `cards/<set id>.d/cards.json`; other files are ignored."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def sets(self) -> Document:
        """The one page of sets.json.

        Raises:
            Unreadable: the folder or the file is missing, or no plain file.
        """
        if not self._root.is_dir():
            raise UnreadableCatalogueError(f"catalogue {self._root} is no folder", permanent=True)
        return [_content(str(self._root / "sets.json"))]

    def cards(self, set_id: str) -> Document:
        """The one page of a set's cards.

        Raises:
            Unreadable: the file is missing, or no plain file.
        """
        # os.path and not pathlib: 170 paths a night are part of "nothing to do".
        return [_content(os.path.join(self._root, "cards", f"{set_id}.d", "cards.json"))]

    def close(self) -> None:
        """Nothing is held open."""


def digest(document: Document) -> str:
    """SHA-256 of a document and of the rules by which it becomes rows.

    Size and mtime would be 0.04 s cheaper for 20,000 cards, and wrong: an edit
    within one tick of the clock, or one that keeps the mtime, goes unseen.
    """
    whole = hashlib.sha256(f"rows {ROWS_VERSION}".encode())
    for page in document:
        whole.update(b"\npage %d\n" % len(page))
        whole.update(page)
    return whole.hexdigest()


def _content(path: str) -> bytes:
    # O_NONBLOCK: opening a FIFO that somebody left there must not hang the run.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableCatalogueError(f"{path} is no plain file", permanent=True)
            if found.st_size > MAX_DOCUMENT_BYTES:
                raise UnreadableCatalogueError(
                    f"{path} has {found.st_size} bytes; at most 1 GiB", permanent=True
                )
            return file.read()
    except FileNotFoundError as error:
        raise UnreadableCatalogueError(f"{path} does not exist", permanent=True) from error
    except OSError as error:
        raise UnreadableCatalogueError(
            f"{path} cannot be read: {error.strerror}", permanent=True
        ) from error
