"""What the index of a source table's key can be used for, and what of a table cannot be read.

Its order is the target's only if it sorts texts by their bytes. An index that needs a
collation of the owner's program is not used at all; `stand_in` lets SQLite read the
tables beside it. A column that a function of that program computes has no values for us.
"""

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from workers.replication.shape import Column, quoted
from workers.replication.trouble import Trouble

_FOREIGN = re.compile(r"(unknown|no such) function|no such collation")
_KNOWN_COLLATIONS = {"BINARY", "NOCASE", "RTRIM"}
_COLLATE = re.compile(
    r"""\bCOLLATE\s*(?:"([^"]+)"|\[([^]]+)]|`([^`]+)`|'([^']+)'|\b(\w+))""", re.IGNORECASE
)


@contextmanager
def readable(connection: sqlite3.Connection, name: str) -> Iterator[None]:
    """Name the columns of the table `name` that only its owner's program can compute.

    Raises:
        Trouble: a query inside needed one.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if not _FOREIGN.match(str(error)):
            raise
        columns = ", ".join(f"{name}.{column}" for column in _unreadable(connection, name))
        raise Trouble(
            f"table {name}: {error}: only the program that owns the database has it;"
            f" exclude: [{columns or name}]"
        ) from None


def _unreadable(connection: sqlite3.Connection, name: str) -> list[str]:
    """The columns that no query can read."""
    found = []
    for (column,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,)):
        try:
            query = f"SELECT {quoted(column)} FROM main.{quoted(name)} NOT INDEXED LIMIT 0"
            connection.execute(query)
        except sqlite3.OperationalError:
            found.append(column)
    return found


def key_order(
    connection: sqlite3.Connection, name: str, columns: Sequence[Column]
) -> tuple[bool, bool]:
    """(whether SQLite sorts the key by the bytes of UTF-8, as the target does; whether it can).

    It cannot with a collation that only the owner's program has.
    """
    index = _key_index(connection, name)
    if index is None:
        return connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8", True
    used = connection.execute(
        "SELECT name, coll, desc FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno", (index,)
    ).fetchall()
    keys = {column.name for column in columns if column.key}
    collations = {coll.upper() for column, coll, _ in used if column in keys}
    if not collations <= _KNOWN_COLLATIONS:
        return False, False
    if collations != {"BINARY"} or not _sorts_as_indexed(connection, name, used, keys):
        return False, True
    return connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8", True


def _sorts_as_indexed(
    connection: sqlite3.Connection,
    name: str,
    used: Sequence[tuple[str, str, int]],
    keys: Collection[str],
) -> bool:
    """Whether the columns have the index's collation: then its order needs no sorting."""
    order = [f"{quoted(c)} {'DESC' if down else 'ASC'}" for c, _, down in used if c in keys]
    columns = ", ".join(quoted(column) for column, _, _ in used if column in keys)
    query = f"SELECT {columns} FROM main.{quoted(name)} ORDER BY {', '.join(order)}"
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    return not any("TEMP B-TREE" in line[3] for line in plan)


def _key_index(connection: sqlite3.Connection, name: str) -> str | None:
    """The index of the key; None: the key is the row number."""
    query = "SELECT name FROM pragma_index_list(?) WHERE origin = 'pk'"
    found = connection.execute(query, (name,)).fetchone()
    return found[0] if found else None


def has_own_index(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the key's index is a tree of its own, beside the table's rows."""
    query = "SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'"
    without_row_numbers = connection.execute(query, (name,)).fetchone()
    return _key_index(connection, name) is not None and not without_row_numbers[0]


def stand_in(connection: sqlite3.Connection) -> None:
    """Let SQLite read a schema that names collations of the owner's program.

    Nothing is sorted or looked up by them: such indexes are not used, see `from_wanted`.
    """
    query = "SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE sql LIKE '%collate%'"
    for (statement,) in connection.execute(query).fetchall():
        for found in _COLLATE.finditer(statement.decode(errors="replace")):
            name = next(word for word in found.groups() if word)
            if name.upper() not in _KNOWN_COLLATIONS:
                connection.create_collation(name, _bytewise)


def _bytewise(one: str, other: str) -> int:
    return (one > other) - (one < other)
