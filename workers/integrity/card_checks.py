"""Check the content of the two tables of a synced database.

Queries over a connection inside one snapshot. Each query uses only the columns that exist,
so that a different table is checked as far as possible and missing columns are reported.
SQL is built from our own names only.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from workers.backup import introspection
from workers.integrity.findings import SHOWN, Finding, Severity

SETS, CARDS = "pokemon_card_sets", "pokemon_cards"
REQUIRED: Mapping[str, Sequence[str]] = {
    SETS: ("id", "name", "series", "printed_total", "total", "release_date", "created_at"),
    CARDS: ("id", "name", "supertype", "set_id", "number"),
}
JSON: Mapping[str, Sequence[str]] = {
    SETS: ("legalities", "images"),
    CARDS: (
        *("subtypes", "types", "evolves_to", "rules", "abilities", "ancient_trait", "attacks"),
        *("weaknesses", "resistances", "retreat_cost", "national_pokedex_numbers"),
        *("legalities", "images"),
    ),
}

_EMPTY = "coalesce(trim({column}, ' ' || char(9, 10, 13)), '') = ''"
# CASE, because json_valid fails on a blob.
_NO_JSON = (
    "{column} IS NOT NULL"
    " AND CASE typeof({column}) WHEN 'blob' THEN 1 ELSE NOT json_valid({column}) END"
)
_ORPHANS = f"""
FROM {CARDS} AS cards WHERE NOT EXISTS (SELECT 1 FROM {SETS} WHERE id = cards.set_id)"""
# A total that is not an integer is reported by another check.
_CLAIMS = f"""
FROM {SETS} AS sets LEFT JOIN (
    SELECT set_id, COUNT(*) AS cards FROM {CARDS} GROUP BY set_id
) AS there ON there.set_id = sets.id
WHERE typeof(sets.total) = 'integer' AND COALESCE(there.cards, 0) {{comparison}} sets.total"""
_SHOWN_CLAIMS = "SELECT sets.id, COALESCE(there.cards, 0), sets.total"

Columns = Mapping[str, frozenset[str]]


def columns(connection: sqlite3.Connection) -> Columns:
    """Return the columns of those of the two tables that exist."""
    # SQLite's names have no case, and sync writes into such a table, too.
    there = {name.lower() for name in introspection.names(connection)} & {SETS, CARDS}
    return {
        table: frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        for table in there
    }


def lacking(known: Columns) -> Finding:
    """Return the missing tables and columns that the checks need."""
    absent = [table for table in (SETS, CARDS) if table not in known]
    for table, there in known.items():
        needed = (*REQUIRED[table], *JSON[table])
        absent += [f"{table}.{name}" for name in needed if name not in there]
    what = "tables or columns that are not there, and were not checked"
    return Finding("not_there", Severity.WARNING, len(absent), what, tuple(absent[:SHOWN]))


def empty_fields(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Return the required fields that are NULL or blank."""
    return _fields(connection, known, REQUIRED, _EMPTY, ("empty_fields", "empty required fields"))


def invalid_json(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Return the fields that are not JSON text."""
    return _fields(connection, known, JSON, _NO_JSON, ("invalid_json", "fields that hold no JSON"))


def orphans(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Return the cards whose set is missing."""
    name, what = "orphaned_cards", "cards without their set"
    if not _joinable(known):
        return Finding(name, Severity.FAILURE, 0, what)
    (count,) = connection.execute(f"SELECT COUNT(*) {_ORPHANS}").fetchone()
    found = connection.execute(f"SELECT id, set_id {_ORPHANS} LIMIT {SHOWN}")
    examples = tuple(f"{card} of {set_id}" for card, set_id in found)
    return Finding(name, Severity.FAILURE, count, what, examples)


def short_sets(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Return the sets with fewer cards than their total, as `base1 100/102`."""
    count, examples = _claims(connection, known, "<")
    what = "sets with fewer cards than they claim"
    return Finding("short_sets", Severity.WARNING, count, what, examples)


def fuller_sets(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Return the sets with more cards than their total, which real catalogues contain."""
    count, examples = _claims(connection, known, ">")
    what = "sets with more cards than they claim"
    return Finding("fuller_sets", Severity.NOTE, count, what, examples)


def _claims(
    connection: sqlite3.Connection, known: Columns, comparison: str
) -> tuple[int, tuple[str, ...]]:
    """Return how many sets' card counts compare so to their total, and the first of them."""
    if not _joinable(known) or "total" not in known[SETS]:
        return 0, ()
    sets = _CLAIMS.format(comparison=comparison)
    (count,) = connection.execute(f"SELECT COUNT(*) {sets}").fetchone()
    shown = connection.execute(f"{_SHOWN_CLAIMS} {sets} ORDER BY sets.id LIMIT {SHOWN}")
    return count, tuple(f"{set_id} {cards}/{total}" for set_id, cards, total in shown)


def _joinable(known: Columns) -> bool:
    return "id" in known.get(SETS, ()) and {"id", "set_id"} <= known.get(CARDS, frozenset())


def _fields(
    connection: sqlite3.Connection,
    known: Columns,
    looked_at: Mapping[str, Sequence[str]],
    condition: str,
    words: tuple[str, str],
) -> Finding:
    """Return the fields that meet `condition`, with one pass per table and one per example."""
    count, examples = 0, list[str]()
    for table, there in sorted(known.items()):
        wrong = {name: condition.format(column=name) for name in looked_at[table] if name in there}
        if not wrong:
            continue
        sums = ", ".join(f"COALESCE(SUM({test}), 0)" for test in wrong.values())
        found = connection.execute(f"SELECT {sums} FROM {table}").fetchone()
        count += sum(found)
        key = "id" if "id" in there else "NULL"
        for (name, test), number in zip(wrong.items(), found, strict=True):
            if number and len(examples) < SHOWN:
                rows = connection.execute(f"SELECT {key} FROM {table} WHERE {test} LIMIT {SHOWN}")
                examples += [f"{table}.{name} of {row[0]}" for row in rows]
    return Finding(words[0], Severity.FAILURE, count, words[1], tuple(examples[:SHOWN]))
