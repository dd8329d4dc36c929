"""Rows of the source into the target: all at once, or those that differ.

Four steps, each over a `Scope` of rows: `load` fills an empty table;
`differing` finds by hashes which keys are missing, differ or are too many;
`upsert` brings wanted keys as the source has them now; `delete` removes keys.
The law: what is counted is what PostgreSQL changed, and a row that is already
right is not touched. Memory does not grow with the rows on either side.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from workers.replication import encode, source
from workers.replication.encode import Marks
from workers.replication.shape import Kind, Twin, Typed, key_text, listed
from workers.replication.source import Misfit, Scope
from workers.replication.target import Target
from workers.replication.trouble import Trouble, shown

_NAMED = 10
# Columns beside those of a user.
_HASH, _EXTRA, _MISSING = "nightshift_hash", "nightshift_extra", "nightshift_missing"
# More rows than this, and PostgreSQL plans better with their statistics.
_WORTH_ANALYZING = 10_000
_PLACE = re.compile(r", line (\d+)(?:, column ([^\n]*))?")


@dataclass(slots=True)
class Between:
    """The two sides of one run, and what it says while it works.

    widen: text columns take every class. advance: told how many rows went by.
    """

    source: sqlite3.Connection
    target: Target
    marks: Marks
    widen: bool
    advance: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs in a scope; `names`: the first ten, for people.

    to_bring: keys missing or different, to_delete: keys too many; both stand in
    temporary tables of the target.
    """

    compared: int = 0
    to_bring: int = 0
    to_delete: int = 0
    names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many rows differ."""
        return self.to_bring + self.to_delete


def load(between: Between, twin: Twin) -> int:
    """Every row into the empty table `twin`; how many.

    Raises:
        Trouble: a value that its column cannot hold.
    """
    refuse_misfits(between, twin, source.WHOLE)
    return _copy(between, twin, source.WHOLE, twin.target)


def differing(between: Between, twin: Twin, scope: Scope) -> Differences:
    """Which rows of `scope` are not alike on both sides.

    Raises:
        Trouble: a value that its column cannot hold.
    """
    refuse_misfits(between, twin, scope)
    target = between.target
    seen, gap = _temporary(twin, "seen"), _temporary(twin, "gap")
    _temporary_table(target, twin, seen, (*twin.key, *encode.cast_columns(twin)), f"{_HASH} uuid")
    compared = _copy_hashes(between, twin, scope, seen)
    if compared > _WORTH_ANALYZING:
        target.execute(f"ANALYZE {seen}")
    keys = twin.key_names
    either = ", ".join(f"coalesce(s.{t.name}, t.{t.name}) AS {t.name}" for t in twin.key)
    cast_names = "".join(f", {t.name}" for t in encode.cast_columns(twin))
    unlike = [f"s.{_HASH} IS DISTINCT FROM t.{_HASH}", *_unlike(encode.cast_columns(twin))]
    first = twin.key[0].name
    target.execute(f"DROP TABLE IF EXISTS {gap}")
    target.execute(
        f"CREATE TEMP TABLE {_plain(gap)} ON COMMIT DROP AS SELECT {either},"
        f" s.{first} IS NULL AS {_EXTRA}, t.{first} IS NULL AS {_MISSING} FROM {seen} s"
        f" FULL JOIN (SELECT {keys}{cast_names}, {encode.hash_sql(twin, between.marks)} AS {_HASH}"
        f" FROM {twin.target} WHERE {scope.target}) t USING ({keys})"
        f" WHERE {' OR '.join(unlike)}"
    )
    target.execute(f"DROP TABLE {seen}")
    bring, delete = target.one(
        f"SELECT count(*) FILTER (WHERE NOT {_EXTRA}), count(*) FILTER (WHERE {_EXTRA}) FROM {gap}"
    )
    return Differences(compared, bring, delete, _names(target, twin, gap))


def unlike_after(between: Between, twin: Twin, scope: Scope) -> int:
    """How many rows of `scope` are not in the target as the source has them."""
    target, seen = between.target, _temporary(twin, "seen")
    _temporary_table(target, twin, seen, (*twin.key, *encode.cast_columns(twin)), f"{_HASH} uuid")
    _copy_hashes(between, twin, scope, seen)
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in twin.key)
    unlike = [
        f"s.{_HASH} IS DISTINCT FROM {encode.hash_sql(twin, between.marks)}",
        *_unlike(encode.cast_columns(twin)),
    ]
    first = twin.key[0].name
    found = target.one(
        f"SELECT count(*) FROM {seen} s LEFT JOIN {twin.target} t ON {same}"
        f" WHERE t.{first} IS NULL OR {' OR '.join(unlike)}"
    )
    target.execute(f"DROP TABLE {seen}")
    return int(found[0])


def keys_to_bring(between: Between, twin: Twin) -> Iterator[Sequence[object]]:
    """Keys that `differing` found missing or different."""
    return between.target.stream(
        f"SELECT {twin.key_names} FROM {_temporary(twin, 'gap')} WHERE NOT {_EXTRA}"
    )


def upsert(between: Between, twin: Twin, scope: Scope) -> tuple[int, int]:
    """(inserted, updated): the rows of `scope` as the source has them.

    Raises:
        Trouble: a value that its column cannot hold.
    """
    refuse_misfits(between, twin, scope)
    target, stage = between.target, _temporary(twin, "stage")
    _temporary_table(target, twin, stage, twin.columns)
    if _copy(between, twin, scope, stage) > _WORTH_ANALYZING:
        target.execute(f"ANALYZE {stage}")
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in twin.key)
    updated = 0
    if twin.rest:
        changes = ", ".join(f"{t.name} = s.{t.name}" for t in twin.rest)
        updated = target.execute(
            f"UPDATE {twin.target} t SET {changes} FROM {stage} s"
            f" WHERE {same} AND ({' OR '.join(_unlike(twin.rest))})"
        ).rowcount
    names = twin.names
    inserted = target.execute(
        f"INSERT INTO {twin.target} ({names}) SELECT {names} FROM {stage} s"
        f" WHERE NOT EXISTS (SELECT 1 FROM {twin.target} t WHERE {same})"
    ).rowcount
    target.execute(f"DROP TABLE {stage}")
    return inserted, updated


def delete(between: Between, twin: Twin) -> int:
    """Rows gone that `differing` found too many; how many."""
    gap = _temporary(twin, "gap")
    same = " AND ".join(f"g.{t.name} = t.{t.name}" for t in twin.key)
    query = f"DELETE FROM {twin.target} t USING {gap} g WHERE g.{_EXTRA} AND {same}"
    return int(between.target.execute(query).rowcount)


def note_gone(between: Between, twin: Twin) -> int:
    """Let `delete` remove the wanted keys that are not in the source; how many."""
    target, gap = between.target, _temporary(twin, "gap")
    _temporary_table(target, twin, gap, twin.key, f"{_EXTRA} boolean")
    keys = [
        Typed(replace(typed.column, source=f"w.k{number}"), typed.type)
        for number, typed in enumerate(twin.key)
    ]
    query = f"SELECT {encode.row_sql(keys, between.widen)} {source.from_gone(twin)}"
    cursor = source.rows(between.source, query, between.marks.values)
    batches = encode.whole_rows(cursor, len(keys), between.marks)
    count = target.copy_in(_copy_sql(between, gap, twin.key_names), batches)
    target.execute(f"UPDATE {gap} SET {_EXTRA} = true")
    return count


def note_none(between: Between, twin: Twin) -> None:
    """Let `delete` remove nothing."""
    _temporary_table(between.target, twin, _temporary(twin, "gap"), twin.key, f"{_EXTRA} boolean")


def refuse_misfits(between: Between, twin: Twin, scope: Scope) -> None:
    """Nothing, if every value in `scope` can be held by its column.

    Raises:
        Trouble: the first that cannot, with table, key, column and value.
    """
    found = source.first_misfit(between.source, twin, scope, between.widen)
    if found is not None:
        raise MisfitFound(twin, found)


class MisfitFound(Trouble):
    """A value that its column cannot hold; where it is, and what would pass."""

    def __init__(self, twin: Twin, misfit: Misfit) -> None:
        held = next(t.type for t in twin.columns if t.column.name == misfit.column)
        value = misfit.value
        if misfit.found == "text" and isinstance(value, bytes):
            value = value.decode(errors="replace")
        if misfit.found == "null":
            what = "is NULL, which no key of PostgreSQL may be"
        else:
            what = f"is {misfit.found} {shown(value)}, which {held} cannot hold exactly"
        super().__init__(
            f"table {misfit.table}, key {_key(misfit.key)}: column {misfit.column} {what};"
            f" name a type (types: {{{misfit.table}.{misfit.column}: ...}}), widen it"
            " (on_misfit: text) or exclude the table"
        )
        self.twin, self.misfit = twin, misfit


def _copy(between: Between, twin: Twin, scope: Scope, into: str) -> int:
    query = (
        f"SELECT {encode.row_sql(twin.columns, between.widen)} {source.from_wanted(twin, scope)}"
    )
    values = {**between.marks.values, **(scope.values or {})}
    counted = _counting(between, source.rows(between.source, query, values))
    batches = encode.whole_rows(counted, len(twin.columns), between.marks)
    try:
        return between.target.copy_in(_copy_sql(between, into, twin.names), batches)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _refused(between, twin, error, query, values) from None


def _copy_hashes(between: Between, twin: Twin, scope: Scope, into: str) -> int:
    columns = (*twin.key, *encode.cast_columns(twin))
    head, body = encode.head_sql(twin, between.widen), encode.body_sql(twin, between.widen)
    query = f"SELECT {head}, {body} {source.from_wanted(twin, scope)}"
    values = {**between.marks.values, **(scope.values or {})}
    cursor = source.rows(between.source, query, values)
    batches = encode.hashed_rows(cursor, len(columns) + 1, between.marks)
    count = 0

    def told() -> Iterator[bytes]:
        nonlocal count
        for number, batch in batches:
            count += number
            between.advance(number)
            yield batch

    try:
        between.target.copy_in(_copy_sql(between, into, f"{listed(columns)}, {_HASH}"), told())
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        whole = encode.row_sql(columns, between.widen)
        query = f"SELECT {whole}, {body} {source.from_wanted(twin, scope)}"
        raise _refused(between, Twin(twin.table, columns, into), error, query, values) from None
    return count


def _refused(
    between: Between, twin: Twin, error: psycopg.Error, query: str, values: dict[str, object]
) -> Trouble:
    """The value that PostgreSQL refused: the same query gives the same rows in a snapshot."""
    context = error.diag.context or ""
    place = _PLACE.search(context)
    primary = error.diag.message_primary or str(error)
    if place is None:
        return Trouble(f"table {twin.table.name}: {primary}")
    for number, row in enumerate(source.rows(between.source, query, values), 1):
        if number == int(place[1]):
            fields = row[0].removesuffix(between.marks.row.encode())
            parts = fields.split(between.marks.field.encode())
            return _told(between, twin, parts, place[2] or "", primary)
    return Trouble(f"table {twin.table.name}: {primary}")


def _told(between: Between, twin: Twin, parts: list[bytes], column: str, primary: str) -> Trouble:
    null = between.marks.null.encode()
    by_name = dict(zip([t.column.name for t in twin.columns], parts, strict=False))
    bad = [name for name, value in by_name.items() if _unreadable(value)]
    named = [name for name in by_name if column.startswith((f"{name}:", f"{name},"))]
    name = (bad or sorted(named, key=len, reverse=True) or [""])[0]
    key = tuple(by_name[t.column.name].decode(errors="replace") for t in twin.key)
    value = by_name.get(name, null)
    told = "NULL" if value == null else shown(_decoded(value))
    return Trouble(
        f"table {twin.table.name}, key {_key(key)}: column {name} is {told}: {primary};"
        " mend it, name a type (types:) or exclude the table"
    )


def _unreadable(value: bytes) -> bool:
    return b"\0" in value or isinstance(_decoded(value), bytes)


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _counting(between: Between, rows: Iterator[Any]) -> Iterator[Any]:
    count = 0
    for row in rows:
        yield row
        count += 1
        if count == 1000:
            between.advance(count)
            count = 0
    between.advance(count)


def _copy_sql(between: Between, into: str, names: str) -> str:
    return f"COPY {into} ({names}) FROM STDIN {encode.copy_options(between.marks)}"


def _temporary(twin: Twin, word: str) -> str:
    return f"pg_temp.nightshift_{word}_{twin.number}"


def _plain(name: str) -> str:
    return name.removeprefix("pg_temp.")


def _temporary_table(
    target: Target, twin: Twin, name: str, columns: tuple[Typed, ...], more: str = ""
) -> None:
    # Of the target itself: types and collations are then the same.
    target.execute(f"DROP TABLE IF EXISTS {name}")
    target.execute(
        f"CREATE TEMP TABLE {_plain(name)} ON COMMIT DROP AS"
        f" SELECT {listed(columns)} FROM {twin.target} WITH NO DATA"
    )
    if more:
        target.execute(f"ALTER TABLE {name} ADD COLUMN {more}")


def _unlike(columns: Sequence[Typed]) -> list[str]:
    """Conditions between `s` and `t`; types without `=`, and -0, are compared as text."""
    return [
        f"s.{t.name}::text IS DISTINCT FROM t.{t.name}::text"
        if t.kind in (Kind.CAST, Kind.REAL)
        else f"s.{t.name} IS DISTINCT FROM t.{t.name}"
        for t in columns
    ]


def _names(target: Target, twin: Twin, gap: str) -> tuple[str, ...]:
    found = target.execute(
        f"SELECT {_EXTRA}, {_MISSING}, {twin.key_names} FROM {gap} LIMIT {_NAMED}"
    )
    return tuple(
        f"{'extra' if extra else 'missing' if missing else 'different'} {_key(tuple(key))}"
        for extra, missing, *key in found
    )


def _key(values: tuple[object, ...]) -> str:
    return f"({key_text(values)})"
