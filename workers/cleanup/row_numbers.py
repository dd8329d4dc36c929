"""Find the tables that VACUUM may renumber, and the indexes that hold their row numbers.

VACUUM gives the rows of a table without an INTEGER PRIMARY KEY new numbers
(sqlite.org/lang_vacuum.html). An index that holds the old ones (FTS with external or no
content, R*Tree) then returns other rows, or "malformed". Invariant: the schema decides, and
an index whose source it does not name counts as holding row numbers.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from workers import virtual_tables
from workers.virtual_tables import Virtual

_SHOWN = 3
# The only key without an index is an alias of the row number. This distinguishes
# `INTEGER PRIMARY KEY` from `INT PRIMARY KEY` and `INTEGER PRIMARY KEY DESC`. Tables made by
# SQLite, its modules (shadow tables) and this package hold no row numbers.
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
    """The parts of a schema that matter here. renumbered: tables that VACUUM may renumber."""

    renumbered: tuple[str, ...]
    views: frozenset[str]
    virtual: tuple[Virtual, ...]


def schema(connection: sqlite3.Connection) -> Schema:
    """Return the schema as far as row numbers are concerned."""
    renumbered = tuple(name for (name,) in connection.execute(_RENUMBERED))
    views = frozenset(name.lower() for (name,) in connection.execute(_VIEWS))
    return Schema(renumbered, views, virtual_tables.tables(connection))


def objection(found: Schema, may_renumber: bool) -> str:
    """Return why VACUUM must not renumber, or an empty string if it may. Pure.

    may_renumber: no program stores row numbers. Indexes that hold them are still an
    objection.
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
    """Return the table among `renumbered` whose row numbers the index holds; empty if none."""
    if not index.holds_row_numbers:
        return ""
    content = index.content.lower()
    if content in renumbered:
        return f"table {renumbered[content]}" if index.content_key in _ROW_NUMBERS else ""
    if content and content not in views:
        return ""
    # A view, or no content at all, does not tell which table the numbers refer to.
    first, *others = renumbered.values()
    return f"table {first}" + (f" (and {len(others)} more)" if others else "")


def _holder(index: Virtual) -> str:
    return f"and {index.module or 'virtual'} table {index.name} holds row numbers of other rows"
