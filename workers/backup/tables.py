"""What a database says of itself: its shape, its tables, how many rows each has.

Queries over a connection; when and in which snapshot is the caller's to say.
"""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from workers.backup.manifest import Shape
from workers.connection import connect

# Virtual tables need their module, which we may not have; what they store
# stands in ordinary shadow tables, and those are counted.
_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0
AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"""
_ALL = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"


def shape(connection: sqlite3.Connection) -> Shape:
    """The shape of the database in the connection's present snapshot."""

    def pragma(name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

    return Shape(
        page_size=pragma("page_size"),
        page_count=pragma("page_count"),
        encoding=str(connection.execute("PRAGMA encoding").fetchone()[0]),
        auto_vacuum=pragma("auto_vacuum"),
        user_version=pragma("user_version"),
        application_id=pragma("application_id"),
    )


def count(connection: sqlite3.Connection) -> int:
    """How many tables there are, virtual ones included."""
    return int(connection.execute(_ALL).fetchone()[0])


def names(connection: sqlite3.Connection) -> list[str]:
    """The tables that hold rows of their own; virtual ones and SQLite's own are left out."""
    return [name for (name,) in connection.execute(_TABLES).fetchall()]


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows by table; virtual tables and SQLite's own are left out."""
    return {
        name: int(connection.execute(f'SELECT COUNT(*) FROM "{quoted(name)}"').fetchone()[0])
        for name in names(connection)
    }


def foreign_key_violations(connection: sqlite3.Connection) -> int:
    """Rows whose parent is missing; a table whose keys do not fit its parent's counts as one."""
    found = 0
    for name in names(connection):
        try:
            # Table by table: one misfit in a schema would end the check of them all.
            check = connection.execute(f'PRAGMA foreign_key_check("{quoted(name)}")')
            found += sum(1 for _ in check)
        except sqlite3.OperationalError as error:
            if "foreign key mismatch" not in str(error):
                raise
            found += 1
    return found


def quoted(name: str) -> str:
    """`name` as it stands between double quotes in SQL."""
    return name.replace('"', '""')


def beside(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """One more connection to a database that this process has open already.

    No look at the file before, unlike `database.open_existing`: closing a
    descriptor of it would drop the locks of the first connection. It may be
    used, and interrupted, from any thread, though by one at a time.
    """
    return _connected(f"{_uri(path)}?mode=rw", busy_timeout_s)


def private(path: Path) -> sqlite3.Connection:
    """A reading connection to a scratch file that nobody else uses; no locks, no -wal."""
    return _connected(f"{_uri(path)}?mode=ro&immutable=1", 0)


def to_be_filled(path: Path) -> sqlite3.Connection:
    """A connection to an empty scratch file into which SQLite shall copy; nothing is synced."""
    connection = _connected(f"{_uri(path)}?mode=rw&nolock=1", 0)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _connected(uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    return connect(uri, busy_timeout_s)


def _uri(path: Path) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}"
