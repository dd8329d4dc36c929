"""Refuse a SQLite database whose file has lost its end.

SQLite fills the rest of a page that is cut short with zeros and reports no error, not even in
integrity_check: texts and numbers become others.
"""

import os
import sqlite3
from pathlib import Path

from workers.sqlite import DatabaseError


def refuse_cut_short(path: Path, connection: sqlite3.Connection) -> None:
    """Raise if the file at `path` is shorter than its pages; `connection` is open on it.

    It is not judged while its log holds pages, because the end may be there.

    Raises:
        DatabaseError: it is cut short.
        sqlite3.Error: it cannot be read, or stays locked.
    """
    begins = not connection.in_transaction
    if begins:
        connection.execute("BEGIN")
    try:
        # In a read transaction no other program changes the file's length.
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        has_bytes = os.stat(path).st_size
        logged = _size(f"{os.path.realpath(path)}-wal")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise DatabaseError(path, reason, permanent=False) from error
    finally:
        if begins:
            connection.execute("ROLLBACK")
    if has_bytes < count * size and not logged:
        raise DatabaseError(
            path,
            f"is damaged: its file ends at byte {has_bytes} of {count * size}, and SQLite reads"
            " zeros for the rest; restore it from a backup",
            permanent=True,
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # no log
        return 0
