"""Which ranges of a key are unlike, found without sending a row.

Each side adds up its rows by ranges of the key: the exclusive or of their
salted MD5 sums, 128 bits, and their number. PostgreSQL does so in a thread's
time while SQLite is read here, so that two cores work at once. A row is the
same text on both sides, a JSON array of its columns' texts: in SQLite that
costs half of `||`, and it tells NULL and NUL apart. The law: an answer here
only narrows what `merge.differing` then compares row by row; where the two
write a text differently, the cost is time.
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

from workers.replication import encode, fit, lines, lookup, source
from workers.replication.carry import Between, refuse_misfits
from workers.replication.shape import Kind, Twin
from workers.replication.source import Scope

_MOST_RANGES = 8192
_FEWEST_ROWS = 64
_BATCH_ROWS = 1000
# Of PostgreSQL, whose exclusive or of many is younger than the rest we ask for.
_OLDEST_SERVER = 140000
_PLACE, _FIRST, _EDGES = "nightshift_place", "nightshift_first", "nightshift_edges"


@dataclass(frozen=True, slots=True)
class Unlike:
    """How many rows were looked at, and the scope of those that may differ.

    empty: none do. rows: how many of the source lie in the scope, if that was counted.
    """

    compared: int
    scope: Scope
    empty: bool = False
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Edges:
    """Where ranges of the first key column begin: range n ends before edge n.

    source: as SQLite gives them, texts as bytes; target: as PostgreSQL is given them.
    """

    source: list[Any]
    target: list[Any]


def possible(between: Between, twin: Twin) -> bool:
    """Whether both sides can say what they have in this way."""
    server = between.target.connection.info.server_version
    return twin.ordered and not encode.cast_columns(twin) and server >= _OLDEST_SERVER


def unlike(between: Between, twin: Twin, scope: Scope) -> Unlike:
    """The part of `scope` whose ranges are not alike.

    Raises:
        Trouble: a value that its column cannot hold.
    """
    edges = _edges(between, twin, scope)
    joined, place = _target_place(between, twin, edges)
    query = (
        f"SELECT {place}, bit_xor({_target_digest(between, twin)}), count(*)"
        f" FROM {twin.target} {joined} WHERE {scope.target} GROUP BY 1"
    )
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(between.target.unsorted, query)
            ours = _ours(between, twin, scope, edges, _failing(asked))
            theirs = {number: (int(bits, 2), rows) for number, bits, rows in asked.result()}
    except (lines.Unfit, sqlite3.OperationalError):
        refuse_misfits(between, twin, scope)
        raise
    places = [n for n, sums in enumerate(ours) if sums != theirs.get(n, (0, 0))]
    compared = sum(rows for _, rows in ours)
    # Through the index of a key a part of a range is no cheaper than the range.
    by_index = twin.table.index_row and scope.source
    if places and (len(places) > len(ours) / 2 or twin.scanned or by_index):
        return Unlike(compared, scope)
    rows = sum(ours[place][1] for place in places)
    return Unlike(compared, _narrow(between, twin, scope, edges, places), not places, rows)


def _edges(between: Between, twin: Twin, scope: Scope) -> Edges:
    """Every so many rows a first key; those that PostgreSQL could not read are left out."""
    first = twin.key[0].column.source
    rows = 0 if scope.source else source.count(between.source, twin.table)
    after = f"CAST(:edge AS {'TEXT' if _is_text(twin) else 'NUMERIC'})"
    word = "AND" if scope.source else "WHERE"
    step = max(_FEWEST_ROWS, rows // _MOST_RANGES)
    # By the index, since an edge may lie anywhere; `unlike` counts what lies between.
    start = f"SELECT {first} FROM {twin.table.source} AS t {scope.source}"
    end = f"ORDER BY {first} LIMIT 1 OFFSET {step - 1}"
    found, values, query = Edges([], []), dict(scope.values or {}), f"{start} {end}"
    while True:
        with closing(source.rows(between.source, query, values)) as cursor:
            line = next(cursor, None)
        if line is None:
            return found
        if not found.source or line[0] > found.source[-1]:
            # A damaged index gives them in another order.
            _add(found, twin, line[0])
        values["edge"], query = line[0], f"{start} {word} {first} > {after} {end}"


def _add(edges: Edges, twin: Twin, key: object) -> None:
    if isinstance(key, bytes) and _is_text(twin):
        try:
            text = key.decode()
        except UnicodeDecodeError:
            return
        if "\0" not in text:
            edges.source.append(key)
            edges.target.append(text)
    elif isinstance(key, float if twin.key[0].kind is Kind.REAL else int) and not _is_text(twin):
        edges.source.append(key)
        edges.target.append(key)


def _ours(
    between: Between, twin: Twin, scope: Scope, edges: Edges, look: Callable[[], None]
) -> list[tuple[int, int]]:
    """By range the digest and the number of rows, of SQLite."""
    sums, counts = [0] * (len(edges.source) + 1), [0] * (len(edges.source) + 1)
    salted = hashlib.md5(between.marks.salt.encode(), usedforsecurity=False)
    unfit_sql = fit.unfit_sql_beside_array(twin, between.widen)
    query = (
        f"SELECT {twin.key[0].column.source}, {encode.json_sql(twin, between.widen)},"
        f" {unfit_sql} {source.from_wanted(twin, scope)}"
    )
    begins, number_of = edges.source, int.from_bytes
    with closing(source.rows(between.source, query, scope.values or {})) as cursor:
        while batch := list(islice(cursor, _BATCH_ROWS)):
            for key, text, unfit in batch:
                if unfit:
                    raise lines.Unfit("a value does not fit its column")
                digest = salted.copy()
                digest.update(text)
                place = bisect_right(begins, key)
                sums[place] ^= number_of(digest.digest())
                counts[place] += 1
            between.advance(len(batch))
            look()
    return list(zip(sums, counts, strict=True))


def _failing(asked: Future[Any]) -> Callable[[], None]:
    """What raises as soon as the other side has failed."""

    def look() -> None:
        if asked.done():
            asked.result()

    return look


def _target_digest(between: Between, twin: Twin) -> str:
    text = f"'{between.marks.salt}' || {encode.json_in_postgres(twin)}"
    return f"('x' || md5({text}))::bit(128)"


def _target_place(between: Between, twin: Twin, edges: Edges) -> tuple[str, str]:
    """What to join, and the number of a row's range, as `bisect_right` gives it.

    In two steps, since PostgreSQL walks through an array of texts from its head.
    """
    if not edges.target:
        return "", "0"
    key, of_array = _bytewise(twin), _array_type(twin)
    size = max(1, int(len(edges.target) ** 0.5))
    groups = [edges.target[n : n + size] for n in range(0, len(edges.target), size)]
    tops = f"{between.target.literal([group[0] for group in groups])}::{of_array}"
    # Before the first group's edge there is only the range 0, which it gives as well.
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
    between: Between, twin: Twin, scope: Scope, edges: Edges, places: Sequence[int]
) -> Scope:
    """The rows of `scope` in these ranges; the source's are told by a temporary table."""
    # Every text is at least '', every number at least -inf; a blob is behind them all.
    lowest = b"" if _is_text(twin) else float("-inf")
    begins, ends = [lowest, *edges.source], [*edges.source, None]
    source.want_between(
        between.source, _is_text(twin), [(begins[place], ends[place]) for place in places]
    )
    joined, place = _target_place(between, twin, edges)
    more = f" AND {scope.source.removeprefix('WHERE ')}" if scope.source else ""
    return Scope(
        f"WHERE {lookup.between_edges(twin)}{more}",
        scope.values,
        f"{scope.target} AND {place} = ANY ({between.target.literal(list(places))}::integer[])",
        joined,
    )


def _is_text(twin: Twin) -> bool:
    return twin.key[0].type.startswith(("text", "character varying"))


def _bytewise(twin: Twin) -> str:
    name = twin.key[0].name
    return f'{name}::text COLLATE "C"' if _is_text(twin) else name


def _array_type(twin: Twin) -> str:
    if _is_text(twin):
        return "text[]"
    return "double precision[]" if twin.key[0].kind is Kind.REAL else "bigint[]"
