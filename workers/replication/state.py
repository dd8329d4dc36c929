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
    oldest_unproved_at timestamptz NOT NULL
)"""
_MAKE_TABLES = """
CREATE TABLE {} (
    name text PRIMARY KEY,
    epoch text NOT NULL, -- of its triggers, empty without
    position text, -- the key up to which the rolling proof has come, as JSON
    began_at timestamptz, -- when the proof was at its first row
    proved_since timestamptz NOT NULL, -- every row was proved at or after this
    columns text[] -- those that the source had; any other is somebody else's
)"""
# What 1.0 made had no columns; asked first, since only the table's owner may add one.
_STANDING = """
SELECT to_regclass(%(whole)s) IS NOT NULL AND to_regclass(%(tables)s) IS NOT NULL,
    EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%(tables)s)
        AND attname = 'columns' AND NOT attisdropped)"""
# One line at least, whatever is there.
_RECALL = """
SELECT coalesce(w.generation, ''), coalesce(w.schema_version, -1),
    t.name, t.epoch, t.proved_since, t.position, t.began_at, {columns}
FROM (VALUES (1)) one LEFT JOIN {whole} w ON true LEFT JOIN {tables} t ON true"""
_SAVE_WHOLE = """
INSERT INTO {} (generation, schema_version, snapshot_at, oldest_unproved_at)
VALUES (%(generation)s, %(schema_version)s, %(snapshot_at)s, %(oldest)s)
ON CONFLICT (one) DO UPDATE SET generation = excluded.generation,
    schema_version = excluded.schema_version, snapshot_at = excluded.snapshot_at,
    oldest_unproved_at = excluded.oldest_unproved_at"""
_SAVE_TABLE = """
INSERT INTO {} (name, epoch, position, began_at, proved_since, columns)
VALUES (%(name)s, %(epoch)s, %(position)s, %(began_at)s, %(proved_since)s, %(columns)s)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, position = excluded.position,
    began_at = excluded.began_at, proved_since = excluded.proved_since,
    columns = excluded.columns"""


@dataclass(frozen=True, slots=True)
class Proved:
    """How far the proof of a table has come; see the columns of the table above."""

    name: str
    epoch: str
    proved_since: datetime
    position: str | None = None
    began_at: datetime | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the last run left; `tables` by name. stands: there is where to keep it."""

    generation: str = ""
    schema_version: int = -1
    tables: dict[str, Proved] = field(default_factory=dict)
    stands: bool = False

    def brought(self, table: str) -> tuple[str, ...]:
        """The columns that the source had; none, if the table was never brought."""
        return self.tables[table].columns if table in self.tables else ()


def recall(target: Target) -> Remembered:
    """What the last run left; nothing, if there was none."""
    is_there, has_columns = _standing(target)
    if not is_there:
        return Remembered()
    columns = "coalesce(t.columns, '{}')" if has_columns else "'{}'::text[]"
    names = {"columns": columns, "whole": target.named(_WHOLE), "tables": target.named(_TABLES)}
    found = target.execute(_RECALL.format(**names)).fetchall()
    generation, schema_version = found[0][:2]
    tables = {
        name: Proved(name, epoch, since, position, began_at, tuple(brought))
        for _, _, name, epoch, since, position, began_at, brought in found
        if name is not None
    }
    return Remembered(generation, schema_version, tables, has_columns)


def make(target: Target, remembered: Remembered) -> None:
    """Make the two tables, where they are missing."""
    if remembered.stands:
        return
    for name, statement in ((_WHOLE, _MAKE_WHOLE), (_TABLES, _MAKE_TABLES)):
        if not target.one("SELECT to_regclass(%(t)s) IS NOT NULL", {"t": target.named(name)})[0]:
            target.execute(statement.format(target.named(name)))
    if not _standing(target)[1]:
        target.execute(f"ALTER TABLE {target.named(_TABLES)} ADD COLUMN columns text[]")


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
    }
    target.execute(_SAVE_WHOLE.format(_percent(target.named(_WHOLE))), values)


def _standing(target: Target) -> tuple[bool, bool]:
    """Whether both tables are there, and whether the second has columns."""
    names = {"whole": target.named(_WHOLE), "tables": target.named(_TABLES)}
    is_there, has_columns = target.one(_STANDING, names)
    return is_there, has_columns


def _percent(name: str) -> str:
    # A name beside values: psycopg reads its percent signs.
    return name.replace("%", "%%")
