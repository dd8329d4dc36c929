"""The state that the target keeps between runs, committed together with the rows.

It is in two tables of the schema itself: one with a single row, one with a row per table.
Read it with `recall`, write it with `save`.
Invariant: the state is only written in the transaction that writes the rows.
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
    generation text NOT NULL, -- of the source, see workers/replication/change_log.py
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
    columns text[], -- those that the source had; others belong to someone else
    relation oid -- of the table that was filled; another one of its name is not ours
)"""
# Columns of later versions; checked first, because only the owner may add a column.
_ADDED = "columns", "relation", "record"
_STANDING = """
SELECT to_regclass(%(whole)s) IS NOT NULL AND to_regclass(%(tables)s) IS NOT NULL,
    ARRAY(SELECT attname::text FROM pg_attribute WHERE NOT attisdropped
        AND attrelid IN (to_regclass(%(tables)s), to_regclass(%(whole)s)))"""
# Returns at least one row, even if both tables are empty.
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
class TableProof:
    """How far the proof of a table has come; see the columns in `_MAKE_TABLES`."""

    name: str
    epoch: str
    proved_since: datetime
    position: str | None = None
    began_at: datetime | None = None
    columns: tuple[str, ...] = ()
    relation: int | None = None


@dataclass(frozen=True, slots=True)
class SavedState:
    """The state left by the last run; tables by name. stands: both tables exist with all columns.

    moved: the state table itself was created anew, as by a restored dump, so that the recorded
    OIDs are meaningless.
    """

    generation: str = ""
    schema_version: int = -1
    tables: dict[str, TableProof] = field(default_factory=dict)
    stands: bool = False
    moved: bool = False

    def owns(self, table: str, relation: int) -> bool:
        """Return whether an earlier run filled the target table whose OID is `relation`.

        Version 0.1 recorded only names.
        """
        if table not in self.tables:
            return False
        recorded = self.tables[table].relation
        return self.moved or recorded is None or recorded == relation

    def brought(self, table: str) -> tuple[str, ...]:
        """Return the source's columns in the last run; empty if the table was never replicated."""
        return self.tables[table].columns if table in self.tables else ()


def recall(target: Target) -> SavedState:
    """Return the state left by the last run; empty if there was none."""
    is_there, added = _standing(target)
    if not is_there:
        return SavedState()
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
        name: TableProof(name, epoch, since, position, began_at, tuple(brought), relation)
        for _, _, _, name, epoch, since, position, began_at, brought, relation in found
        if name is not None
    }
    return SavedState(generation, schema_version, tables, set(_ADDED) <= added, moved)


def make(target: Target, remembered: SavedState) -> None:
    """Create the two tables, or add their columns, where they are missing."""
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
    before: SavedState,
    generation: str,
    schema_version: int,
    snapshot_at: datetime,
    tables: Iterable[TableProof],
) -> None:
    """Save the state of this run, in its transaction; `before`: the saved state."""
    oldest = snapshot_at
    for proved in tables:
        oldest = min(oldest, proved.proved_since)
        if proved == before.tables.get(proved.name):
            continue
        values = {name: getattr(proved, name) for name in TableProof.__slots__}
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
    """Return whether both tables exist, and the names of their columns."""
    names = {"whole": target.named(_WHOLE), "tables": target.named(_TABLES)}
    is_there, columns = target.one(_STANDING, names)
    return is_there, set(columns)


def _percent(name: str) -> str:
    # With parameters, psycopg interprets percent signs, so those of a name are doubled.
    return name.replace("%", "%%")
