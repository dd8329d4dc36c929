"""Apply `exclude`, `rename` and `types` to the columns of a table; pure.

Their entries name a column as `table.column`, with the source's names.
Invariant: an unknown name is an error, and so is a name that PostgreSQL cannot give to a
column.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from workers.replication.errors import ReplicationError
from workers.replication.params import LONGEST_NAME_BYTES
from workers.replication.settings import ColumnSettings
from workers.replication.tables import Column, Table

# System columns, which every table of PostgreSQL has.
_SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
# Prefix of the columns that are added to temporary tables.
_OURS = "nightshift_"
_MOST_COLUMNS = 1600


def refuse_unknown(settings: ColumnSettings, known: Mapping[str, Sequence[str]]) -> None:
    """Refuse an entry of `exclude`, `rename` or `types` that names no column of `known`.

    Raises:
        ReplicationError: there is one; the message suggests the nearest name.
    """
    places = {f"{table}.{column}" for table, columns in known.items() for column in columns}
    asked = (
        ("exclude", [name for name in settings.exclude if name not in known]),
        ("rename", list(settings.rename)),
        ("types", list(settings.types)),
    )
    for key, names in asked:
        for name in names:
            if name not in places:
                raise ReplicationError(_unknown(key, name, known, places))


def selected(table: Table, settings: ColumnSettings) -> Table:
    """Return `table` without its excluded columns, the others with requested names and types.

    Raises:
        ReplicationError: a column of the key is excluded.
    """
    kept, excluded = [], []
    for column in table.columns:
        place = f"{table.name}.{column.called}"
        if place in settings.exclude:
            if column.key:
                raise ReplicationError(
                    f"exclude: {place} is part of the key of table {table.name}, which tells its"
                    " rows apart; exclude the table"
                )
            excluded.append(column.called)
        else:
            kept.append(_as_asked(column, place, settings))
    return replace(table, columns=tuple(kept), excluded=tuple(excluded))


def refuse_names(table: Table) -> None:
    """Refuse a table or column whose name is not possible in PostgreSQL.

    Raises:
        ReplicationError: the message has the first such name, and what to do.
    """
    if not _fits(table.name):
        raise ReplicationError(
            f"table {table.name}: the name {table.name!r} does not fit into PostgreSQL's"
            f" 1 to {LONGEST_NAME_BYTES} bytes; rename it in the database or exclude the table"
        )
    for column in table.columns:
        _refuse_name(table, column)
    twice = [name for name, n in Counter(c.name for c in table.columns).items() if n > 1]
    if twice:
        raise ReplicationError(
            f"table {table.name}: two columns would be called {twice[0]} in PostgreSQL; give one"
            " another name (rename:)"
        )
    if len(table.columns) > _MOST_COLUMNS:
        raise ReplicationError(
            f"table {table.name} has {len(table.columns)} columns, and a table of PostgreSQL at"
            f" most {_MOST_COLUMNS}; exclude columns (exclude: [{table.name}.COLUMN]) or the table"
        )


def _refuse_name(table: Table, column: Column) -> None:
    name = column.name
    if not _fits(name):
        why = f"the name {name!r} does not fit into PostgreSQL's 1 to {LONGEST_NAME_BYTES} bytes"
    elif name in _SYSTEM:
        why = f"column {name} is called like a system column that every table of PostgreSQL has"
    elif name.startswith(_OURS) and not (column.key and table.rowid):
        why = f"column {name} is called like those that replication keeps for itself"
    else:
        return
    place = f"{table.name}.{column.called}"
    raise ReplicationError(
        f"table {table.name}: {why}; give it another (rename: {{{place}: NAME}}) or leave it out"
        f" (exclude: [{place}])"
    )


def _as_asked(column: Column, place: str, settings: ColumnSettings) -> Column:
    wanted = settings.types.get(place, "")
    name = settings.rename.get(place, column.name)
    origin = column.called if name != column.called else ""
    escaped = settings.escapes and wanted.strip().lower() == "text"
    return replace(column, name=name, origin=origin, wanted=wanted, escaped=escaped)


def _fits(name: str) -> bool:
    return bool(name) and "\0" not in name and len(name.encode()) <= LONGEST_NAME_BYTES


def _unknown(
    key: str, name: str, known: Mapping[str, Sequence[str]], places: Iterable[str]
) -> str:
    candidates = [*places, *known] if key == "exclude" else list(places)
    near = difflib.get_close_matches(name, candidates, 1)
    table = next((t for t in sorted(known, key=len, reverse=True) if name.startswith(f"{t}.")), "")
    if near:
        hint = f'did you mean "{near[0]}"?'
    elif table:
        hint = f"table {table} has {', '.join(known[table])[:300]}"
    else:
        hint = f"the tables are {', '.join(known)[:300]}"
    if key == "exclude":
        return f"exclude: no table or column {name}; {hint}"
    return f'{key}: expected "table.column" of a table that is there, got "{name}"; {hint}'
