"""Move rows of the source into the target: all of them, or those that differ.

Each step works on a `Scope`: `load` fills an empty table, `differing` compares hashes to
find missing, different and extra keys, and `upsert` writes the staged keys as the source
has them now. `deletions.py` removes extra keys.
Invariant: counts are those that PostgreSQL reports, and a row that is already equal is not
written. Memory does not grow with the number of rows on either side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from workers.replication import (
    copy_rows,
    keys,
    lossy_values,
    range_digests,
    row_encoding,
    row_limits,
    source,
)
from workers.replication.copy_rows import HASH, Connections, refuse_misfits
from workers.replication.errors import ReplicationError
from workers.replication.source import Scope
from workers.replication.tables import Kind, MappedColumn, TablePair, key_text
from workers.replication.target import Target
from workers.replication.temporary_tables import make_temporary, temporary, without_schema
from workers.units import format_count

MOST_NAMED = 10
# Columns added to those of the table.
EXTRA, _MISSING = "nightshift_extra", "nightshift_missing"
# Above this number of rows, PostgreSQL plans better with statistics.
_WORTH_ANALYZING = 10_000


@dataclass(frozen=True, slots=True)
class Upserted:
    """Number of rows sent, and of those inserted or updated."""

    sent: int
    inserted: int
    updated: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs in a scope; names: the first ten keys, for messages.

    to_bring: number of keys missing or different; to_delete: number of extra keys. The keys
    are in a temporary table of the target, if there are any.
    """

    compared: int = 0
    to_bring: int = 0
    to_delete: int = 0
    names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Return how many rows differ."""
        return self.to_bring + self.to_delete


def load(between: Connections, pair: TablePair) -> int:
    """Copy every row into the empty target table; return how many.

    Raises:
        ReplicationError: a value does not fit its column.
    """
    lossy_values.refuse_losses(between, pair, source.WHOLE)
    return copy_rows.copy_rows(between, pair, source.WHOLE, pair.target)


def differing(between: Connections, pair: TablePair, scope: Scope) -> Differences:
    """Find the rows of `scope` that are not equal on both sides.

    Raises:
        ReplicationError: a value does not fit its column.
    """
    lossy_values.refuse_losses(between, pair, scope)
    if not range_digests.possible(between, pair):
        refuse_misfits(between, pair, scope)
        found = _differing(between, pair, scope)
    else:
        unlike = range_digests.differing_ranges(between, pair, scope)
        if unlike.empty:
            return Differences(unlike.compared)
        found = _differing(between, pair, unlike.scope)
        if unlike.rows is not None and found.compared != unlike.rows:
            raise keys.damaged_index(pair)
        found = replace(found, compared=unlike.compared)
    if not found.count and scope is source.WHOLE:
        refuse_counts(between, pair)
    return found


def refuse_counts(between: Connections, pair: TablePair) -> None:
    """Refuse a target whose number of rows differs from the source's, though all keys match.

    Raises:
        ReplicationError: the counts differ, as when the target has a key twice.
    """
    there = between.target.count(pair.target)
    here = source.count_rows(between.source, pair.table)
    if there != here:
        rows = format_count(there, "row")
        raise ReplicationError(
            f"table {pair.table.name}: {pair.target} has {rows} and the source {here},"
            " though each key is there: a key stands there twice. Delete what is too many and add"
            f" PRIMARY KEY ({pair.key_names})"
        )


def _differing(between: Connections, pair: TablePair, scope: Scope) -> Differences:
    """Find the rows of `scope` that differ, row by row."""
    target = between.target
    seen, gap = temporary(pair, "seen"), temporary(pair, "gap")
    make_temporary(
        target, pair, seen, (*pair.key, *row_encoding.cast_columns(pair)), f"{HASH} uuid"
    )
    compared = copy_rows.copy_hashes(between, pair, scope, seen)
    if compared > _WORTH_ANALYZING:
        target.execute(f"ANALYZE {seen}")
    key_names = pair.key_names
    either = ", ".join(f"coalesce(s.{t.name}, t.{t.name}) AS {t.name}" for t in pair.key)
    cast_names = "".join(f", {t.name}" for t in row_encoding.cast_columns(pair))
    unlike = [f"s.{HASH} IS DISTINCT FROM t.{HASH}", *_unlike(row_encoding.cast_columns(pair))]
    first = pair.key[0].name
    target.execute(f"DROP TABLE IF EXISTS {gap}")
    target.execute(
        f"CREATE TEMP TABLE {without_schema(gap)} ON COMMIT DROP AS SELECT {either},"
        f" s.{first} IS NULL AS {EXTRA}, t.{first} IS NULL AS {_MISSING} FROM {seen} s"
        f" FULL JOIN (SELECT {key_names}{cast_names},"
        f" {row_encoding.hash_sql(pair, between.marks)} AS {HASH}"
        f" FROM {_from_target(pair, scope)}) t USING ({key_names})"
        f" WHERE {' OR '.join(unlike)}"
    )
    target.execute(f"DROP TABLE {seen}")
    bring, to_delete = target.one(
        f"SELECT count(*) FILTER (WHERE NOT {EXTRA}), count(*) FILTER (WHERE {EXTRA}) FROM {gap}"
    )
    return Differences(compared, bring, to_delete, _names(target, pair, gap))


def unlike_after(between: Connections, pair: TablePair, scope: Scope) -> int:
    """Return how many rows of `scope` the target does not have as the source does."""
    target, seen = between.target, temporary(pair, "seen")
    make_temporary(
        target, pair, seen, (*pair.key, *row_encoding.cast_columns(pair)), f"{HASH} uuid"
    )
    copy_rows.copy_hashes(between, pair, scope, seen)
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in pair.key)
    unlike = [
        f"s.{HASH} IS DISTINCT FROM {row_encoding.hash_sql(pair, between.marks, 't.')}",
        *_unlike(row_encoding.cast_columns(pair)),
    ]
    first = pair.key[0].name
    found = target.one(
        f"SELECT count(*) FROM {seen} s LEFT JOIN {pair.target} t ON {same}"
        f" WHERE t.{first} IS NULL OR {' OR '.join(unlike)}"
    )
    target.execute(f"DROP TABLE {seen}")
    return int(found[0])


def keys_to_bring(between: Connections, pair: TablePair) -> Iterator[Sequence[object]]:
    """Yield the missing and different keys found by `differing`, for `source.stage_keys`."""
    names = ", ".join(f"{t.name}::text" if t.as_text else t.name for t in pair.key)
    return between.target.stream(f"SELECT {names} FROM {temporary(pair, 'gap')} WHERE NOT {EXTRA}")


def upsert(between: Connections, pair: TablePair, scope: Scope) -> Upserted:
    """Write the rows of `scope` as the source has them; return the counts.

    Raises:
        ReplicationError: a value does not fit its column, or a row was not stored as sent.
    """
    lossy_values.refuse_losses(between, pair, scope)
    target, stage = between.target, temporary(pair, "stage")
    make_temporary(target, pair, stage, pair.columns)
    sent = copy_rows.copy_rows(between, pair, scope, stage)
    if sent > _WORTH_ANALYZING:
        target.execute(f"ANALYZE {stage}")
    with row_limits.named(target, pair, stage):
        updated, inserted = _applied(target, pair, stage)
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in pair.key)
    wrong = target.one(
        f"SELECT count(*) FROM {stage} s LEFT JOIN {pair.target} t ON {same}"
        f" WHERE t.{pair.key[0].name} IS NULL OR {' OR '.join(_unlike(_written(pair))) or 'false'}"
    )[0]
    if wrong:
        raise not_as_sent(pair, wrong)
    target.execute(f"DROP TABLE {stage}")
    return Upserted(sent, inserted, updated)


def _applied(target: Target, pair: TablePair, stage: str) -> tuple[int, int]:
    """Apply the rows of `stage` to the target; return how many were updated and inserted."""
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in pair.key)
    written = _written(pair)
    updated = 0
    if written:
        changes = ", ".join(f"{t.name} = s.{t.name}" for t in written)
        updated = target.execute(
            f"UPDATE {pair.target} t SET {changes} FROM {stage} s"
            f" WHERE {same} AND ({' OR '.join(_unlike(written))})"
        ).rowcount
    names = pair.names
    # A key that is GENERATED ALWAYS AS IDENTITY accepts values only with OVERRIDING.
    inserted = target.execute(
        f"INSERT INTO {pair.target} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {names} FROM {stage} s"
        f" WHERE NOT EXISTS (SELECT 1 FROM {pair.target} t WHERE {same})"
    ).rowcount
    return updated, inserted


def _written(pair: TablePair) -> tuple[MappedColumn, ...]:
    """Return the columns that an update writes; real keys too, as -0 and 0 are equal keys."""
    return (*pair.rest, *(t for t in pair.key if t.kind is Kind.REAL))


def not_as_sent(pair: TablePair, rows: int) -> ReplicationError:
    """Return the error for rows that the target stores otherwise than they were sent."""
    stand = format_count(rows, "row stands", "rows stand")
    return ReplicationError(
        f"table {pair.table.name}: {stand} in {pair.target} otherwise than sent; has it a trigger"
        " or a rule that changes them?"
    )


def _from_target(pair: TablePair, scope: Scope) -> str:
    """Return the FROM clause for the rows of `scope` in PostgreSQL."""
    if not scope.joined:
        return f"{pair.target} WHERE {scope.target}"
    # OFFSET 0 is an optimization fence: without it, PostgreSQL hashes rows before filtering.
    inner = f"SELECT {pair.names} FROM {pair.target} {scope.joined} WHERE {scope.target} OFFSET 0"
    return f"({inner}) nightshift_narrowed"


def _unlike(columns: Sequence[MappedColumn]) -> list[str]:
    """Return conditions between `s` and `t`; types without `=`, and -0, are compared as text."""
    return [
        f"s.{t.name}::text IS DISTINCT FROM t.{t.name}::text"
        if t.kind in (Kind.CAST, Kind.REAL)
        else f"s.{t.name} IS DISTINCT FROM t.{t.name}"
        for t in columns
    ]


def _names(target: Target, pair: TablePair, gap: str) -> tuple[str, ...]:
    found = target.execute(
        f"SELECT {EXTRA}, {_MISSING}, {pair.key_names} FROM {gap} LIMIT {MOST_NAMED}"
    )
    return tuple(
        f"{'extra' if extra else 'missing' if missing else 'different'} {key_words(tuple(key))}"
        for extra, missing, *key in found
    )


def key_words(values: tuple[object, ...]) -> str:
    return f"({key_text(values)})"
