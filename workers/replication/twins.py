"""The tables of the target: made, compared with the source's, and changed.

Here all DDL. The law: what stands in PostgreSQL decides a column's type, and
nothing that holds a value is ever changed or dropped here, except to the
wider `text` under `on_misfit: text`; where source and target part, the
failure says which statement would join them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg.errors import DatatypeMismatch, FeatureNotSupported, InvalidObjectDefinition

from workers.replication import limits, unusable
from workers.replication.shape import Column, Kind, Table, Twin, Typed, kind_of, quoted
from workers.replication.target import Target
from workers.replication.trouble import Trouble

# Whatever has columns and stands under a name: views, sequences, types, indexes have, too.
# Each name is looked up once: beside the columns it would be anew for each of them.
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

# Those of foreign keys without an action, and of deferred uniqueness, only look.
_ACTING = """
SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = ANY ({ids}) AND NOT tgisinternal)
    OR EXISTS (SELECT 1 FROM pg_rewrite WHERE ev_class = ANY ({ids}))
    OR EXISTS (SELECT 1 FROM pg_constraint WHERE confrelid = ANY ({ids}) AND contype = 'f'
        AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd')))"""


def make_schema(target: Target) -> None:
    """Make the schema if it is missing; needs a right only then."""
    if target.one(_EXISTS, {"schema": target.schema}) is None:
        target.execute(f"CREATE SCHEMA {quoted(target.schema)}")


@dataclass(frozen=True, slots=True)
class Present:
    """A column of the target; plain: its type without length; demands: no NULL, no default.

    always: GENERATED ALWAYS AS IDENTITY; generated: computed from other columns;
    blurs: its collation takes different texts for one. relation: the number of its table.
    """

    type: str
    plain: str
    demands: bool
    always: bool
    generated: bool
    blurs: bool
    relation: int


def columns_of(target: Target, table: str) -> dict[str, Present]:
    """The columns of a table by name; empty if there is no such table.

    Raises:
        Trouble: something else has its name.
    """
    return columns_of_all(target, [table])[table]


def columns_of_all(target: Target, tables: Sequence[str]) -> dict[str, dict[str, Present]]:
    """The same of many tables, by one question.

    Raises:
        Trouble: something else has the name of one.
    """
    columns: dict[str, dict[str, Present]] = {table: {} for table in tables}
    ids = ", ".join(f"to_regclass({target.literal(target.named(table))})" for table in tables)
    # Sorted here, which costs less than a plan that sorts.
    found = sorted(target.execute(_COLUMNS.format(ids=f"ARRAY[{ids}]::oid[]")))
    for place, _, kind, name, *rest, is_filtered in found:
        table = tables[place - 1]
        if is_filtered:
            _refuse_row_security(target, table)
        if kind not in _TABLES:
            raise Trouble(
                f"table {table}: {target.named(table)} is {_OTHERS.get(kind, 'an index')} in the"
                " target, where a table has to stand; rename it, exclude the table or choose"
                " another schema"
            )
        columns[table][name] = Present(*rest)
    return columns


def twin_of(target: Target, table: Table, present: Mapping[str, Present]) -> Twin:
    """The twin of a table that stands in the target, as far as its columns are there.

    Raises:
        Trouble: the target has another key, another type than asked for, a column
            that demands a value and gets none, or one that takes no value of ours.
    """
    for name in extra(table, present):
        if present[name].demands:
            _refuse_demanding(target, table, name)
    missing = [column.name for column in table.key if column.name not in present]
    if missing:
        raise Trouble(
            f"table {table.name}: the key column {missing[0]} is not in"
            f" {target.named(table.name)}; it was made for another key:"
            f" DROP TABLE {target.named(table.name)}"
        )
    columns = [
        Typed(c, present[c.name].type, bool(c.wanted)) for c in table.columns if c.name in present
    ]
    for typed in columns:
        there = present[typed.column.name]
        if typed.column.wanted:
            _refuse_retyped(target, table, typed.column, there)
        _refuse_unusable(target, table, typed, there)
    return Twin(table, tuple(columns), target.named(table.name))


def extra(table: Table, present: Mapping[str, Present]) -> list[str]:
    """The columns that only the target has, in its order."""
    have = {column.name for column in table.columns}
    return [name for name in present if name not in have]


def refuse_dropped(
    target: Target, table: Table, present: Mapping[str, Present], brought: Collection[str]
) -> None:
    """Nothing, if what only the target has is its user's own, and none of what we `brought`.

    Raises:
        Trouble: an earlier run brought the column; its values would stand there for ever.
    """
    renamed = {column.called: column.name for column in table.columns}
    alter = f"ALTER TABLE {target.named(table.name)}"
    for name in extra(table, present):
        if name not in brought:
            continue
        if name in table.excluded:
            raise Trouble(
                f"table {table.name}: column {name} is excluded, and an earlier run brought it:"
                f" {alter} DROP COLUMN {quoted(name)}"
            )
        if name in renamed:
            raise Trouble(
                f"table {table.name}: column {name} is to be called {renamed[name]}, and an"
                f" earlier run brought it under another name: {alter} RENAME COLUMN {quoted(name)}"
                f" TO {quoted(renamed[name])}"
            )
        raise Trouble(
            f"table {table.name}: the source has no column {name} (dropped or renamed?):"
            f" {alter} DROP COLUMN {quoted(name)}, or RENAME"
            f" COLUMN {quoted(name)} TO its new name"
        )


def make(target: Target, twin: Twin) -> None:
    """Make the table, without its key: that is built faster over rows."""
    lines = [f"{typed.name} {_declared(typed)}" for typed in twin.columns]
    target.execute(f"CREATE TABLE {twin.target} ({', '.join(lines)})")


def add_key(target: Target, twin: Twin) -> None:
    """Make the key; PostgreSQL's own analysis comes after the commit by itself.

    Raises:
        Trouble: a key is too long, or two are one in PostgreSQL.
    """
    with limits.named(target, twin, twin.target):
        target.execute(f"ALTER TABLE {twin.target} ADD PRIMARY KEY ({twin.key_names})")


def add_column(target: Target, twin: Twin, typed: Typed) -> None:
    """A column that the source has got since."""
    target.execute(f"ALTER TABLE {twin.target} ADD COLUMN {typed.name} {_declared(typed)}")


def retype(target: Target, twin: Twin, name: str, postgres_type: str, collation: str) -> None:
    """Give a column another type that holds what it has.

    Raises:
        Trouble: something of the target depends on its type.
    """
    column = quoted(name)
    try:
        with target.savepoint():
            target.execute(
                f"ALTER TABLE {twin.target} ALTER COLUMN {column} TYPE {postgres_type} {collation}"
                f" USING {column}::text::{postgres_type}"
            )
    except (FeatureNotSupported, DatatypeMismatch, InvalidObjectDefinition) as error:
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        raise Trouble(
            f"table {twin.table.name}: column {name} has to become {postgres_type}, and PostgreSQL"
            f" refuses: {error.diag.message_primary}{detail}; drop what depends on it, and make it"
            " anew after the run"
        ) from None


def relations(target: Target, tables: Sequence[str]) -> dict[str, int]:
    """The number of each table in the target, by its name."""
    if not tables:
        return {}
    ids = ", ".join(f"to_regclass({target.literal(target.named(name))})" for name in tables)
    found = target.execute(f"SELECT id::oid::bigint FROM unnest(ARRAY[{ids}]) AS t (id)")
    return dict(zip(tables, (number for (number,) in found), strict=True))


def act_by_themselves(target: Target, twins: Sequence[Twin]) -> bool:
    """Whether a row written to one of the tables may change others: triggers, rules, cascades."""
    ids = ", ".join(f"to_regclass({target.literal(twin.target)})" for twin in twins)
    return bool(target.one(_ACTING.format(ids=f"ARRAY[{ids}]::oid[]"))[0])


def is_blank(target: Target, twin: Twin, name: str) -> bool:
    """Whether a column holds no value at all."""
    query = f"SELECT 1 FROM {twin.target} WHERE {quoted(name)} IS NOT NULL LIMIT 1"
    return target.one(query) is None


def lock(target: Target, twins: Sequence[Twin]) -> None:
    """Let nobody else write them until the end; readers go on."""
    if twins:
        names = ", ".join(twin.target for twin in twins)
        target.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def parents_first(target: Target, twins: Sequence[Twin]) -> list[Twin]:
    """In the order of the target's own foreign keys; a circle in any order."""
    if len(twins) < 2:
        return list(twins)
    parents: dict[str, set[str]] = {twin.table.name: set() for twin in twins}
    for child, parent in target.execute(_REFERENCES, {"schema": quoted(target.schema)}):
        if child in parents and parent in parents:
            parents[child].add(parent)
    ordered: list[Twin] = []
    rest = list(twins)
    while rest:
        waiting = {twin.table.name for twin in rest}
        free = [twin for twin in rest if not parents[twin.table.name] & waiting] or rest[:1]
        ordered += free
        done = {twin.table.name for twin in free}
        rest = [twin for twin in rest if twin.table.name not in done]
    return ordered


def _declared(typed: Typed) -> str:
    # SQLite sorts keys by their bytes; ranges of a proof have to mean the same rows.
    bytewise = typed.column.key and typed.type == "text"
    return f'{typed.type} COLLATE "C"' if bytewise else typed.type


def _refuse_demanding(target: Target, table: Table, name: str) -> None:
    raise Trouble(
        f"table {table.name}: {target.named(table.name)} demands a value for {name}, which the"
        f" source does not have (dropped or renamed?): ALTER TABLE {target.named(table.name)}"
        f" DROP COLUMN {quoted(name)}, or ALTER COLUMN {quoted(name)} DROP NOT NULL"
    )


def _refuse_unusable(target: Target, table: Table, typed: Typed, there: Present) -> None:
    """Refuse a column that takes no value of ours, or gives it back as another."""
    if there.generated:
        raise unusable.generated(target, table, typed.column)
    if there.always and not typed.column.key:
        raise unusable.identity(target, table, typed.column)
    if there.blurs and typed.column.key:
        raise unusable.blurred(target, table, typed)
    if typed.type == "money":
        raise unusable.money(target, table, typed.column)


def _refuse_row_security(target: Target, table: str) -> None:
    raise Trouble(
        f"table {table}: row-level security of {target.named(table)} hides rows from this role, so"
        " that it can neither write nor compare them: give the role BYPASSRLS, or ALTER TABLE"
        f" {target.named(table)} DISABLE ROW LEVEL SECURITY"
    )


def _refuse_retyped(target: Target, table: Table, column: Column, there: Present) -> None:
    name, asked = column.name, column.wanted
    meant = target.one("SELECT to_regtype(%(t)s)::text", {"t": asked})[0]
    if meant is None:
        raise Trouble(f"types: {table.name}.{column.called}: PostgreSQL has no type {asked}")
    if there.plain != meant:
        text = f"{quoted(name)}::text"
        value = f"convert_to({text}, 'UTF8')" if meant == "bytea" else f"{text}::{asked}"
        raise Trouble(
            f"table {table.name}: column {name} is {there.type} in the target, and types: asks for"
            f" {asked}: ALTER TABLE {target.named(table.name)} ALTER COLUMN {quoted(name)}"
            f" TYPE {asked} USING {value}"
        )


def refuse_key_type(column: Column, postgres_type: str, table: str) -> None:
    """Nothing, if a key of this type comes back from PostgreSQL as it went.

    Raises:
        Trouble: it is a type that PostgreSQL reads in a way of its own.
    """
    if column.key and kind_of(postgres_type) is Kind.CAST:
        raise Trouble(
            f"types: {table}.{column.called}: a key column may be an integer type, text, double"
            f" precision or bytea, got {postgres_type}"
        )
