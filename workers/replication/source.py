"""The SQLite side: table names, schemas, storage classes and rows.

A run uses one connection in one read transaction, the snapshot; enter at `snapshot`.
Only temporary tables are written, in memory or in SQLite's own temporary file.
Invariant: table data is read through `rows`, so that texts come out as their stored bytes,
even if they are not UTF-8.
"""

import re
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workers import sqlite
from workers.file_length import refuse_cut_short
from workers.replication import key_index, key_lookup, row_encoding
from workers.replication.errors import ReplicationCancelledError, ReplicationError
from workers.replication.tables import ROWID, Column, Table, TablePair, quoted
from workers.replication.type_mapping import LARGEST_WHOLE, Found
from workers.sqlite_connection import as_utf8, is_utf8, text_encoding, text_of

_LOOK_EVERY_INSTRUCTIONS = 100_000
_ROW_NUMBERS = ("rowid", "_rowid_", "oid")
_GENERATED = re.compile(r"\s*\bGENERATED\s+ALWAYS\b.*$", re.IGNORECASE | re.DOTALL)
WANTED = "temp.nightshift_wanted"
# Reason for leaving out Nightshift's own tables; it is not logged.
OURS = "nightshift's own"


@dataclass(frozen=True, slots=True)
class Scope:
    """A subset of a table's rows, for queries on either side.

    source: the clause after the table's name in SQLite; target: a condition in PostgreSQL;
    joined: what that condition refers to, after the table's name in PostgreSQL.
    """

    source: str = ""
    values: Mapping[str, object] | None = None
    target: str = "true"
    joined: str = ""


WHOLE = Scope()


@contextmanager
def snapshot(database: Path, cancelled: Callable[[], bool]) -> Iterator[sqlite3.Connection]:
    """Yield an interruptible connection that sees one state of the database.

    Raises:
        DatabaseError: the database cannot be opened.
        ReplicationCancelledError: the run was cancelled while SQLite worked.
    """
    connection = sqlite.open_existing(database, read_only=True)
    try:
        key_index.stand_in(connection)
        connection.execute("PRAGMA temp_store = FILE")
        connection.set_progress_handler(cancelled, _LOOK_EVERY_INSTRUCTIONS)
        begin(connection)
        refuse_cut_short(database, connection)
        row_encoding.register_functions(connection)
        yield connection
    except sqlite3.OperationalError as error:
        if cancelled():
            raise ReplicationCancelledError from error
        raise
    finally:
        connection.close()


def begin(connection: sqlite3.Connection) -> None:
    """Begin to read the present state of the database, instead of the one read before."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def all_names(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return (name, reason for leaving it out, or empty) for every table and view."""
    found = connection.execute(
        "SELECT name, type, CAST(name AS BLOB) FROM pragma_table_list"
        " WHERE schema = 'main' ORDER BY name"
    )
    encoding = text_encoding(connection)
    return [(name, _left_out(name, kind, as_utf8(raw, encoding))) for name, kind, raw in found]


def known_columns(
    connection: sqlite3.Connection, names: Mapping[str, str]
) -> dict[str, Sequence[str]]:
    """Return the columns by table, for names from `all_names`; none for tables left out."""
    query = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid"
    return {
        name: () if why else [column for (column,) in connection.execute(query, (name,))]
        for name, why in names.items()
    }


def read_table(connection: sqlite3.Connection, name: str, by_rowid: bool | None = None) -> Table:
    """Return the `Table` called `name`.

    by_rowid: whether the target's key is the row number; None: there is no target table yet,
    and the source's key decides.

    Raises:
        ReplicationError: a column's name is not UTF-8, or the row number cannot be read.
    """
    lines = connection.execute(
        "SELECT name, type, pk, CAST(name AS BLOB) FROM pragma_table_xinfo(?)"
        " WHERE hidden <> 1 ORDER BY cid",
        (name,),
    ).fetchall()
    encoding = text_encoding(connection)
    for column, _, _, raw in lines:
        if not is_utf8(as_utf8(raw, encoding)):
            raise ReplicationError(
                f"table {name}: the name of its column {column} is not UTF-8; rename it there, or"
                " exclude the table"
            )
    columns = tuple(
        Column(column, _GENERATED.sub("", declared or ""), f"t.{quoted(column)}", key)
        for column, declared, key, _ in lines
    )
    if by_rowid is None:
        keyed = any(column.key for column in columns)
        by_rowid = not keyed or _key_has_null(connection, name, columns)
    taken = {column.name.lower() for column in columns}
    number = next((word for word in _ROW_NUMBERS if word not in taken), "")
    if not by_rowid:
        index = key_index.key_index(connection, name, columns)
        return Table(
            name,
            columns,
            ordered=index.ordered,
            index_row=number if index.is_beside and index.usable else "",
            scanned=not index.usable or (index.is_beside and not number),
        )
    if not number or ROWID in taken:
        raise ReplicationError(f"table {name} has no key, and columns called like its row number")
    plain = tuple(Column(c.name, c.declared, c.source) for c in columns)
    return Table(name, (Column(ROWID, "INTEGER", f"t.{number}", 1), *plain), number)


