"""Read the documents of a catalogue: from a folder here, from an API in `api.py`.

A document is a list of pages (bytes of `{"data": [...]}`); a folder has one page per
document. `rows.py` checks the content. Invariant: reading is bounded in size and time, and
an error names what could not be read.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

from workers.regular_file import MissingFileError, UnreadableFileError, read_regular
from workers.sync.rows import ROWS_VERSION

Document = Sequence[bytes]

# 20,000 cards with all their prices are 55 MB; a much larger document is a mistake.
MAX_DOCUMENT_BYTES = 256 << 20


class UnreadableCatalogueError(Exception):
    """A document that could not be read; `permanent` if a retry would not help."""

    def __init__(self, text: str, permanent: bool) -> None:
        super().__init__(text)
        self.permanent = permanent


class SyncCancelledError(Exception):
    """SIGTERM was received; all work done before it is complete."""


class Source(Protocol):
    """A catalogue; `sets` and `cards` raise UnreadableCatalogueError.

    ahead: how many documents of cards may be read in other threads before they are needed.
    """

    ahead: int

    def sets(self) -> Document:
        """Return the document of all sets."""

    def cards(self, set_id: str) -> Document:
        """Return the document of one set's cards; `rows.sets` has checked `set_id`."""

    def close(self) -> None:
        """Close connections."""


class Folder:
    """A folder with `sets.json` and `cards/<set id>.d/cards.json`; other files are ignored."""

    # One for each of two threads. A document may be large, so not more.
    ahead = 2

    def __init__(self, root: Path) -> None:
        self._root = root

    def sets(self) -> Document:
        """Return the single page of sets.json.

        Raises:
            UnreadableCatalogueError: the folder or the file is missing or not a regular file.
        """
        # Unlike Path.is_dir(), it is False where the path cannot be looked at.
        if not os.path.isdir(self._root):
            raise UnreadableCatalogueError(
                f"catalogue {self._root} is no folder that can be read", permanent=True
            )
        return [_content(str(self._root / "sets.json"))]

    def cards(self, set_id: str) -> Document:
        """Return the single page of a set's cards.

        Raises:
            UnreadableCatalogueError: the file is missing or not a regular file.
        """
        # os.path is faster than pathlib, which counts for 170 paths in a run without changes.
        return [_content(os.path.join(self._root, "cards", f"{set_id}.d", "cards.json"))]

    def close(self) -> None:
        """Do nothing; a folder keeps no file open."""


def digested(
    source: Source, set_ids: Sequence[str]
) -> Generator[Callable[[], tuple[Document, str]], None, None]:
    """Yield for each set a function that returns its document of cards and the digest.

    Reading and hashing hold no lock of Python, so that other threads do both for the next
    sets while rows are written. The functions raise what `Source.cards` raises.
    """
    one = partial(_digested, source)
    if not source.ahead:
        yield from (partial(one, set_id) for set_id in set_ids)
        return
    with ThreadPoolExecutor(source.ahead, "read") as pool:
        reading: deque[Future[tuple[Document, str]]] = deque()
        for set_id in set_ids:
            reading.append(pool.submit(one, set_id))
            if len(reading) > source.ahead:
                yield reading.popleft().result
        while reading:
            yield reading.popleft().result


def _digested(source: Source, set_id: str) -> tuple[Document, str]:
    document = source.cards(set_id)
    return document, digest(document)


def digest(document: Document) -> str:
    """Return the SHA-256 of a document and of ROWS_VERSION.

    Size and mtime would be 0.04 s faster for 20,000 cards, but would miss an edit within one
    clock tick, and one that keeps the mtime.
    """
    whole = hashlib.sha256(f"rows {ROWS_VERSION}".encode())
    for page in document:
        whole.update(b"\npage %d\n" % len(page))
        whole.update(page)
    return whole.hexdigest()


def _content(path: str) -> bytes:
    try:
        return read_regular(path, MAX_DOCUMENT_BYTES)
    except MissingFileError as error:
        raise UnreadableCatalogueError(f"{path} does not exist", permanent=True) from error
    except UnreadableFileError as error:
        raise UnreadableCatalogueError(f"{path} {error}", permanent=True) from error
