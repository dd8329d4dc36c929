"""What the two tables of a synced database must hold besides.

Queries over a connection inside one snapshot. Each looks at the columns that
are there, so that a table of another make is checked as far as it goes and
what it lacks is said. Texts of SQL are made of our own names only.
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
# CASE, since json_valid fails on a blob.
_NO_JSON = (
    "{column} IS NOT NULL"
    " AND CASE typeof({column}) WHEN 'blob' THEN 1 ELSE NOT json_valid({column}) END"
)
_ORPHANS = f"""
FROM {CARDS} AS cards WHERE NOT EXISTS (SELECT 1 FROM {SETS} WHERE id = cards.set_id)"""
# A claim that is no number is another check's business.
_CLAIMS = f"""
FROM {SETS} AS sets LEFT JOIN (
    SELECT set_id, COUNT(*) AS cards FROM {CARDS} GROUP BY set_id
) AS there ON there.set_id = sets.id
WHERE typeof(sets.total) = 'integer' AND COALESCE(there.cards, 0) {{comparison}} sets.total"""
_SHOWN_CLAIMS = "SELECT sets.id, COALESCE(there.cards, 0), sets.total"

Columns = Mapping[str, frozenset[str]]


def columns(connection: sqlite3.Connection) -> Columns:
    """The columns of those of the two tables that are there."""
    there = set(introspection.names(connection)) & {SETS, CARDS}
    return {
        table: frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        for table in there
    }


def lacking(known: Columns) -> Finding:
    """Columns, or one of the tables, that the checks would need."""
    absent = [table for table in (SETS, CARDS) if table not in known]
    for table, there in known.items():
        needed = (*REQUIRED[table], *JSON[table])
        absent += [f"{table}.{name}" for name in needed if name not in there]
    what = "tables or columns that are not there, and were not checked"
    return Finding("not_there", Severity.WARNING, len(absent), what, tuple(absent[:SHOWN]))


def empty_fields(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Required fields that are NULL or blank."""
    return _fields(connection, known, REQUIRED, _EMPTY, ("empty_fields", "empty required fields"))


def invalid_json(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Fields that hold something other than JSON text."""
    return _fields(connection, known, JSON, _NO_JSON, ("invalid_json", "fields that hold no JSON"))


def orphans(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Cards whose set is not there."""
    name, what = "orphaned_cards", "cards without their set"
    if not _joinable(known):
        return Finding(name, Severity.FAILURE, 0, what)
    (count,) = connection.execute(f"SELECT COUNT(*) {_ORPHANS}").fetchone()
    found = connection.execute(f"SELECT id, set_id {_ORPHANS} LIMIT {SHOWN}")
    examples = tuple(f"{card} of {set_id}" for card, set_id in found)
    return Finding(name, Severity.FAILURE, count, what, examples)


def short_sets(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Sets with fewer cards than their total claims, as `base1 100/102`."""
    count, examples = _claims(connection, known, "<")
    what = "sets with fewer cards than they claim"
    return Finding("short_sets", Severity.WARNING, count, what, examples)


def fuller_sets(connection: sqlite3.Connection, known: Columns) -> Finding:
    """Sets with more cards than their total claims, as real catalogues have them."""
    count, examples = _claims(connection, known, ">")
    what = "sets with more cards than they claim"
    return Finding("fuller_sets", Severity.NOTE, count, what, examples)


def _claims(
    connection: sqlite3.Connection, known: Columns, comparison: str
) -> tuple[int, tuple[str, ...]]:
    """How many sets' cards compare so to their claim, and the first of them."""
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
    """The fields that meet `condition`; one pass a table, another for what it found."""
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
