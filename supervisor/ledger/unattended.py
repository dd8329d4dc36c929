"""Opens a ledger for reading while no supervisor may be there to write it.

Nothing is created or changed in its folder. An ordinary read-only connection would
create the -wal and -shm files of a ledger that was closed, as the reader's own user, and
fails where it may not.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from supervisor.ledger.file import what_is_odd

_WRITTEN = ("", "-wal")
Fingerprint = tuple[tuple[int, int, int] | None, ...]


def connect(path: Path) -> sqlite3.Connection:
    """Open the ledger at `path` read-only.

    Raises:
        sqlite3.Error: it cannot be opened.
        OSError: it cannot be copied, which only one without its -shm file requires.
    """
    odd = what_is_odd(path)
    if odd:
        raise sqlite3.OperationalError(odd)
    path = path.resolve()
    if _is_shared(path):
        return _open(f"{path.as_uri()}?mode=ro")
    if not _has_wal(path):
        return _open(f"{path.as_uri()}?mode=ro&immutable=1")
    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
        copy = Path(folder, path.name)
        for ending in _WRITTEN:
            shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
        db = _open(copy.as_uri())
        with contextlib.closing(db.execute("PRAGMA user_version")) as rows:
            rows.fetchall()  # opens every file; they live on without their names
        db.execute("PRAGMA query_only = ON")
    return db


def fingerprint(path: Path) -> Fingerprint:
    """Return the inode, size and time of each file that a supervisor writes.

    A reader compares them before and after. () if it need not: SQLite's own locks keep it
    apart from a writer.
    """
    path = path.resolve()
    if _is_shared(path):
        return ()
    return tuple(_stat(f"{path}{ending}") for ending in _WRITTEN)


def _is_shared(path: Path) -> bool:
    return _has_wal(path) and os.path.exists(f"{path}-shm")


def _has_wal(path: Path) -> bool:
    found = _stat(f"{path}-wal")
    return found is not None and found[1] > 0


def _open(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
