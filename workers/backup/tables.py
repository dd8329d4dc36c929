"""What a database says of itself: its shape, its tables, how many rows each has.

Queries over a connection; when and in which snapshot is the caller's to say.
"""

import os
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from workers.backup.manifest import Shape
from workers.backup.stubs import Stubs, is_uncheckable
from workers.connection import connect

# Virtual tables need their module, which we may not have; what they store
# stands in ordinary shadow tables, and those are counted.
_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0
AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"""
_ORDINARY = f"SELECT COUNT(*) FROM ({_TABLES})"
_DEFINITIONS = _TABLES.replace("SELECT name", "SELECT name, COALESCE(sql, '')")
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
    """The tables that hold rows of their own and can be named in a statement.

    Virtual ones and SQLite's own are left out. A name that is no UTF-8 is one
    that only another library can say.
    """
    return texts(connection, _TABLES)


def count_ordinary(connection: sqlite3.Connection) -> int:
    """How many tables `names` means, those that cannot be named included."""
    return int(connection.execute(_ORDINARY).fetchone()[0])


def definitions(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Name and CREATE TABLE of the tables that hold rows of their own."""
    return [(str(name), str(sql)) for name, sql in connection.execute(_DEFINITIONS).fetchall()]


def texts(connection: sqlite3.Connection, query: str) -> list[str]:
    """The first column of what `query` returns, without what no statement of ours can hold."""
    before, connection.text_factory = connection.text_factory, bytes
    try:
        found = [row[0] for row in connection.execute(query).fetchall()]
    finally:
        connection.text_factory = before
    said = []
    for text in found:
        with suppress(UnicodeDecodeError, AttributeError):
            said.append(text.decode())
    return [text for text in said if "\0" not in text]


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows by table, each counted in whatever index of it is smallest.

    Where integrity_check finds no fault, that is what `rows_not_indexed`
    counts, at a fraction of its cost. Left out are virtual tables, SQLite's
    own, and tables that cannot be read here; `connection` may get stubs, which
    counting does not look at.

    Raises:
        sqlite3.Error: the database is damaged, or cannot be read.
    """
    return _counts(connection, "")


def rows_not_indexed(connection: sqlite3.Connection) -> dict[str, int]:
    """As `rows`, counted in the tables themselves, whatever their indexes hold."""
    return _counts(connection, " NOT INDEXED")


def foreign_key_violations(connection: sqlite3.Connection, name: str) -> int:
    """Rows of a table without their parent; keys that do not fit their parent's count as one."""
    try:
        check = connection.execute(f'PRAGMA foreign_key_check("{quoted(name)}")')
        return sum(1 for _ in check)
    except sqlite3.OperationalError as error:
        if "foreign key mismatch" not in str(error):
            raise
        return 1


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


def _counts(connection: sqlite3.Connection, how: str) -> dict[str, int]:
    found, supply = dict[str, int](), Stubs(connection)
    for name in names(connection):
        query = f'SELECT COUNT(*) FROM "{quoted(name)}"{how}'
        try:
            found[name] = supply.run(partial(_number, connection, query))
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not is_uncheckable(error):
                raise
    return found


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _connected(uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    return connect(uri, busy_timeout_s)


def _uri(path: Path) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}"
