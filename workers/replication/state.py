"""What the target remembers of the last run, committed with that run's rows.

Two tables in the schema itself: one line for the whole, one for each table.
The law: nothing here is trusted that the same transaction did not write.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from workers.replication.target import Target

_WHOLE = "nightshift_replication"
_TABLES = "nightshift_replication_tables"
_MAKE_WHOLE = """
CREATE TABLE {} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation text NOT NULL, -- of the source, see workers/replication/triggers.py
    schema_version bigint NOT NULL, -- of the source: VACUUM moves row numbers, and moves it
    snapshot_at timestamptz NOT NULL, -- the moment of the source that stands here
    oldest_unproved_at timestamptz NOT NULL,
    record oid -- of the table below, when this was written; another after a restored dump
)"""
_MAKE_TABLES = """
CREATE TABLE {} (
    name text PRIMARY KEY,
    epoch text NOT NULL, -- of its triggers, empty without
    position text, -- the key up to which the rolling proof has come, as JSON
    began_at timestamptz, -- when the proof was at its first row
    proved_since timestamptz NOT NULL, -- every row was proved at or after this
    columns text[], -- those that the source had; any other is somebody else's
    relation oid -- of the table that was filled; another one of its name is not ours
)"""
# Those that later versions added; asked first, since only the tables' owner may add one.
_ADDED = "columns", "relation", "record"
_STANDING = """
SELECT to_regclass(%(whole)s) IS NOT NULL AND to_regclass(%(tables)s) IS NOT NULL,
    ARRAY(SELECT attname::text FROM pg_attribute WHERE NOT attisdropped
        AND attrelid IN (to_regclass(%(tables)s), to_regclass(%(whole)s)))"""
# One line at least, whatever is there.
_RECALL = """
SELECT coalesce(w.generation, ''), coalesce(w.schema_version, -1),
    {record} IS DISTINCT FROM to_regclass(%(tables)s)::oid,
    t.name, t.epoch, t.proved_since, t.position, t.began_at, {columns}, {relation}::bigint
FROM (VALUES (1)) one LEFT JOIN {whole} w ON true LEFT JOIN {tables} t ON true"""
_SAVE_WHOLE = """
INSERT INTO {} (generation, schema_version, snapshot_at, oldest_unproved_at, record)
VALUES (%(generation)s, %(schema_version)s, %(snapshot_at)s, %(oldest)s,
    to_regclass(%(record)s)::oid)
ON CONFLICT (one) DO UPDATE SET generation = excluded.generation,
    schema_version = excluded.schema_version, snapshot_at = excluded.snapshot_at,
    oldest_unproved_at = excluded.oldest_unproved_at, record = excluded.record"""
_SAVE_TABLE = """
INSERT INTO {} (name, epoch, position, began_at, proved_since, columns, relation)
VALUES (%(name)s, %(epoch)s, %(position)s, %(began_at)s, %(proved_since)s, %(columns)s,
    %(relation)s)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, position = excluded.position,
    began_at = excluded.began_at, proved_since = excluded.proved_since,
    columns = excluded.columns, relation = excluded.relation"""


@dataclass(frozen=True, slots=True)
class Proved:
    """How far the proof of a table has come; see the columns of the table above."""

    name: str
    epoch: str
    proved_since: datetime
    position: str | None = None
    began_at: datetime | None = None
    columns: tuple[str, ...] = ()
    relation: int | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the last run left; `tables` by name. stands: there is where to keep it.

    moved: the record itself was made anew, as by a restored dump, so that the numbers
    of relations in it mean nothing.
    """

    generation: str = ""
    schema_version: int = -1
    tables: dict[str, Proved] = field(default_factory=dict)
    stands: bool = False
    moved: bool = False

    def owns(self, table: str, relation: int) -> bool:
        """Whether an earlier run has filled the table that is `relation` now.

        Version 0.1 recorded names alone.
        """
        if table not in self.tables:
            return False
        recorded = self.tables[table].relation
        return self.moved or recorded is None or recorded == relation

    def brought(self, table: str) -> tuple[str, ...]:
        """The columns that the source had; none, if the table was never brought."""
        return self.tables[table].columns if table in self.tables else ()


def recall(target: Target) -> Remembered:
    """What the last run left; nothing, if there was none."""
    is_there, added = _standing(target)
    if not is_there:
        return Remembered()
    written = {
        "columns": "coalesce(t.columns, '{}')" if "columns" in added else "'{}'::text[]",
        "relation": "t.relation" if "relation" in added else "NULL",
        "record": "w.record" if "record" in added else "NULL::oid",
        "whole": _percent(target.named(_WHOLE)),
        "tables": _percent(target.named(_TABLES)),
    }
    names = {"tables": target.named(_TABLES)}
    found = target.execute(_RECALL.format(**written), names).fetchall()
    generation, schema_version, moved = found[0][:3]
    tables = {
        name: Proved(name, epoch, since, position, began_at, tuple(brought), relation)
        for _, _, _, name, epoch, since, position, began_at, brought, relation in found
        if name is not None
    }
    return Remembered(generation, schema_version, tables, set(_ADDED) <= added, moved)


def make(target: Target, remembered: Remembered) -> None:
    """Make the two tables, where they are missing."""
    if remembered.stands:
        return
    for name, statement in ((_WHOLE, _MAKE_WHOLE), (_TABLES, _MAKE_TABLES)):
        if not target.one("SELECT to_regclass(%(t)s) IS NOT NULL", {"t": target.named(name)})[0]:
            target.execute(statement.format(target.named(name)))
    added = _standing(target)[1]
    for table, column in ((_TABLES, "columns text[]"), (_TABLES, "relation oid"),
                          (_WHOLE, "record oid")):  # fmt: skip
        if column.split()[0] not in added:
            target.execute(f"ALTER TABLE {target.named(table)} ADD COLUMN {column}")


def save(
    target: Target,
    before: Remembered,
    generation: str,
    schema_version: int,
    snapshot_at: datetime,
    tables: Iterable[Proved],
) -> None:
    """Remember this run, in its transaction; `before`: what stands there."""
    oldest = snapshot_at
    for proved in tables:
        oldest = min(oldest, proved.proved_since)
        if proved == before.tables.get(proved.name):
            continue
        values = {name: getattr(proved, name) for name in Proved.__slots__}
        values["columns"] = list(proved.columns)
        target.execute(_SAVE_TABLE.format(_percent(target.named(_TABLES))), values)
    values = {
        "generation": generation,
        "schema_version": schema_version,
        "snapshot_at": snapshot_at,
        "oldest": oldest,
        "record": target.named(_TABLES),
    }
    target.execute(_SAVE_WHOLE.format(_percent(target.named(_WHOLE))), values)


def _standing(target: Target) -> tuple[bool, set[str]]:
    """Whether both tables are there, and the names of their columns."""
    names = {"whole": target.named(_WHOLE), "tables": target.named(_TABLES)}
    is_there, columns = target.one(_STANDING, names)
    return is_there, set(columns)


def _percent(name: str) -> str:
    # A name beside values: psycopg reads its percent signs.
    return name.replace("%", "%%")
