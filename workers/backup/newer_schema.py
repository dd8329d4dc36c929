"""Read a database whose schema was written by a newer SQLite than ours.

If SQLite cannot parse one line of a schema, it refuses the whole database as malformed. If
the file says that a newer SQLite wrote to it last, this is not damage, and its pages can
still be copied, checked and counted.
Invariant: an older file is refused, because its own SQLite could parse its schema.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from workers import sqlite
from workers.backup import introspection, lock_wait
from workers.sqlite import DatabaseError

# Header offset of the version of the SQLite that wrote last: 3046001 is 3.46.1.
_VERSION_AT, _VERSION_BYTES = 96, 4
_MALFORMED = "malformed database schema"
# SQLite then skips schema lines that it cannot parse; nothing is written through it here.
_LENIENT = "PRAGMA writable_schema = ON"


def opened(path: Path, check: Callable[[], None]) -> sqlite3.Connection:
    """Return a connection like `lock_wait.open_when_free`, lenient towards a newer schema.

    Raises:
        DatabaseError: it cannot be opened, or stays locked.
    """
    try:
        return lock_wait.open_when_free(path, check)
    except DatabaseError as problem:
        # No connection of ours is open any more, so reading the file drops no lock.
        if not (_MALFORMED in str(problem.__cause__) and is_newer(path)):
            raise
    return lenient(sqlite.open_beside(path))


def lenient(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Make `connection` skip schema lines that it cannot parse, and return it."""
    connection.execute(_LENIENT)
    return connection


def is_lenient(connection: sqlite3.Connection) -> bool:
    """Return whether `lenient` was called for the connection."""
    return bool(connection.execute("PRAGMA writable_schema").fetchone()[0])


def private(path: Path) -> sqlite3.Connection:
    """Return `introspection.private(path)`, lenient if a newer SQLite wrote the file."""
    connection = introspection.private(path)
    return lenient(connection) if is_newer(path) else connection


def is_newer(path: Path) -> bool:
    """Return whether a newer SQLite than ours wrote to the file last."""
    with open(path, "rb") as file:
        header = file.read(_VERSION_AT + _VERSION_BYTES)
    major, minor, patch = sqlite3.sqlite_version_info
    ours = major * 1_000_000 + minor * 1000 + patch
    return int.from_bytes(header[_VERSION_AT:], "big") > ours


def keep_version(source: int, copy: int) -> None:
    """Copy the SQLite version in the header, because the backup call wrote our own."""
    os.pwrite(copy, os.pread(source, _VERSION_BYTES, _VERSION_AT), _VERSION_AT)


def unreadable(path: Path) -> tuple[str, ...]:
    """Return a phrase about the schema line that cannot be parsed in a scratch file, if any."""
    with closing(introspection.private(path)) as strict:
        try:
            strict.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if _MALFORMED not in str(error):
                raise
            detail = str(error).removeprefix(_MALFORMED).strip()
            return (f"what SQLite {sqlite3.sqlite_version} cannot read of the schema: {detail}",)
    return ()
