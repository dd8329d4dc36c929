"""What a run would do, for a person who has not run it yet (`--dry-run`).

`survey` looks at every row of the source; `plan` is pure and writes the
lines: each column's declared type, the classes found, the type chosen, what
does not fit, and the `types:` block with which all would. What only PostgreSQL
can say is for `rehearsal.py`.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.replication import columns, fit, source, types
from workers.replication.fit import Misfit
from workers.replication.params import Params
from workers.replication.shape import ROWID, Column, Table, Twin, Typed, key_text
from workers.replication.trouble import Trouble, shown
from workers.replication.twins import Present
from workers.replication.types import Chosen, Found


@dataclass(frozen=True, slots=True)
class Survey:
    """A table as a run would find it; `found`, `chosen` and `misfits` by column.

    problems: what would end the run, beside the misfits.
    """

    table: Table
    rows: int
    found: dict[str, Found]
    chosen: dict[str, Chosen]
    misfits: dict[str, Misfit]
    problems: tuple[str, ...] = ()


def survey(
    connection: sqlite3.Connection, params: Params, name: str, present: Mapping[str, Present]
) -> Survey:
    """Everything about one table; reads every row of it. present: the target's columns.

    Raises:
        Trouble: the table cannot stand in PostgreSQL.
    """
    by_rowid = (ROWID in present) if present else None
    table = columns.selected(source.read_table(connection, name, by_rowid), params)
    columns.refuse_names(table)
    found = source.found_in(connection, table, table.columns)
    chosen = {c.name: _chosen(c, found[c.name], present.get(c.name)) for c in table.columns}
    misfits = {}
    for column in table.columns:
        if not chosen[column.name].fits:
            misfit = _first(connection, table, column, chosen[column.name])
            if misfit is not None:
                misfits[column.name] = misfit
    return Survey(table, source.count(connection, table), found, chosen, misfits)


def refused(name: str, trouble: Trouble) -> Survey:
    """What is known of a table that cannot be replicated."""
    return Survey(Table(name, ()), 0, {}, {}, {}, (str(trouble),))


def plan(params: Params, tables: Sequence[Survey]) -> tuple[str, ...]:
    """What a run would do, a line each; pure."""
    lines = [f"replicate {len(tables)} tables of {params.database} into schema {params.schema}"]
    block = []
    for seen in tables:
        lines += [*_head(seen), *(f"  would fail: {problem}" for problem in seen.problems)]
        for column in seen.table.columns:
            chosen = seen.chosen[column.name]
            lines.append(f"  {_line(column, seen.found[column.name], chosen)}")
            misfit = seen.misfits.get(column.name)
            if misfit is not None:
                lines.append(f"    does not fit: {_told(misfit)}")
            if not chosen.fits:
                fitting = types.suggest(seen.found[column.name])
                block.append(f'  "{seen.table.name}.{column.called}": {fitting}')
    if block:
        word = (
            "it widens them;" if params.on_misfit == "text" else "on_misfit: text widens them; or"
        )
        lines += [f"{word} name types with which they pass:", "types:", *block]
    return tuple(lines)


def _chosen(column: Column, found: Found, there: Present | None) -> Chosen:
    """The type that a run would choose for a column, or has to take."""
    if there is None:
        return types.choose(column, found)
    typed = Typed(column, there.type, bool(column.wanted))
    if found.classes <= types.classes_held(typed, found.large):
        return Chosen(there.type, True)
    wider = types.wider(column, there.type, found)
    return Chosen(wider or there.type, bool(wider))


def _first(
    connection: sqlite3.Connection, table: Table, column: Column, chosen: Chosen
) -> Misfit | None:
    key = tuple(Typed(c, "bigint") for c in table.key if c is not column)
    typed = Typed(column, types.long_word(chosen.type), bool(column.wanted))
    return fit.first_misfit_of(connection, Twin(table, (typed, *key), ""), typed)


def _head(seen: Survey) -> list[str]:
    if not seen.table.columns:
        return [f"table {seen.table.name}"]
    keyed = ", ".join(c.name for c in seen.table.key)
    own = " (row numbers: the table has no key)" if seen.table.rowid else ""
    head = f"table {seen.table.name}: {seen.rows} rows, key ({keyed}){own}"
    excluded = ", ".join(seen.table.excluded)
    return [head, f"  excluded: {excluded}"] if excluded else [head]


def _line(column: Column, found: Found, chosen: Chosen) -> str:
    declared = column.declared or "no type"
    classes = ", ".join(sorted(found.classes)) or "nothing"
    large = ", beyond 2^53" if found.large else ""
    name = f"{column.called} as {column.name}" if column.origin else column.name
    return f"{name}: {declared}; found {classes}{large} -> {chosen.type}"


def _told(misfit: Misfit) -> str:
    value = misfit.value
    if isinstance(value, bytes) and misfit.found == "text":
        value = value.decode(errors="replace")
    return f"{misfit.found}{shown(value)} in the row with key ({key_text(misfit.key)})"
