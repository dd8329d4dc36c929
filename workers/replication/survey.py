"""What a run would do, for a person who has not run it yet (`--dry-run`).

`survey` looks at every row of the source; `plan` is pure and writes the
lines: each column's declared type, the classes found, the type chosen, what
does not fit, and the `types:` block with which all would.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from workers.replication import fit, source, types
from workers.replication.fit import Misfit
from workers.replication.params import Params
from workers.replication.shape import Column, Table, Twin, Typed, key_text
from workers.replication.trouble import shown
from workers.replication.types import Chosen, Found


@dataclass(frozen=True, slots=True)
class Survey:
    """A table as a run would find it; `found` and `misfits` by column."""

    table: Table
    rows: int
    found: dict[str, Found]
    misfits: dict[str, Misfit]


def survey(connection: sqlite3.Connection, params: Params, name: str) -> Survey:
    """Everything about one table; reads every row of it."""
    table = source.read_table(connection, name)
    found = source.found_in(connection, table, table.columns)
    misfits = {}
    for column in table.columns:
        chosen = chosen_for(params, table, column, found)
        if not chosen.fits:
            key = tuple(Typed(c, "bigint") for c in table.key if c is not column)
            asked = bool(types.wanted_type(params.types, table.name, column.name))
            typed = Typed(column, types.long_word(chosen.type), asked)
            twin = Twin(table, (typed, *key), "")
            misfit = fit.first_misfit_of(connection, twin, typed)
            if misfit is not None:
                misfits[column.name] = misfit
    return Survey(table, source.count(connection, table), found, misfits)


def plan(params: Params, tables: Sequence[Survey]) -> tuple[str, ...]:
    """What a run would do, a line each; pure."""
    lines = [f"replicate {len(tables)} tables of {params.database} into schema {params.schema}"]
    block = []
    for seen in tables:
        keyed = ", ".join(c.name for c in seen.table.key)
        own = " (row numbers: the table has no key)" if seen.table.rowid else ""
        lines.append(f"table {seen.table.name}: {seen.rows} rows, key ({keyed}){own}")
        for column in seen.table.columns:
            chosen = chosen_for(params, seen.table, column, seen.found)
            lines.append(f"  {_line(column, seen.found[column.name], chosen)}")
            misfit = seen.misfits.get(column.name)
            if misfit is not None:
                lines.append(f"    does not fit: {_told(misfit)}")
            if not chosen.fits:
                fitting = types.suggest(seen.found[column.name])
                block.append(f'  "{seen.table.name}.{column.name}": {fitting}')
    if block:
        word = (
            "on_misfit: text widens them; or" if params.on_misfit == "fail" else "it widens them;"
        )
        lines += [f"{word} name types with which they pass:", "types:", *block]
    return tuple(lines)


def chosen_for(params: Params, table: Table, column: Column, found: dict[str, Found]) -> Chosen:
    """The type that a run would choose for a column."""
    wanted = types.wanted_type(params.types, table.name, column.name)
    return types.choose(column, found[column.name], wanted)


def _line(column: Column, found: Found, chosen: Chosen) -> str:
    declared = column.declared or "no type"
    classes = ", ".join(sorted(found.classes)) or "nothing"
    large = ", beyond 2^53" if found.large else ""
    return f"{column.name}: {declared}; found {classes}{large} -> {chosen.type}"


def _told(misfit: Misfit) -> str:
    value = misfit.value
    if isinstance(value, bytes) and misfit.found == "text":
        value = value.decode(errors="replace")
    return f"{misfit.found}{shown(value)} in the row with key ({key_text(misfit.key)})"
