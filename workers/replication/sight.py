"""What a run works on: a snapshot of the source, its tables beside what the target has.

The law: with `capture: triggers` the triggers stand in the very snapshot whose
rows are read, so that no log of changes is believed which somebody has cut off.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.replication import choice, columns, guard, source, triggers, twins
from workers.replication.params import Params
from workers.replication.shape import ROWID, Table
from workers.replication.state import Remembered
from workers.replication.target import Target
from workers.replication.trouble import Trouble
from workers.replication.twins import Present
from workers.report import Report


@dataclass(frozen=True, slots=True)
class Pair:
    """A table of the source, and the columns that stand in the target; none: no table yet."""

    table: Table
    present: Mapping[str, Present]

    @property
    def relation(self) -> int:
        """The number of the target's table; 0: there is none yet."""
        return next((column.relation for column in self.present.values()), 0)


@dataclass(frozen=True, slots=True)
class Sight:
    """A snapshot that was taken at or after `at`, and the tables to bring.

    adopted: those of them that hold rows which no run has written.
    """

    connection: sqlite3.Connection
    at: datetime
    pairs: Sequence[Pair]
    adopted: Collection[str]


@contextmanager
def taken(
    params: Params, target: Target, report: Report, remembered: Remembered
) -> Iterator[Sight]:
    """A snapshot in which every table has its triggers, if there are to be any.

    Those that are missing are made, and begin a new epoch; a second snapshot has them.

    Raises:
        DatabaseTrouble: the source cannot be opened, or not be written for its triggers.
        Trouble: a table is not there, or cannot stand in the target, or holds rows
            there that are not ours; or the triggers did not last until the second snapshot.
    """
    at = datetime.now(UTC)
    with source.snapshot(params, lambda: report.cancelled) as connection:
        names = choice.chosen(connection, params, report)
        pairs = beside(connection, target, names, params)
        tables = [pair.table for pair in pairs]
        foreign = guard.foreign_tables(
            target, {pair.table.name: pair.relation for pair in pairs}, remembered
        )
        guard.refuse_foreign(target, foreign, params.adopt)
        if foreign:
            report.log(f"adopted, with rows that no run has written: {', '.join(foreign)[:500]}")
        if params.capture == "compare":
            choice.tell_leftovers(connection, report)
        if params.capture == "compare" or triggers.stand(connection, tables):
            yield Sight(connection, at, pairs, foreign)
            return
    made = triggers.prepare(params.database, tables)
    if made:
        report.log(f"made triggers that log changes on {', '.join(made)[:500]}")
    at = datetime.now(UTC)
    with source.snapshot(params, lambda: report.cancelled) as connection:
        pairs = beside(connection, target, names, params)
        if not triggers.stand(connection, [pair.table for pair in pairs]):
            raise Trouble(
                f"the triggers just made in {params.database} are gone or others: another program"
                " changes its schema now; the next run makes them again",
                permanent=False,
            )
        yield Sight(connection, at, pairs, foreign)


def beside(
    connection: sqlite3.Connection, target: Target, names: Sequence[str], params: Params
) -> list[Pair]:
    """The tables called so, as both sides have them.

    Raises:
        Trouble: a table cannot stand in the target.
    """
    present = twins.columns_of_all(target, names)
    tables = [
        columns.selected(
            source.read_table(connection, name, (ROWID in there) if there else None), params
        )
        for name, there in present.items()
    ]
    for table in tables:
        # Cut to what PostgreSQL takes, it would be another table's name.
        columns.refuse_names(table)
    return [Pair(table, present[table.name]) for table in tables]