def found_in(
    connection: sqlite3.Connection, table: Table, columns: Sequence[Column]
) -> dict[str, Found]:
    """Return what each of `columns` holds, from one scan of the table."""
    if not columns:
        return {}
    parts = []
    for column in columns:
        kind = f"typeof({column.source})"
        parts += [f"max({kind} = '{word}')" for word in ("integer", "real", "text", "blob")]
        beyond = f"{column.source} NOT BETWEEN -{LARGEST_WHOLE} AND {LARGEST_WHOLE}"
        parts.append(f"max({kind} = 'integer' AND {beyond})")
    answers: list[Any] = []
    # SQLite takes at most 2,000 columns in a result.
    for place in range(0, len(parts), 1000):
        some = ", ".join(parts[place : place + 1000])
        query = f"SELECT {some} FROM {table.source} AS t NOT INDEXED"
        answers += connection.execute(query).fetchone()
    words = ("integer", "real", "text", "blob")
    return {
        column.name: Found(
            frozenset(
                w for w, there in zip(words, answers[5 * n : 5 * n + 4], strict=True) if there
            ),
            bool(answers[5 * n + 4]),
        )
        for n, column in enumerate(columns)
    }


def rows(
    connection: sqlite3.Connection, query: str, values: Mapping[str, object]
) -> Generator[tuple[Any, ...], None, None]:
    """Yield the rows of `query`, one at a time, with texts as their stored bytes.

    The connection must not be used otherwise until the generator is exhausted or closed.
    """
    connection.text_factory = bytes
    try:
        yield from connection.execute(query, values)
    finally:
        connection.text_factory = text_of


def stage_keys(
    connection: sqlite3.Connection, pair: TablePair, keys: Iterator[Sequence[object]]
) -> None:
    """Stage these keys for `wanted_scope`."""
    _empty_wanted(connection, pair)
    marks = ", ".join("?" * len(pair.key))
    connection.executemany(f"INSERT INTO {WANTED} VALUES ({marks})", keys)


def stage_keys_between(
    connection: sqlite3.Connection, as_text: bool, ranges: Sequence[tuple[Any, Any]]
) -> None:
    """Stage key ranges as `w.k0` (inclusive) and `w.k1` (exclusive); None: no upper end.

    as_text: bounds are texts, given as their bytes.
    """
    connection.execute(f"DROP TABLE IF EXISTS {WANTED}")
    connection.execute("CREATE TEMP TABLE nightshift_wanted (k0, k1)")
    bound = "CAST(? AS TEXT)" if as_text else "?"
    # A blob sorts after every number and every text.
    query = f"INSERT INTO {WANTED} VALUES ({bound}, ifnull({bound}, x'ff'))"
    connection.executemany(query, ranges)


def stage_keys_from(connection: sqlite3.Connection, pair: TablePair, table: str) -> int:
    """Stage the distinct keys in `table` (columns k0, k1, ...); return how many."""
    _empty_wanted(connection, pair)
    keys = [
        key_lookup.form(replace(typed, column=replace(typed.column, source=f"k{number}")))
        if typed.as_text
        else f"k{number}"
        for number, typed in enumerate(pair.key)
    ]
    query = f"INSERT INTO {WANTED} SELECT DISTINCT {', '.join(keys)} FROM {table}"
    return connection.execute(query).rowcount


def wanted_scope(pair: TablePair) -> Scope:
    """Return the scope of rows with a staged key; each row once if each key was staged once."""
    return Scope(
        f"WHERE {key_lookup.equal_by_value(pair) if pair.scanned else key_lookup.equal(pair)}"
    )


