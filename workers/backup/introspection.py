"""Query a database's header values, tables and row counts, and open scratch databases.

The caller chooses the connection and its snapshot.
"""

import os
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from workers.backup.manifest import Shape
from workers.backup.stub_functions import Stubs, is_uncheckable
from workers.sqlite_connection import connect, text_of

# Virtual tables need their module, which may be missing here; their content is
# in ordinary shadow tables, and those are counted.
_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0
AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"""
_ORDINARY = f"SELECT COUNT(*) FROM ({_TABLES})"
_DEFINITIONS = _TABLES.replace("SELECT name", "SELECT name, COALESCE(sql, '')")
_ALL = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"


def shape(connection: sqlite3.Connection) -> Shape:
    """Return the shape of the database in the connection's current snapshot."""

    def pragma(name: str) -> int:
        return _number(connection, f"PRAGMA {name}")

    return Shape(
        page_size=pragma("page_size"),
        page_count=pragma("page_count"),
        encoding=str(connection.execute("PRAGMA encoding").fetchone()[0]),
        auto_vacuum=pragma("auto_vacuum"),
        user_version=pragma("user_version"),
        application_id=pragma("application_id"),
    )


def count(connection: sqlite3.Connection) -> int:
    """Return the number of tables, including virtual ones."""
    return _number(connection, _ALL)


def names(connection: sqlite3.Connection) -> list[str]:
    """Return the tables with rows of their own whose names can be used in a statement.

    Virtual tables and SQLite's own tables are left out, and so are names that are not
    UTF-8, which only another library can use.
    """
    return texts(connection, _TABLES)


def count_ordinary(connection: sqlite3.Connection) -> int:
    """Return the number of tables in `names` plus those whose names cannot be used."""
    return _number(connection, _ORDINARY)


def definitions(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the name and CREATE TABLE of each table with rows of its own."""
    return [(str(name), str(sql)) for name, sql in connection.execute(_DEFINITIONS).fetchall()]


def texts(connection: sqlite3.Connection, query: str) -> list[str]:
    """Return the first column of `query`, without values that a statement cannot contain."""
    connection.text_factory = bytes
    try:
        found = [row[0] for row in connection.execute(query).fetchall()]
    finally:
        connection.text_factory = text_of
    said = []
    for text in found:
        with suppress(UnicodeDecodeError, AttributeError):
            said.append(text.decode())
    return [text for text in said if "\0" not in text]


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows by table, counted in the smallest index of each.

    If integrity_check finds no fault, this equals `rows_not_indexed` at a fraction of the
    cost. Virtual tables, SQLite's own tables and unreadable tables are left out. Stubs may
    be added to `connection`; they do not affect counting.

    Raises:
        sqlite3.Error: the database is damaged or cannot be read.
    """
    return _counts(connection, "")


def rows_not_indexed(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the same as `rows`, counted in the tables regardless of their indexes."""
    return _counts(connection, " NOT INDEXED")


def foreign_key_violations(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of rows without their parent; a key that mismatches its parent's is 1."""
    try:
        check = connection.execute(f'PRAGMA foreign_key_check("{quoted(name)}")')
        return sum(1 for _ in check)
    except sqlite3.OperationalError as error:
        if "foreign key mismatch" not in str(error):
            raise
        return 1


def quoted(name: str) -> str:
    """Return `name` escaped for use between double quotes in SQL."""
    return name.replace('"', '""')


def private(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to a scratch file of this process; no locks, no -wal."""
    return connect(f"{_uri(path)}?mode=ro&immutable=1", 0)


def to_be_filled(path: Path) -> sqlite3.Connection:
    """Return a connection to an empty scratch file as a backup target; nothing is synced."""
    connection = connect(f"{_uri(path)}?mode=rw&nolock=1", 0)
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


def _uri(path: Path) -> str:
    return f"file:{quote(os.fsencode(path.absolute()))}"
