"""What a run works on: a snapshot of the source, and its tables paired with the target's.

Enter at `taken`; `beside` pairs tables without any check of ownership.
Invariant: with `capture: triggers` the triggers exist in the same snapshot whose rows are
read. A change log whose triggers were removed meanwhile is never trusted.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.replication import (
    change_log,
    column_settings,
    deletion_guard,
    source,
    table_selection,
    target_schema,
)
from workers.replication.errors import ReplicationError
from workers.replication.settings import ColumnSettings, Source
from workers.replication.tables import ROWID, Table
from workers.replication.target import Target
from workers.replication.target_schema import TargetColumn
from workers.replication.watermark import SavedState
from workers.report import Report


@dataclass(frozen=True, slots=True)
class Pair:
    """A source table, and the columns that its target table has (empty: no target table yet)."""

    table: Table
    present: Mapping[str, TargetColumn]

    @property
    def relation(self) -> int:
        """Return the OID of the target table, or 0 if there is none yet."""
        return next((column.relation for column in self.present.values()), 0)


@dataclass(frozen=True, slots=True)
class Session:
    """A snapshot taken at or after `at`, and the tables to replicate.

    adopted: names of the tables that hold rows which no run has written.
    """

    connection: sqlite3.Connection
    at: datetime
    pairs: Sequence[Pair]
    adopted: Collection[str]


@contextmanager
def taken(
    wanted: Source, target: Target, report: Report, remembered: SavedState
) -> Iterator[Session]:
    """Yield a session in which every table has its triggers, if `capture` needs them.

    Missing triggers are created, which begins a new epoch; a second snapshot then includes them.

    Raises:
        DatabaseError: the source cannot be opened, or its triggers cannot be written.
        ReplicationError: a table is missing, cannot exist in the target, or has rows there that
            no run has written; or the new triggers were gone in the second snapshot.
    """
    at = datetime.now(UTC)
    with source.snapshot(wanted.database, lambda: report.cancelled) as connection:
        names = table_selection.chosen(connection, wanted, report)
        pairs = beside(connection, target, names, wanted.columns)
        tables = [pair.table for pair in pairs]
        foreign = deletion_guard.foreign_tables(
            target, {pair.table.name: pair.relation for pair in pairs}, remembered
        )
        deletion_guard.refuse_foreign(target, foreign, wanted.tables.adopt)
        if foreign:
            report.log(f"adopted, with rows that no run has written: {', '.join(foreign)[:500]}")
        if not wanted.triggers:
            table_selection.tell_leftovers(connection, report)
        if not wanted.triggers or change_log.stand(connection, tables):
            yield Session(connection, at, pairs, foreign)
            return
    made = change_log.prepare(wanted.database, tables)
    if made:
        report.log(f"made triggers that log changes on {', '.join(made)[:500]}")
    at = datetime.now(UTC)
    with source.snapshot(wanted.database, lambda: report.cancelled) as connection:
        pairs = beside(connection, target, names, wanted.columns)
        if not change_log.stand(connection, [pair.table for pair in pairs]):
            raise ReplicationError(
                f"the triggers just made in {wanted.database} are gone or others: another program"
                " changes its schema now; the next run makes them again",
                permanent=False,
            )
        yield Session(connection, at, pairs, foreign)


def beside(
    connection: sqlite3.Connection, target: Target, names: Sequence[str], settings: ColumnSettings
) -> list[Pair]:
    """Return the named tables as they are on both sides.

    Raises:
        ReplicationError: a table cannot exist in the target.
    """
    present = target_schema.columns_of_all(target, names)
    tables = [
        column_settings.selected(
            source.read_table(connection, name, (ROWID in there) if there else None), settings
        )
        for name, there in present.items()
    ]
    for table in tables:
        # PostgreSQL truncates long names, so two tables could get the same name.
        column_settings.refuse_names(table)
    return [Pair(table, present[table.name]) for table in tables]
