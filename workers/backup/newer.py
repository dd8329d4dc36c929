"""A database whose schema was written by a newer SQLite than ours.

SQLite refuses all of a database of whose schema it cannot read one line, and
calls it damaged. If the file says that a newer SQLite wrote to it last, that
is no damage: its pages can be copied, checked and counted all the same. The
law: an older file, whose schema its own SQLite could read, gets no such grace.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from workers import database
from workers.backup import patience, tables
from workers.database import DatabaseTrouble

# The file format has here the number of the SQLite that wrote last: 3046001 is 3.46.1.
_VERSION_AT, _VERSION_BYTES = 96, 4
_MALFORMED = "malformed database schema"
# Reads on past what it cannot read of a schema; nothing is written through it here.
_LENIENT = "PRAGMA writable_schema = ON"


def opened(path: Path, check: Callable[[], None]) -> sqlite3.Connection:
    """As `patience.opened`, lenient towards a newer schema.

    Raises:
        DatabaseTrouble: it cannot be opened, or is locked for good.
    """
    try:
        return patience.opened(path, check)
    except DatabaseTrouble as trouble:
        # Nothing of ours is open there any more, so that no lock is lost by a look.
        if not (_MALFORMED in str(trouble.__cause__) and is_newer(path)):
            raise
    return lenient(tables.beside(path, database.BUSY_TIMEOUT_S))


def lenient(connection: sqlite3.Connection) -> sqlite3.Connection:
    """`connection`, reading what it can of the schema."""
    connection.execute(_LENIENT)
    return connection


def is_lenient(connection: sqlite3.Connection) -> bool:
    """Whether `lenient` was called for it."""
    return bool(connection.execute("PRAGMA writable_schema").fetchone()[0])


def private(path: Path) -> sqlite3.Connection:
    """As `tables.private`, lenient if a newer SQLite wrote the file."""
    connection = tables.private(path)
    return lenient(connection) if is_newer(path) else connection


def is_newer(path: Path) -> bool:
    """Whether a newer SQLite than ours was the last to write to the file."""
    with open(path, "rb") as file:
        header = file.read(_VERSION_AT + _VERSION_BYTES)
    major, minor, patch = sqlite3.sqlite_version_info
    ours = major * 1_000_000 + minor * 1000 + patch
    return int.from_bytes(header[_VERSION_AT:], "big") > ours


def keep_version(source: int, copy: int) -> None:
    """Have the copy say which SQLite wrote the source; its backup call has put down ours."""
    os.pwrite(copy, os.pread(source, _VERSION_BYTES, _VERSION_AT), _VERSION_AT)


def unreadable(path: Path) -> tuple[str, ...]:
    """A phrase about what cannot be read of the schema in a scratch file, if there is such."""
    with closing(tables.private(path)) as strict:
        try:
            strict.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if _MALFORMED not in str(error):
                raise
            detail = str(error).removeprefix(_MALFORMED).strip()
            return (f"what SQLite {sqlite3.sqlite_version} cannot read of the schema: {detail}",)
    return ()
