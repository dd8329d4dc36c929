"""Find ranges of a key whose rows differ, without sending rows.

Each side computes for each range of the key the XOR of the rows' salted 128-bit MD5 sums,
and the row count. PostgreSQL does so while a thread waits for it and SQLite is read here,
so that two cores work at once. Both sides encode a row as the same text, a JSON array of
its columns' texts: in SQLite that costs half of `||`, and NULL and NUL stay distinct.
Enter at `differing_ranges`, if `possible`.
Invariant: the result only narrows what `merge.differing` then compares row by row. Where
the two sides encode a text differently, that costs only time.
"""

import hashlib
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from workers.replication import copy_format, key_lookup, row_encoding, source, value_fit
from workers.replication.copy_rows import Connections, refuse_misfits
from workers.replication.source import Scope
from workers.replication.tables import Kind, TablePair

_MOST_RANGES = 8192
_FEWEST_ROWS = 64
_BATCH_ROWS = 1000
# PostgreSQL 14 added the aggregate bit_xor.
_OLDEST_SERVER = 140000
_PLACE, _FIRST, _EDGES = "nightshift_place", "nightshift_first", "nightshift_edges"


@dataclass(frozen=True, slots=True)
class DifferingRows:
    """Number of rows compared, and the scope of those that may differ.

    empty: no row differs. rows: number of source rows in the scope, or None if not counted.
    """

    compared: int
    scope: Scope
    empty: bool = False
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Edges:
    """Boundaries between ranges of the first key column: range n ends before edge n.

    source: values as SQLite returns them, texts as bytes; target: values for PostgreSQL.
    """

    source: list[Any]
    target: list[Any]


def possible(between: Connections, pair: TablePair) -> bool:
    """Return whether both sides can compute comparable digests."""
    server = between.target.connection.info.server_version
    return pair.ordered and not row_encoding.cast_columns(pair) and server >= _OLDEST_SERVER


def differing_ranges(between: Connections, pair: TablePair, scope: Scope) -> DifferingRows:
    """Return the part of `scope` whose ranges are not equal.

    Raises:
        ReplicationError: a value does not fit its column.
    """
    edges = _edges(between, pair, scope)
    joined, place = _target_place(between, pair, edges)
    query = (
        f"SELECT {place}, bit_xor({_target_digest(between, pair)}), count(*)"
        f" FROM {pair.target} {joined} WHERE {scope.target} GROUP BY 1"
    )
    try:
        if edges.source:
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(between.target.unsorted, query)
                ours = _ours(between, pair, scope, edges, _failing(asked))
                found = asked.result()
        else:  # so few rows that a thread costs more than it saves
            ours = _ours(between, pair, scope, edges, _no_failure)
            found = between.target.execute(query).fetchall()
        theirs = {number: (int(bits, 2), rows) for number, bits, rows in found}
    except (copy_format.UnfitValueError, sqlite3.OperationalError):
        refuse_misfits(between, pair, scope)
        raise
    places = [n for n, sums in enumerate(ours) if sums != theirs.get(n, (0, 0))]
    compared = sum(rows for _, rows in ours)
    if not places:
        return DifferingRows(compared, scope, empty=True, rows=0)
    # Through a separate key index, some ranges are no cheaper to read than the whole scope.
    by_index = pair.table.index_row and scope.source
    if len(places) > len(ours) / 2 or pair.scanned or by_index:
        return DifferingRows(compared, scope)
    rows = sum(ours[place][1] for place in places)
    return DifferingRows(compared, _narrow(between, pair, scope, edges, places), rows=rows)


