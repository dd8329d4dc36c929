"""The plan of a run for `--dry-run`: what a run would do.

`survey` reads every row of the source. `plan` is pure and returns the lines: each column's
declared type, the storage classes found, the type chosen, what does not fit, and a `types:`
block with which everything fits. What only PostgreSQL can tell is in `trial_load.py`.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.replication import column_settings, source, type_mapping, value_fit
from workers.replication.errors import ReplicationError, shown
from workers.replication.settings import ColumnSettings, Settings
from workers.replication.tables import ROWID, Column, MappedColumn, Table, TablePair, key_text
from workers.replication.target_schema import TargetColumn
from workers.replication.type_mapping import Chosen, Found
from workers.replication.value_fit import Misfit
from workers.units import format_count


@dataclass(frozen=True, slots=True)
class TableSurvey:
    """A table as a run would find it; `found`, `chosen` and `misfits` by column.

    problems: what would make the run fail, besides the misfits.
    """

    table: Table
    rows: int
    found: dict[str, Found]
    chosen: dict[str, Chosen]
    misfits: dict[str, Misfit]
    problems: tuple[str, ...] = ()


def survey(
    connection: sqlite3.Connection,
    settings: ColumnSettings,
    name: str,
    present: Mapping[str, TargetColumn],
) -> TableSurvey:
    """Survey one table by reading all of its rows. present: the target's columns.

    Raises:
        ReplicationError: the table cannot exist in PostgreSQL.
    """
    by_rowid = (ROWID in present) if present else None
    table = column_settings.selected(source.read_table(connection, name, by_rowid), settings)
    column_settings.refuse_names(table)
    found = source.found_in(connection, table, table.columns)
    chosen = {c.name: _chosen(c, found[c.name], present.get(c.name)) for c in table.columns}
    misfits = {}
    for column in table.columns:
        if not chosen[column.name].fits:
            misfit = _first(connection, table, column, chosen[column.name])
            if misfit is not None:
                misfits[column.name] = misfit
    return TableSurvey(table, source.count(connection, table), found, chosen, misfits)


def refused(name: str, failure: ReplicationError) -> TableSurvey:
    """Return the survey of a table that cannot be replicated."""
    return TableSurvey(Table(name, ()), 0, {}, {}, {}, (str(failure),))


def plan(settings: Settings, tables: Sequence[TableSurvey]) -> tuple[str, ...]:
    """Return the lines of the plan; pure."""
    count, source = format_count(len(tables), "table"), settings.source
    lines = [f"replicate {count} of {source.database} into schema {settings.destination.schema}"]
    block = []
    for seen in tables:
        lines += [*_head(seen), *(f"  would fail: {problem}" for problem in seen.problems)]
        for column in seen.table.columns:
            chosen = seen.chosen[column.name]
            lines.append(f"  {_line(column, seen.found[column.name], chosen)}")
            misfit = seen.misfits.get(column.name)
            if misfit is not None:
                lines.append(f"    does not fit: {_describe(misfit)}")
            if not chosen.fits:
                fitting = type_mapping.suggest(seen.found[column.name])
                block.append(f'  "{seen.table.name}.{column.called}": {fitting}')
    if block:
        word = "it widens them;" if settings.widens else "on_misfit: text widens them; or"
        lines += [f"{word} name types with which they pass:", "types:", *block]
    return tuple(lines)


def _chosen(column: Column, found: Found, there: TargetColumn | None) -> Chosen:
    """Return the type that a run would choose for a column, or that the target prescribes."""
    if there is None:
        return type_mapping.choose(column, found)
    typed = MappedColumn(column, there.type, bool(column.wanted))
    if found.classes <= type_mapping.classes_held(typed, found.large):
        return Chosen(there.type, True)
    wider = type_mapping.wider(column, there.type, found)
    return Chosen(wider or there.type, bool(wider))


def _first(
    connection: sqlite3.Connection, table: Table, column: Column, chosen: Chosen
) -> Misfit | None:
    key = tuple(MappedColumn(c, "bigint") for c in table.key if c is not column)
    typed = MappedColumn(column, type_mapping.long_word(chosen.type), bool(column.wanted))
    return value_fit.first_misfit_of(connection, TablePair(table, (typed, *key), ""), typed)


def _head(seen: TableSurvey) -> list[str]:
    if not seen.table.columns:
        return [f"table {seen.table.name}"]
    keyed = ", ".join(c.name for c in seen.table.key)
    own = " (row numbers: the table has no key)" if seen.table.rowid else ""
    head = f"table {seen.table.name}: {format_count(seen.rows, 'row')}, key ({keyed}){own}"
    excluded = ", ".join(seen.table.excluded)
    return [head, f"  excluded: {excluded}"] if excluded else [head]


def _line(column: Column, found: Found, chosen: Chosen) -> str:
    declared = column.declared or "no type"
    classes = ", ".join(sorted(found.classes)) or "nothing"
    large = ", beyond 2^53" if found.large else ""
    name = f"{column.called} as {column.name}" if column.origin else column.name
    return f"{name}: {declared}; found {classes}{large} -> {chosen.type}"


def _describe(misfit: Misfit) -> str:
    value = misfit.value
    if isinstance(value, bytes) and misfit.found == "text":
        value = value.decode(errors="replace")
    return f"{misfit.found}{shown(value)} in the row with key ({key_text(misfit.key)})"
