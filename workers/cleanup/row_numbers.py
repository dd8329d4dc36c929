"""Which tables VACUUM may renumber, and what may hold their row numbers.

VACUUM gives the rows of a table without an INTEGER PRIMARY KEY new numbers
(sqlite.org/lang_vacuum.html). An index that holds the old ones - FTS with
external content or none, R*Tree - then finds other rows, or "malformed". The
law: the schema decides, and what it does not say counts as held.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from workers import virtual_tables
from workers.virtual_tables import Virtual

_SHOWN = 3
# An alias of the row number is the one key that SQLite builds no index for, which tells
# `INTEGER PRIMARY KEY` from `INT PRIMARY KEY` and `INTEGER PRIMARY KEY DESC`. What SQLite,
# its modules (shadow tables) and this package make for themselves holds no numbers.
_RENUMBERED = """
SELECT t.name FROM pragma_table_list AS t
WHERE t.schema = 'main' AND t.type = 'table' AND NOT t.wr
    AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND t.name NOT LIKE 'nightshift\\_%' ESCAPE '\\'
    AND NOT (EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE pk)
        AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) WHERE origin = 'pk'))
ORDER BY t.name"""
_VIEWS = "SELECT name FROM sqlite_master WHERE type = 'view'"
_ROW_NUMBERS = frozenset({"", "rowid", "_rowid_", "oid"})
_ALLOWED = "if no program keeps row numbers of such tables: vacuum_rowids: true"


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database has. renumbered: tables whose rows VACUUM may number anew."""

    renumbered: tuple[str, ...]
    views: frozenset[str]
    virtual: tuple[Virtual, ...]


def schema(connection: sqlite3.Connection) -> Schema:
    """Read the schema, as far as row numbers are concerned."""
    renumbered = tuple(name for (name,) in connection.execute(_RENUMBERED))
    views = frozenset(name.lower() for (name,) in connection.execute(_VIEWS))
    return Schema(renumbered, views, virtual_tables.tables(connection))


def objection(found: Schema, may_renumber: bool) -> str:
    """Say why VACUUM must not renumber; empty if it may. Pure.

    may_renumber: no program keeps row numbers. An index that holds them is one
    all the same.
    """
    if not found.renumbered:
        return ""
    by_name = {name.lower(): name for name in found.renumbered}
    for index in found.virtual:
        if held := _held(index, by_name, found.views):
            return f"VACUUM is left out: it may renumber the rows of {held}, {_holder(index)}"
    if may_renumber:
        return ""
    more = len(found.renumbered) - _SHOWN
    names = ", ".join(found.renumbered[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        f"VACUUM is left out: it may renumber the rows of tables without an INTEGER PRIMARY KEY"
        f" ({names}); {_ALLOWED}"
    )


def _held(index: Virtual, renumbered: Mapping[str, str], views: frozenset[str]) -> str:
    """The table among `renumbered` whose row numbers the index holds; empty if none."""
    if not index.holds_row_numbers:
        return ""
    content = index.content.lower()
    if content in renumbered:
        return f"table {renumbered[content]}" if index.content_key in _ROW_NUMBERS else ""
    if content and content not in views:
        return ""
    # A view, or nothing at all, does not say whose numbers they are.
    first, *others = renumbered.values()
    return f"table {first}" + (f" (and {len(others)} more)" if others else "")


def _holder(index: Virtual) -> str:
    return f"and {index.module or 'virtual'} table {index.name} holds row numbers of other rows"