def _edges(between: Connections, pair: TablePair, scope: Scope) -> Edges:
    """Return the first key column of every n-th row, except values PostgreSQL could not read."""
    first = pair.key[0].column.source
    rows = 0 if scope.source else source.count(between.source, pair.table)
    after = f"CAST(:edge AS {'TEXT' if _is_text(pair) else 'NUMERIC'})"
    word = "AND" if scope.source else "WHERE"
    step = max(_FEWEST_ROWS, rows // _MOST_RANGES)
    # Read from the index: edges may be anywhere, and the digests count the rows between them.
    start = f"SELECT {first} FROM {pair.table.source} AS t {scope.source}"
    end = f"ORDER BY {first} LIMIT 1 OFFSET {step - 1}"
    found, values, query = Edges([], []), dict(scope.values or {}), f"{start} {end}"
    while True:
        with closing(source.rows(between.source, query, values)) as cursor:
            line = next(cursor, None)
        if line is None:
            return found
        if not found.source or line[0] > found.source[-1]:
            # A damaged index returns keys out of order.
            _add(found, pair, line[0])
        values["edge"], query = line[0], f"{start} {word} {first} > {after} {end}"


def _add(edges: Edges, pair: TablePair, key: object) -> None:
    if isinstance(key, bytes) and _is_text(pair):
        try:
            text = key.decode()
        except UnicodeDecodeError:
            return
        if "\0" not in text:
            edges.source.append(key)
            edges.target.append(text)
    elif isinstance(key, float if pair.key[0].kind is Kind.REAL else int) and not _is_text(pair):
        edges.source.append(key)
        edges.target.append(key)


def _ours(
    between: Connections, pair: TablePair, scope: Scope, edges: Edges, look: Callable[[], None]
) -> list[tuple[int, int]]:
    """Return SQLite's digest and row count for each range."""
    sums, counts = [0] * (len(edges.source) + 1), [0] * (len(edges.source) + 1)
    salted = hashlib.md5(between.marks.salt.encode(), usedforsecurity=False)
    unfit_sql = value_fit.unfit_sql_beside_array(pair, between.widen)
    query = (
        f"SELECT {pair.key[0].column.source}, {row_encoding.json_sql(pair, between.widen)},"
        f" {unfit_sql} {source.from_wanted(pair, scope)}"
    )
    begins, number_of = edges.source, int.from_bytes
    with closing(source.rows(between.source, query, scope.values or {})) as cursor:
        while batch := list(islice(cursor, _BATCH_ROWS)):
            for key, text, unfit in batch:
                if unfit:
                    raise copy_format.UnfitValueError("a value does not fit its column")
                digest = salted.copy()
                digest.update(text)
                place = bisect_right(begins, key)
                sums[place] ^= number_of(digest.digest())
                counts[place] += 1
            between.advance(len(batch))
            look()
    return list(zip(sums, counts, strict=True))


def _failing(asked: Future[Any]) -> Callable[[], None]:
    """Return a function that raises as soon as the PostgreSQL query has failed."""

    def look() -> None:
        if asked.done():
            asked.result()

    return look


def _no_failure() -> None:
    """Do nothing: PostgreSQL has not been asked yet."""


def _target_digest(between: Connections, pair: TablePair) -> str:
    text = f"'{between.marks.salt}' || {row_encoding.json_in_postgres(pair)}"
    return f"('x' || md5({text}))::bit(128)"


def _target_place(between: Connections, pair: TablePair, edges: Edges) -> tuple[str, str]:
    """Return the join, and the expression for a row's range number, as `bisect_right` has it.

    The lookup takes two steps, because PostgreSQL scans an array of texts from its start.
    """
    if not edges.target:
        return "", "0"
    key, of_array = _bytewise(pair), _array_type(pair)
    size = max(1, int(len(edges.target) ** 0.5))
    groups = [edges.target[n : n + size] for n in range(0, len(edges.target), size)]
    tops = f"{between.target.literal([group[0] for group in groups])}::{of_array}"
    # Before the first group's edge is only range 0, which the first group yields as well.
    lines = [(0, 0, groups[0]), *((n + 1, n * size, group) for n, group in enumerate(groups))]
    values = ", ".join(
        f"({place}, {first}, {between.target.literal(group)}::{of_array})"
        for place, first, group in lines
    )
    joined = (
        f"JOIN (VALUES {values}) nightshift_groups ({_PLACE}, {_FIRST}, {_EDGES})"
        f" ON {_PLACE} = width_bucket({key}, {tops})"
    )
    return joined, f"{_FIRST} + width_bucket({key}, {_EDGES})"


def _narrow(
    between: Connections, pair: TablePair, scope: Scope, edges: Edges, places: Sequence[int]
) -> Scope:
    """Return the rows of `scope` in these ranges; stages the ranges in the source."""
    # Every text is at least '', every number at least -inf; a blob sorts after all of them.
    lowest = b"" if _is_text(pair) else float("-inf")
    begins, ends = [lowest, *edges.source], [*edges.source, None]
    source.stage_keys_between(
        between.source, _is_text(pair), [(begins[place], ends[place]) for place in places]
    )
    joined, place = _target_place(between, pair, edges)
    more = f" AND {scope.source.removeprefix('WHERE ')}" if scope.source else ""
    return Scope(
        f"WHERE {key_lookup.between_edges(pair)}{more}",
        scope.values,
        f"{scope.target} AND {place} = ANY ({between.target.literal(list(places))}::integer[])",
        joined,
    )


def _is_text(pair: TablePair) -> bool:
    return pair.key[0].type.startswith(("text", "character varying"))


def _bytewise(pair: TablePair) -> str:
    name = pair.key[0].name
    return f'{name}::text COLLATE "C"' if _is_text(pair) else name


def _array_type(pair: TablePair) -> str:
    if _is_text(pair):
        return "text[]"
    return "double precision[]" if pair.key[0].kind is Kind.REAL else "bigint[]"