def from_gone(pair: TablePair) -> str:
    """Return the FROM clause for staged keys (`w`) that no row of the table has."""
    if not pair.scanned:
        return f"FROM {WANTED} AS w WHERE NOT EXISTS (SELECT 1 {from_index(pair)})"
    keys = ", ".join(f"w.k{number}" for number in range(len(pair.key)))
    values = ", ".join(key_lookup.value_of(typed) for typed in pair.key)
    table = f"{pair.table.source} AS t NOT INDEXED"
    return f"FROM {WANTED} AS w WHERE ({keys}) NOT IN (SELECT {values} FROM {table})"


def from_index(pair: TablePair) -> str:
    """Return the FROM clause that finds the row of a staged key (`w`, from outside) by index."""
    table = pair.table.source
    seek = f"{table} AS i CROSS JOIN " if pair.table.index_row else ""
    return f"FROM {seek}{table} AS t NOT INDEXED WHERE {key_lookup.equal(pair)}"


def wants_null(connection: sqlite3.Connection, pair: TablePair) -> bool:
    """Return whether a staged key contains a NULL, which no comparison would find."""
    nulls = " OR ".join(f"k{number} IS NULL" for number in range(len(pair.key)))
    found = connection.execute(f"SELECT 1 FROM {WANTED} WHERE {nulls} LIMIT 1").fetchone()
    return found is not None


def count(connection: sqlite3.Connection, table: Table) -> int:
    """Return the number of rows in a table; SQLite may count an index."""
    return int(connection.execute(f"SELECT count(*) FROM {table.source}").fetchone()[0])


def count_rows(connection: sqlite3.Connection, table: Table) -> int:
    """Return the number of rows in a table, without use of its indexes."""
    query = f"SELECT count(*) FROM {table.source} NOT INDEXED"
    return int(connection.execute(query).fetchone()[0])


def from_wanted(pair: TablePair, scope: Scope) -> str:
    """Return the FROM clause for `scope`, whose `source` may refer to staged keys.

    An index may be damaged, or need a function of the owner's program. So rows are read from
    the table itself, and from an index only where the scope asks for a range of keys.
    """
    table = f"{pair.table.source} AS t"
    if "w.k0" not in scope.source:
        by_index = scope.source and pair.table.index_row
        return f"FROM {table}{'' if by_index else ' NOT INDEXED'} {scope.source}"
    # CROSS JOIN fixes the order: SQLite looks into the second for each row of the first.
    if pair.scanned:
        return f"FROM {table} NOT INDEXED CROSS JOIN {WANTED} AS w {scope.source}"
    seek = f"{pair.table.source} AS i CROSS JOIN " if pair.table.index_row else ""
    return f"FROM {WANTED} AS w CROSS JOIN {seek}{table} NOT INDEXED {scope.source}"


def _empty_wanted(connection: sqlite3.Connection, pair: TablePair) -> None:
    places = ", ".join(f"k{number}" for number in range(len(pair.key)))
    connection.execute(f"DROP TABLE IF EXISTS {WANTED}")
    connection.execute(f"CREATE TEMP TABLE nightshift_wanted ({places})")
    if pair.scanned:
        index_wanted(connection, pair)


def index_wanted(connection: sqlite3.Connection, pair: TablePair) -> None:
    """Index the staged keys for `key_lookup.equal_by_value`, which scans the table."""
    places = ", ".join(f"k{number}" for number in range(len(pair.key)))
    name = "temp.nightshift_wanted_keys"
    connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON nightshift_wanted ({places})")


def _left_out(name: str, kind: str, raw: bytes) -> str:
    if not is_utf8(raw):
        return "a name that is not UTF-8"
    if name.lower().startswith("sqlite_"):
        return "SQLite's own"
    if name.lower().startswith("nightshift_"):
        return OURS
    return {"view": "a view", "virtual": "a virtual table", "shadow": "a shadow table"}.get(
        kind, ""
    )


def _key_has_null(connection: sqlite3.Connection, name: str, columns: Sequence[Column]) -> bool:
    # SQLite allows NULL in a primary key, because of a bug kept for compatibility.
    nulls = " OR ".join(f"{column.source} IS NULL" for column in columns if column.key)
    found = connection.execute(f"SELECT 1 FROM main.{quoted(name)} AS t WHERE {nulls} LIMIT 1")
    return found.fetchone() is not None
