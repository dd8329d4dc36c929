"""Check whether every value fits its column, by storage class, and find one that does not.

This module queries SQLite only; which class fits which type is in `type_mapping.py`.
Invariant: a value of a wrong class is found before PostgreSQL could parse its text as
something else.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace

from workers.replication import source
from workers.replication.source import Scope
from workers.replication.tables import Affinity, Column, Kind, MappedColumn, TablePair
from workers.replication.type_mapping import LARGEST_WHOLE, classes_held
from workers.sqlite_connection import as_utf8, text_encoding, text_of

# Since SQLite 3.45, json_array interprets a blob as JSONB instead of refusing it.
_ARRAYS_REFUSE_BLOBS = sqlite3.sqlite_version_info < (3, 45)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that its column cannot hold; key: for messages."""

    table: str
    column: str
    found: str
    value: object
    key: tuple[object, ...]


def first_misfit(
    connection: sqlite3.Connection, pair: TablePair, scope: Scope, widen: bool
) -> Misfit | None:
    """Return the first value in `scope` whose class its column's type cannot hold.

    widen: text columns take every class.
    """
    every = unfit_sql(pair, widen)
    values = dict(scope.values or {})
    start = source.from_wanted(pair, scope)
    word = "AND" if scope.source else "WHERE"
    if connection.execute(f"SELECT 1 {start} {word} ({every}) LIMIT 1", values).fetchone() is None:
        return None
    for typed in pair.columns:
        found = first_misfit_of(connection, pair, typed, scope, widen)
        if found is not None:
            return found
    return None


def unfit_sql(pair: TablePair, widen: bool) -> str:
    """Return the condition that a row has a value that its column's type cannot hold."""
    return _any([f"({_wrong(typed, widen)})" for typed in pair.columns])


def unfit_sql_beside_array(pair: TablePair, widen: bool) -> str:
    """Return `unfit_sql` without the columns whose misfits SQLite's json_array itself refuses."""
    if not _ARRAYS_REFUSE_BLOBS:
        return unfit_sql(pair, widen)
    asked = tuple(typed for typed in pair.columns if not _is_text_but_for_blobs(typed))
    return unfit_sql(replace(pair, columns=asked), widen)


def first_misfit_of(
    connection: sqlite3.Connection,
    pair: TablePair,
    typed: MappedColumn,
    scope: Scope = source.WHOLE,
    widen: bool = False,
) -> Misfit | None:
    """Return the first misfit of one column of `pair`."""
    keys = ", ".join(each.column.source for each in pair.key)
    name = typed.column.source
    # As bytes, because a text may be invalid UTF-8.
    value = f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
    word = "AND" if scope.source else "WHERE"
    query = (
        f"SELECT typeof({name}), {value}, {keys} {source.from_wanted(pair, scope)}"
        f" {word} ({_wrong(typed, widen)}) LIMIT 1"
    )
    with closing(source.rows(connection, query, scope.values or {})) as found:
        line = next(found, None)
    if line is None:
        return None
    kind, held, *key = line
    if kind == b"text":
        held = as_utf8(held, text_encoding(connection))
    texts = [text_of(each) if isinstance(each, bytes) else each for each in key]
    return Misfit(pair.table.name, typed.column.name, kind.decode(), held, tuple(texts))


def longest(
    connection: sqlite3.Connection, pair: TablePair, scope: Scope
) -> tuple[Column, int, tuple[object, ...]]:
    """Return the longest value in the longest row of `scope`: column, bytes, and the row's key."""
    keys = ", ".join(each.column.source for each in pair.key)
    names = [typed.column.source for typed in pair.columns]
    # SQLite knows the length of a blob without reading it.
    sizes = [
        f"ifnull(length(CASE typeof({n}) WHEN 'blob' THEN {n} ELSE CAST({n} AS BLOB) END), 0)"
        for n in names
    ]
    start = source.from_wanted(pair, scope)
    query = f"SELECT {', '.join(sizes)}, {keys} {start} ORDER BY {'+'.join(sizes)} DESC LIMIT 1"
    line = connection.execute(query, scope.values or {}).fetchone()
    found = line[: len(names)]
    place = found.index(max(found))
    return pair.columns[place].column, found[place], line[len(names) :]


def _any(conditions: list[str]) -> str:
    """Return a balanced OR, because SQLite refuses expressions of depth 1000."""
    if len(conditions) <= 50:
        return " OR ".join(conditions)
    middle = len(conditions) // 2
    return f"({_any(conditions[:middle])}) OR ({_any(conditions[middle:])})"


def _is_text_but_for_blobs(typed: MappedColumn) -> bool:
    """Return whether SQLite converts all values of such a column to text, but NULL and blobs."""
    text = typed.column.affinity is Affinity.TEXT and typed.type == "text"
    return text and not typed.column.key and not typed.column.escaped


def _wrong(typed: MappedColumn, widen: bool) -> str:
    name = typed.column.source
    if _is_text_but_for_blobs(typed):
        # Blobs sort after all texts; the comparison costs an eighth of typeof.
        return "0" if widen else f"{name} >= x''"
    allowed = set(classes_held(typed))
    if widen and typed.type == "text":
        allowed = {"integer", "real", "text", "blob"}
    if not typed.column.key:
        allowed.add("null")
    words = ", ".join(f"'{word}'" for word in sorted(allowed))
    wrong = f"typeof({name}) NOT IN ({words})"
    if typed.kind is Kind.REAL:
        beyond = f"{name} NOT BETWEEN -{LARGEST_WHOLE} AND {LARGEST_WHOLE}"
        wrong += f" OR (typeof({name}) = 'integer' AND {beyond})"
    return wrong
