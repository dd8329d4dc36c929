"""Rows of the source into the target: all at once, or those that differ.

Four steps, each over a `Scope` of rows: `load` fills an empty table;
`differing` finds by hashes which keys are missing, differ or are too many;
`upsert` brings wanted keys as the source has them now; `delete` removes keys.
The law: what is counted is what PostgreSQL changed, and a row that is already
right is not touched. Memory does not grow with the rows on either side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from workers.replication import (
    carry,
    digests,
    encode,
    keys,
    limits,
    losses,
    source,
)
from workers.replication.carry import HASH, Between, refuse_misfits
from workers.replication.shape import Kind, Twin, Typed, key_text
from workers.replication.source import Scope
from workers.replication.target import Target
from workers.replication.temporary_tables import make_temporary, temporary, without_schema
from workers.replication.trouble import Trouble

MOST_NAMED = 10
# Columns beside those of a user.
EXTRA, _MISSING = "nightshift_extra", "nightshift_missing"
# More rows than this, and PostgreSQL plans better with their statistics.
_WORTH_ANALYZING = 10_000


@dataclass(frozen=True, slots=True)
class Upserted:
    """Rows that were sent, and those of them that were new or different."""

    sent: int
    inserted: int
    updated: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs in a scope; `names`: the first ten, for people.

    to_bring: keys missing or different, to_delete: keys too many; if there are
    any, they stand in a temporary table of the target.
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
    losses.refuse_losses(between, twin, source.WHOLE)
    return carry.copy_rows(between, twin, source.WHOLE, twin.target)


def differing(between: Between, twin: Twin, scope: Scope) -> Differences:
    """Which rows of `scope` are not alike on both sides.

    Raises:
        Trouble: a value that its column cannot hold.
    """
    losses.refuse_losses(between, twin, scope)
    if not digests.possible(between, twin):
        refuse_misfits(between, twin, scope)
        found = _differing(between, twin, scope)
    else:
        unlike = digests.unlike(between, twin, scope)
        if unlike.empty:
            return Differences(unlike.compared)
        found = _differing(between, twin, unlike.scope)
        if unlike.rows is not None and found.compared != unlike.rows:
            raise keys.damaged_index(twin)
        found = replace(found, compared=unlike.compared)
    if not found.count and scope is source.WHOLE:
        refuse_counts(between, twin)
    return found


def refuse_counts(between: Between, twin: Twin) -> None:
    """Refuse a target with another number of rows than the source, though all keys are there.

    Raises:
        Trouble: that is so, as where a key may stand in the target twice.
    """
    there = between.target.count(twin.target)
    here = source.count_rows(between.source, twin.table)
    if there != here:
        raise Trouble(
            f"table {twin.table.name}: {twin.target} has {there} rows and the source {here},"
            " though each key is there: a key stands there twice. Delete what is too many and add"
            f" PRIMARY KEY ({twin.key_names})"
        )


def _differing(between: Between, twin: Twin, scope: Scope) -> Differences:
    """The same, row by row."""
    target = between.target
    seen, gap = temporary(twin, "seen"), temporary(twin, "gap")
    make_temporary(target, twin, seen, (*twin.key, *encode.cast_columns(twin)), f"{HASH} uuid")
    compared = carry.copy_hashes(between, twin, scope, seen)
    if compared > _WORTH_ANALYZING:
        target.execute(f"ANALYZE {seen}")
    key_names = twin.key_names
    either = ", ".join(f"coalesce(s.{t.name}, t.{t.name}) AS {t.name}" for t in twin.key)
    cast_names = "".join(f", {t.name}" for t in encode.cast_columns(twin))
    unlike = [f"s.{HASH} IS DISTINCT FROM t.{HASH}", *_unlike(encode.cast_columns(twin))]
    first = twin.key[0].name
    target.execute(f"DROP TABLE IF EXISTS {gap}")
    target.execute(
        f"CREATE TEMP TABLE {without_schema(gap)} ON COMMIT DROP AS SELECT {either},"
        f" s.{first} IS NULL AS {EXTRA}, t.{first} IS NULL AS {_MISSING} FROM {seen} s"
        f" FULL JOIN (SELECT {key_names}{cast_names},"
        f" {encode.hash_sql(twin, between.marks)} AS {HASH}"
        f" FROM {_from_target(twin, scope)}) t USING ({key_names})"
        f" WHERE {' OR '.join(unlike)}"
    )
    target.execute(f"DROP TABLE {seen}")
    bring, to_delete = target.one(
        f"SELECT count(*) FILTER (WHERE NOT {EXTRA}), count(*) FILTER (WHERE {EXTRA}) FROM {gap}"
    )
    return Differences(compared, bring, to_delete, _names(target, twin, gap))


def unlike_after(between: Between, twin: Twin, scope: Scope) -> int:
    """How many rows of `scope` are not in the target as the source has them."""
    target, seen = between.target, temporary(twin, "seen")
    make_temporary(target, twin, seen, (*twin.key, *encode.cast_columns(twin)), f"{HASH} uuid")
    carry.copy_hashes(between, twin, scope, seen)
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in twin.key)
    unlike = [
        f"s.{HASH} IS DISTINCT FROM {encode.hash_sql(twin, between.marks, 't.')}",
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
    """Keys that `differing` found missing or different, as `source.want` takes them."""
    names = ", ".join(f"{t.name}::text" if t.as_text else t.name for t in twin.key)
    return between.target.stream(f"SELECT {names} FROM {temporary(twin, 'gap')} WHERE NOT {EXTRA}")


def upsert(between: Between, twin: Twin, scope: Scope) -> Upserted:
    """The rows of `scope` as the source has them.

    Raises:
        Trouble: a value that its column cannot hold.
    """
    losses.refuse_losses(between, twin, scope)
    target, stage = between.target, temporary(twin, "stage")
    make_temporary(target, twin, stage, twin.columns)
    sent = carry.copy_rows(between, twin, scope, stage)
    if sent > _WORTH_ANALYZING:
        target.execute(f"ANALYZE {stage}")
    with limits.named(target, twin, stage):
        updated, inserted = _applied(target, twin, stage)
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in twin.key)
    wrong = target.one(
        f"SELECT count(*) FROM {stage} s LEFT JOIN {twin.target} t ON {same}"
        f" WHERE t.{twin.key[0].name} IS NULL OR {' OR '.join(_unlike(_written(twin))) or 'false'}"
    )[0]
    if wrong:
        raise not_as_sent(twin, wrong)
    target.execute(f"DROP TABLE {stage}")
    return Upserted(sent, inserted, updated)


def _applied(target: Target, twin: Twin, stage: str) -> tuple[int, int]:
    """The rows of `stage` into the target; how many were updated, and inserted."""
    same = " AND ".join(f"s.{t.name} = t.{t.name}" for t in twin.key)
    written = _written(twin)
    updated = 0
    if written:
        changes = ", ".join(f"{t.name} = s.{t.name}" for t in written)
        updated = target.execute(
            f"UPDATE {twin.target} t SET {changes} FROM {stage} s"
            f" WHERE {same} AND ({' OR '.join(_unlike(written))})"
        ).rowcount
    names = twin.names
    # A key of the target that is GENERATED ALWAYS AS IDENTITY takes ours only so.
    inserted = target.execute(
        f"INSERT INTO {twin.target} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {names} FROM {stage} s"
        f" WHERE NOT EXISTS (SELECT 1 FROM {twin.target} t WHERE {same})"
    ).rowcount
    return updated, inserted


def _written(twin: Twin) -> tuple[Typed, ...]:
    """The columns that an update writes: -0 and 0 are one key, and two values."""
    return (*twin.rest, *(t for t in twin.key if t.kind is Kind.REAL))


def not_as_sent(twin: Twin, rows: int) -> Trouble:
    """The failure of rows that are in the target otherwise than they were sent."""
    return Trouble(
        f"table {twin.table.name}: {rows} rows stand in {twin.target} otherwise than they were"
        " sent; has it a trigger or a rule that changes them?"
    )


def _from_target(twin: Twin, scope: Scope) -> str:
    """What follows FROM for the rows of `scope` in PostgreSQL."""
    if not scope.joined:
        return f"{twin.target} WHERE {scope.target}"
    # Without a fence PostgreSQL would hash every row before it leaves any out.
    inner = f"SELECT {twin.names} FROM {twin.target} {scope.joined} WHERE {scope.target} OFFSET 0"
    return f"({inner}) nightshift_narrowed"


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
        f"SELECT {EXTRA}, {_MISSING}, {twin.key_names} FROM {gap} LIMIT {MOST_NAMED}"
    )
    return tuple(
        f"{'extra' if extra else 'missing' if missing else 'different'} {key_words(tuple(key))}"
        for extra, missing, *key in found
    )


def key_words(values: tuple[object, ...]) -> str:
    return f"({key_text(values)})"
