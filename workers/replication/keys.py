"""Keep keys equal on both sides, and find a row of the source by its key.

There are three ways to find a row. If rows are stored in key order: directly. If the key
has a separate index: the index says where the row may be, and the table whether it is
there, so that a damaged index can hide a row but not return it for another key. If the
index is not usable, or PostgreSQL returns a key as another value: by a scan of the table.
Invariant: two keys of the source never become one key of the target.
"""

import sqlite3
from contextlib import closing
from dataclasses import replace

from workers.replication import key_lookup, source
from workers.replication.copy_rows import Connections
from workers.replication.errors import ReplicationError
from workers.replication.tables import Affinity, Kind, MappedColumn, TablePair, key_text, kind_of
from workers.units import format_count

_NAMED = 10
_ADVICE = (
    "nothing was changed; the index is damaged: PRAGMA integrity_check names it, REINDEX makes it"
    " anew"
)


def settled(between: Connections, pair: TablePair, number: int) -> TablePair:
    """Return the pair with `number`, and with `as_text` set on key columns that need it.

    Raises:
        ReplicationError: the target's key changes values, or two rows would get the same key.
    """
    _refuse_lossy(pair)
    columns = tuple(_marked(between, pair, typed) for typed in pair.columns)
    pair = replace(pair, columns=columns, number=number)
    if any(typed.as_text for typed in pair.key):
        _refuse_collision(between, pair)
    return pair


def log_fits(connection: sqlite3.Connection, pair: TablePair) -> bool:
    """Return whether every staged key has the class that its column holds.

    A change log may contain the number 42 where only the text '42' is left.
    """
    others = [
        f"typeof(k{number}) <> 'text'"
        for number, typed in enumerate(pair.key)
        if _is_text(typed) and not typed.as_text
    ]
    if not others:
        return True
    query = f"SELECT 1 FROM {source.WANTED} WHERE {' OR '.join(others)} LIMIT 1"
    return connection.execute(query).fetchone() is None


def refuse_lost(between: Connections, pair: TablePair, asked: int, found: int) -> None:
    """Refuse a source that did not return a row for every requested key.

    Raises:
        ReplicationError: fewer rows than keys; the message has the table and the first keys.
    """
    if found >= asked:
        return
    refuse_hidden(between, pair)
    named = _named(between, f"SELECT {_wanted_key(pair)} {source.from_gone(pair)}")
    lost = f"{asked - found} of {format_count(asked, 'row')}"
    raise ReplicationError(
        f"table {pair.table.name}: {lost} that differ could not be found again by their key"
        f" ({'; '.join(named)}): {pair.target} gives keys back otherwise than they were sent;"
        " nothing was changed"
    )


def refuse_hidden(between: Connections, pair: TablePair) -> None:
    """Refuse an index of the source that does not find a row of its table.

    Staged keys without a row are about to be deleted from the target, so the table itself is
    read to check them. A key without a separate index needs no check.

    Raises:
        ReplicationError: such a row exists; the message has the table and the first keys.
    """
    if not pair.table.index_row or pair.scanned:
        return
    source.index_wanted(between.source, pair)
    named = _named(
        between,
        f"SELECT {_wanted_key(pair)} FROM {pair.table.source} AS t NOT INDEXED"
        f" CROSS JOIN {source.WANTED} AS w WHERE {key_lookup.equal_by_value(pair)}"
        f" AND NOT EXISTS (SELECT 1 {source.from_index(pair)})",
    )
    if named:
        raise ReplicationError(
            f"table {pair.table.name}: rows were not found by their key ({'; '.join(named)});"
            f" {_ADVICE}"
        )


def damaged_index(pair: TablePair) -> ReplicationError:
    """Return the error for a table whose index returns other rows than the table itself."""
    return ReplicationError(
        f"table {pair.table.name}: the index of its key gives other rows than the table itself;"
        f" {_ADVICE}"
    )


def _named(between: Connections, query: str) -> list[str]:
    """Return the first keys of `query`, for messages."""
    with closing(source.rows(between.source, f"{query} LIMIT {_NAMED}", {})) as found:
        return [_key_for_people(key) for key in found]


def _key_for_people(key: tuple[object, ...]) -> str:
    texts = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in key]
    return f"({key_text(tuple(texts))})"


def _wanted_key(pair: TablePair) -> str:
    return ", ".join(f"w.k{number}" for number in range(len(pair.key)))


def _marked(between: Connections, pair: TablePair, typed: MappedColumn) -> MappedColumn:
    """Return the column, `as_text` if PostgreSQL returns its values as other values."""
    if not typed.column.key:
        return typed
    if typed.kind is Kind.BYTES:
        return replace(typed, as_text=typed.asked and typed.column.affinity is not Affinity.BLOB)
    if typed.kind is Kind.ESCAPED:
        return replace(typed, as_text=True)
    if not (_is_text(typed) and (between.widen or typed.asked)):
        return typed
    # Numbers sort before every text and blobs after, so an index can answer at once.
    table, name = pair.table.source, typed.column.source
    numbers = f"SELECT 1 FROM {table} AS t WHERE {name} < '' LIMIT 1"
    blobs = f"SELECT 1 FROM {table} AS t WHERE {name} >= x'' LIMIT 1"
    found = any(between.source.execute(query).fetchone() for query in (blobs, numbers))
    return replace(typed, as_text=found)


def _is_text(typed: MappedColumn) -> bool:
    return typed.kind is Kind.EXACT and typed.type.startswith(("text", "character varying"))


def _refuse_lossy(pair: TablePair) -> None:
    for typed in pair.key:
        if kind_of(typed.type) is Kind.CAST:
            name, column = pair.target, typed.name
            raise ReplicationError(
                f"table {pair.table.name}: the key column {typed.column.name} is {typed.type} in"
                " the target, which gives keys back otherwise than they were sent; a key may be"
                " an integer type, text, double precision or bytea:"
                f" ALTER TABLE {name} ALTER COLUMN {column} TYPE text USING {column}::text"
            )


def _refuse_collision(between: Connections, pair: TablePair) -> None:
    forms = [key_lookup.form(typed) for typed in pair.key]
    places = ", ".join(str(number + 1) for number in range(len(forms)))
    kinds = ", ".join(
        f"min(typeof({typed.column.source})), max(typeof({typed.column.source}))"
        for typed in pair.key
    )
    query = (
        f"SELECT {', '.join(forms)}, count(*), {kinds} FROM {pair.table.source} AS t NOT INDEXED"
        f" GROUP BY {places} HAVING count(*) > 1 LIMIT 1"
    )
    with closing(source.rows(between.source, query, {})) as found:
        line = next(found, None)
    if line is None:
        return
    key, rows, classes = line[: len(forms)], line[len(forms)], line[len(forms) + 1 :]
    named = " and ".join(sorted({str(each, "ascii") for each in classes}))
    raise ReplicationError(
        f"table {pair.table.name}: {rows} rows ({named}) have the key {_key_for_people(key)} once"
        " it is text, and PostgreSQL would hold one of them; make their keys differ or exclude"
        " the table"
    )
