"""The target's tables: create them, compare them with the source's, and alter them.

All DDL is here, but for temporary tables and `watermark.py`. Invariant: an existing column
decides its type, and nothing that holds a value is dropped. Only `retype` changes a type,
to one that holds every value. Where both sides disagree, the error names the statement
that reconciles them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg.errors import DatatypeMismatch, FeatureNotSupported, InvalidObjectDefinition

from workers.replication import row_limits, unusable_columns
from workers.replication.errors import ReplicationError
from workers.replication.tables import (
    Column,
    Kind,
    MappedColumn,
    Table,
    TablePair,
    kind_of,
    quoted,
)
from workers.replication.target import Target

# Matches every relation with columns: views, sequences, types and indexes, too.
# Resolve each name once; in a join it would be resolved anew for each column.
_COLUMNS = """
SELECT asked.place, a.attnum, c.relkind::text, a.attname,
    format_type(a.atttypid, a.atttypmod), a.atttypid::regtype::text,
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '',
    a.attidentity = 'a', a.attgenerated <> '', coalesce(NOT l.collisdeterministic, false),
    c.oid::bigint, row_security_active(c.oid)
FROM unnest({ids}) WITH ORDINALITY AS asked (id, place)
JOIN pg_class c ON c.oid = asked.id JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped"""
_TABLES = ("r", "p", "f")
_OTHERS = {"v": "a view", "m": "a materialized view", "S": "a sequence", "c": "a type"}
_EXISTS = "SELECT 1 FROM pg_namespace WHERE nspname = %(schema)s"
_REFERENCES = """
SELECT c.relname, p.relname FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
    AND c.relnamespace = to_regnamespace(%(schema)s) AND p.relnamespace = c.relnamespace"""

# Internal triggers are not counted: foreign keys without an action, and deferred unique
# constraints, only check.
_ACTING = """
SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = ANY ({ids}) AND NOT tgisinternal)
    OR EXISTS (SELECT 1 FROM pg_rewrite WHERE ev_class = ANY ({ids}))
    OR EXISTS (SELECT 1 FROM pg_constraint WHERE confrelid = ANY ({ids}) AND contype = 'f'
        AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')))"""


def make_schema(target: Target) -> None:
    """Create the schema if it is missing; only then the role needs the right to."""
    if target.one(_EXISTS, {"schema": target.schema}) is None:
        target.execute(f"CREATE SCHEMA {quoted(target.schema)}")


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of the target. plain: its type without length or precision.

    is_required: NOT NULL without a default; always: GENERATED ALWAYS AS IDENTITY; generated:
    computed from other columns; blurs: its collation treats different texts as equal;
    relation: the OID of its table.
    """

    type: str
    plain: str
    is_required: bool
    always: bool
    generated: bool
    blurs: bool
    relation: int


def columns_of(target: Target, table: str) -> dict[str, TargetColumn]:
    """Return the columns of a table by name; see `columns_of_all`."""
    return columns_of_all(target, [table])[table]


def columns_of_all(target: Target, tables: Sequence[str]) -> dict[str, dict[str, TargetColumn]]:
    """Return the columns of several tables, with one query; empty for a missing table.

    Raises:
        ReplicationError: another kind of relation has such a name, or row security applies.
    """
    columns: dict[str, dict[str, TargetColumn]] = {table: {} for table in tables}
    ids = ", ".join(f"to_regclass({target.literal(target.named(table))})" for table in tables)
    # Sorting here is cheaper than in the query plan.
    found = sorted(target.execute(_COLUMNS.format(ids=f"ARRAY[{ids}]::oid[]")))
    for place, _, kind, name, *rest, is_filtered in found:
        table = tables[place - 1]
        if is_filtered:
            _refuse_row_security(target, table)
        if kind not in _TABLES:
            raise ReplicationError(
                f"table {table}: {target.named(table)} is {_OTHERS.get(kind, 'an index')} in the"
                " target, where a table has to stand; rename it, exclude the table or choose"
                " another schema"
            )
        columns[table][name] = TargetColumn(*rest)
    return columns


def pair_of(target: Target, table: Table, present: Mapping[str, TargetColumn]) -> TablePair:
    """Return the pair of a table that exists in the target, with the columns that exist there.

    Raises:
        ReplicationError: the target has another key, another type than `types` asks for, a
            required column that the source lacks, or a column that cannot be written.
    """
    for name in extra(table, present):
        if present[name].is_required:
            _refuse_demanding(target, table, name)
    missing = [column.name for column in table.key if column.name not in present]
    if missing:
        raise ReplicationError(
            f"table {table.name}: the key column {missing[0]} is not in"
            f" {target.named(table.name)}; it was made for another key:"
            f" DROP TABLE {target.named(table.name)}"
        )
    columns = [
        MappedColumn(c, present[c.name].type, bool(c.wanted))
        for c in table.columns
        if c.name in present
    ]
    for typed in columns:
        there = present[typed.column.name]
        if typed.column.wanted:
            _refuse_retyped(target, table, typed.column, there)
        _refuse_unusable(target, table, typed, there)
    return TablePair(table, tuple(columns), target.named(table.name))


def extra(table: Table, present: Mapping[str, TargetColumn]) -> list[str]:
    """Return the columns that only the target has, in its order."""
    have = {column.name for column in table.columns}
    return [name for name in present if name not in have]


def refuse_dropped(
    target: Target, table: Table, present: Mapping[str, TargetColumn], brought: Collection[str]
) -> None:
    """Refuse a column that an earlier run replicated (`brought`) and this one would not.

    Its values would stay in the target for ever.
    """
    renamed = {column.called: column.name for column in table.columns}
    alter = f"ALTER TABLE {target.named(table.name)}"
    for name in extra(table, present):
        if name not in brought:
            continue
        if name in table.excluded:
            raise ReplicationError(
                f"table {table.name}: column {name} is excluded, and an earlier run brought it:"
                f" {alter} DROP COLUMN {quoted(name)}"
            )
        if name in renamed:
            raise ReplicationError(
                f"table {table.name}: column {name} is to be called {renamed[name]}, and an"
                f" earlier run brought it under another name: {alter} RENAME COLUMN {quoted(name)}"
                f" TO {quoted(renamed[name])}"
            )
        raise ReplicationError(
            f"table {table.name}: the source has no column {name} (dropped or renamed?):"
            f" {alter} DROP COLUMN {quoted(name)}, or RENAME"
            f" COLUMN {quoted(name)} TO its new name"
        )


def make(target: Target, pair: TablePair) -> None:
    """Create the table without its key, which is built faster after the rows are loaded."""
    lines = [f"{typed.name} {_declared(typed)}" for typed in pair.columns]
    target.execute(f"CREATE TABLE {pair.target} ({', '.join(lines)})")


def add_key(target: Target, pair: TablePair) -> None:
    """Add the primary key; raise `ReplicationError` if keys are too long, or two are equal.

    PostgreSQL's autovacuum analyzes the table after the commit.
    """
    with row_limits.named(target, pair, pair.target):
        target.execute(f"ALTER TABLE {pair.target} ADD PRIMARY KEY ({pair.key_names})")


def add_column(target: Target, pair: TablePair, typed: MappedColumn) -> None:
    """Add a column that the source has gained since the last run."""
    target.execute(f"ALTER TABLE {pair.target} ADD COLUMN {typed.name} {_declared(typed)}")


def retype(target: Target, pair: TablePair, name: str, postgres_type: str, collation: str) -> None:
    """Retype a column so that it holds all values; raise `ReplicationError` if that is refused."""
    column = quoted(name)
    try:
        with target.savepoint():
            target.execute(
                f"ALTER TABLE {pair.target} ALTER COLUMN {column} TYPE {postgres_type} {collation}"
                f" USING {column}::text::{postgres_type}"
            )
    except (FeatureNotSupported, DatatypeMismatch, InvalidObjectDefinition) as error:
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        raise ReplicationError(
            f"table {pair.table.name}: column {name} has to become {postgres_type}, and PostgreSQL"
            f" refuses: {error.diag.message_primary}{detail}; drop what depends on it, and make it"
            " anew after the run"
        ) from None


def relations(target: Target, tables: Sequence[str]) -> dict[str, int]:
    """Return the OID of each table in the target, by name."""
    if not tables:
        return {}
    ids = ", ".join(f"to_regclass({target.literal(target.named(name))})" for name in tables)
    found = target.execute(f"SELECT id::oid::bigint FROM unnest(ARRAY[{ids}]) AS t (id)")
    return dict(zip(tables, (number for (number,) in found), strict=True))


def act_by_themselves(target: Target, twins: Sequence[TablePair]) -> bool:
    """Return whether a write to one of the tables may fire triggers, rules or cascades."""
    ids = ", ".join(f"to_regclass({target.literal(pair.target)})" for pair in twins)
    return bool(target.one(_ACTING.format(ids=f"ARRAY[{ids}]::oid[]"))[0])


def is_all_null(target: Target, pair: TablePair, name: str) -> bool:
    """Return whether a column holds only NULL."""
    query = f"SELECT 1 FROM {pair.target} WHERE {quoted(name)} IS NOT NULL LIMIT 1"
    return target.one(query) is None


def lock(target: Target, twins: Sequence[TablePair]) -> None:
    """Block other writers of these tables until the transaction ends; readers continue."""
    if twins:
        names = ", ".join(pair.target for pair in twins)
        target.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def parents_first(target: Target, twins: Sequence[TablePair]) -> list[TablePair]:
    """Return the pairs in the order of the target's foreign keys; cycles in any order."""
    if len(twins) < 2:
        return list(twins)
    parents: dict[str, set[str]] = {pair.table.name: set() for pair in twins}
    for child, parent in target.execute(_REFERENCES, {"schema": quoted(target.schema)}):
        if child in parents and parent in parents:
            parents[child].add(parent)
    ordered: list[TablePair] = []
    rest = list(twins)
    while rest:
        waiting = {pair.table.name for pair in rest}
        free = [pair for pair in rest if not parents[pair.table.name] & waiting] or rest[:1]
        ordered += free
        done = {pair.table.name for pair in free}
        rest = [pair for pair in rest if pair.table.name not in done]
    return ordered


def _declared(typed: MappedColumn) -> str:
    # SQLite sorts keys bytewise; a range must mean the same rows on both sides.
    bytewise = typed.column.key and typed.type == "text"
    return f'{typed.type} COLLATE "C"' if bytewise else typed.type


def _refuse_demanding(target: Target, table: Table, name: str) -> None:
    raise ReplicationError(
        f"table {table.name}: {target.named(table.name)} demands a value for {name}, which the"
        f" source does not have (dropped or renamed?): ALTER TABLE {target.named(table.name)}"
        f" DROP COLUMN {quoted(name)}, or ALTER COLUMN {quoted(name)} DROP NOT NULL"
    )


def _refuse_unusable(
    target: Target, table: Table, typed: MappedColumn, there: TargetColumn
) -> None:
    """Refuse a column that cannot be written, or that returns another value than was written."""
    if there.generated:
        raise unusable_columns.generated(target, table, typed.column)
    if there.always and not typed.column.key:
        raise unusable_columns.identity(target, table, typed.column)
    if there.blurs and typed.column.key:
        raise unusable_columns.blurred(target, table, typed)
    if typed.type == "money":
        raise unusable_columns.money(target, table, typed.column)


def _refuse_row_security(target: Target, table: str) -> None:
    raise ReplicationError(
        f"table {table}: row-level security of {target.named(table)} hides rows from this role, so"
        " that it can neither write nor compare them: give the role BYPASSRLS, or ALTER TABLE"
        f" {target.named(table)} DISABLE ROW LEVEL SECURITY"
    )


def _refuse_retyped(target: Target, table: Table, column: Column, there: TargetColumn) -> None:
    name, asked = column.name, column.wanted
    meant = target.one("SELECT to_regtype(%(t)s)::text", {"t": asked})[0]
    if meant is None:
        raise ReplicationError(
            f"types: {table.name}.{column.called}: PostgreSQL has no type {asked}"
        )
    if there.plain != meant:
        text = f"{quoted(name)}::text"
        value = f"convert_to({text}, 'UTF8')" if meant == "bytea" else f"{text}::{asked}"
        raise ReplicationError(
            f"table {table.name}: column {name} is {there.type} in the target, and types: asks for"
            f" {asked}: ALTER TABLE {target.named(table.name)} ALTER COLUMN {quoted(name)}"
            f" TYPE {asked} USING {value}"
        )


def refuse_key_type(column: Column, postgres_type: str, table: str) -> None:
    """Refuse a key type whose values PostgreSQL does not return as they were sent."""
    if column.key and kind_of(postgres_type) is Kind.CAST:
        raise ReplicationError(
            f"types: {table}.{column.called}: a key column may be an integer type, text, double"
            f" precision or bytea, got {postgres_type}"
        )
