"""What the index of a source table's key is good for, and which columns are not readable.

The index has the target's order only if it sorts texts bytewise. An index that needs a
collation of the owner's program is not used at all; `stand_in` lets SQLite read the table
without it. A column computed by a function of that program cannot be read.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from workers.replication.errors import ReplicationError
from workers.replication.tables import Column, quoted
from workers.sqlite_connection import as_utf8, text_encoding

_FOREIGN = re.compile(r"(unknown|no such) function|no such collation")
_OF_KEY = """
SELECT x.cid, x.name, x.coll, x.desc FROM pragma_index_list(?) l, pragma_index_xinfo(l.name) x
WHERE l.origin = 'pk' AND (x.key OR x.cid = -1) ORDER BY x.seqno"""
_NAMES_COLLATION = "SELECT 1 FROM sqlite_master WHERE name = ? AND sql LIKE '%collate%'"
_KNOWN_COLLATIONS = {"BINARY", "NOCASE", "RTRIM"}
_COLLATE = re.compile(
    r"""\bCOLLATE\s*(?:"([^"]+)"|\[([^]]+)]|`([^`]+)`|'([^']+)'|\b(\w+))""", re.IGNORECASE
)


@contextmanager
def readable(connection: sqlite3.Connection, name: str) -> Iterator[None]:
    """Turn SQLite's error about a missing function into one that names the table's columns.

    Raises:
        ReplicationError: a query inside needed a function of the owner's program.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if not _FOREIGN.match(str(error)):
            raise
        columns = ", ".join(f"{name}.{column}" for column in _unreadable(connection, name))
        raise ReplicationError(
            f"table {name}: {error}: only the program that owns the database has it;"
            f" exclude: [{columns or name}]"
        ) from None


def _unreadable(connection: sqlite3.Connection, name: str) -> list[str]:
    """Return the columns that no query can read."""
    found = []
    for (column,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,)):
        try:
            query = f"SELECT {quoted(column)} FROM main.{quoted(name)} NOT INDEXED LIMIT 0"
            connection.execute(query)
        except sqlite3.OperationalError:
            found.append(column)
    return found


class KeyIndex(NamedTuple):
    """Properties of the key's index.

    ordered: it sorts the key by the bytes of UTF-8, as the target does. usable: SQLite can
    search it; false with a collation that only the owner's program has. is_beside: it is a
    separate b-tree, not the table itself.
    """

    ordered: bool
    usable: bool
    is_beside: bool


def key_index(connection: sqlite3.Connection, name: str, columns: Sequence[Column]) -> KeyIndex:
    """Return the properties of the index of a table's key; a row number has no index."""
    used = connection.execute(_OF_KEY, (name,)).fetchall()
    is_utf8 = text_encoding(connection) == "UTF-8"
    if not used:
        return KeyIndex(is_utf8, True, False)
    # Only an index of a table with row numbers contains one (cid -1).
    is_beside = any(place == -1 for place, *_ in used)
    keys = {column.name for column in columns if column.key}
    sorted_by = [(column, coll.upper(), down) for _, column, coll, down in used if column in keys]
    collations = {coll for _, coll, _ in sorted_by}
    if not collations <= _KNOWN_COLLATIONS:
        return KeyIndex(False, False, is_beside)
    ordered = is_utf8 and collations == {"BINARY"}
    return KeyIndex(ordered and _sorts_as_indexed(connection, name, sorted_by), True, is_beside)


def _sorts_as_indexed(
    connection: sqlite3.Connection, name: str, sorted_by: Sequence[tuple[str, str, int]]
) -> bool:
    """Return whether the columns have the index's collations, so that its order needs no sort."""
    if connection.execute(_NAMES_COLLATION, (name,)).fetchone() is None:
        return True
    order = [f"{quoted(column)} {'DESC' if down else 'ASC'}" for column, _, down in sorted_by]
    columns = ", ".join(quoted(column) for column, _, _ in sorted_by)
    query = f"SELECT {columns} FROM main.{quoted(name)} ORDER BY {', '.join(order)}"
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    return not any("TEMP B-TREE" in line[3] for line in plan)


def stand_in(connection: sqlite3.Connection) -> None:
    """Register stand-ins for unknown collations, so that SQLite can read the schema.

    They never sort or search, because such indexes are not used; see `source.from_wanted`.
    """
    query = "SELECT CAST(sql AS BLOB) FROM sqlite_master WHERE sql LIKE '%collate%'"
    encoding = text_encoding(connection)
    for (statement,) in connection.execute(query).fetchall():
        text = as_utf8(statement, encoding).decode(errors="replace")
        for found in _COLLATE.finditer(text):
            name = next(word for word in found.groups() if word)
            if name.upper() not in _KNOWN_COLLATIONS:
                connection.create_collation(name, _bytewise)


def _bytewise(one: str, other: str) -> int:
    return (one > other) - (one < other)
