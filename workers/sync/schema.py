"""The tables of a synced database, as SQL and as the required columns.

Pure: texts, and checks of the output of PRAGMA table_info. Invariant: an existing table is
used only if every column we write has the type that keeps our values unchanged; tables of
other programs are never altered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.sync.rows import CARD_COLUMNS, SET_COLUMNS

# Lists and objects are JSON text; dates are text as in the catalogue.
SETS = """
CREATE TABLE IF NOT EXISTS pokemon_card_sets (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    series        TEXT NOT NULL,
    printed_total INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    legalities    TEXT,
    ptcgo_code    TEXT,
    release_date  TEXT NOT NULL,
    updated_at    TEXT,
    images        TEXT,
    created_at    TEXT NOT NULL -- when the row was added here, UTC
)"""

CARDS = """
CREATE TABLE IF NOT EXISTS pokemon_cards (
    id                       TEXT PRIMARY KEY NOT NULL,
    name                     TEXT NOT NULL,
    supertype                TEXT NOT NULL,
    subtypes                 TEXT,
    level                    TEXT,
    hp                       INTEGER,
    types                    TEXT,
    evolves_from             TEXT,
    evolves_to               TEXT,
    rules                    TEXT,
    abilities                TEXT,
    ancient_trait            TEXT,
    attacks                  TEXT,
    weaknesses               TEXT,
    resistances              TEXT,
    retreat_cost             TEXT,
    converted_retreat_cost   INTEGER,
    set_id                   TEXT NOT NULL REFERENCES pokemon_card_sets (id),
    number                   TEXT NOT NULL, -- TG01 is one
    artist                   TEXT,
    rarity                   TEXT,
    flavor_text              TEXT,
    regulation_mark          TEXT,
    national_pokedex_numbers TEXT,
    legalities               TEXT,
    images                   TEXT,
    tcgplayer_url            TEXT,
    cardmarket_url           TEXT
)"""

CARDS_BY_SET = "CREATE INDEX IF NOT EXISTS pokemon_cards_by_set ON pokemon_cards (set_id)"

# The digest of the document from which each set's rows were written, in one transaction.
MEMORY = """
CREATE TABLE IF NOT EXISTS nightshift_sync (
    set_id  TEXT PRIMARY KEY NOT NULL,
    digest  TEXT NOT NULL, -- of the document, see source.digest
    entries INTEGER NOT NULL -- how many cards it lists
) WITHOUT ROWID"""

_FORGET = "DELETE FROM nightshift_sync WHERE set_id ="

# If another program changes rows, these triggers forget the digest of the set, so that
# the next run compares the rows again. They cost 1 microsecond per row; comparing all
# rows in every run would cost 0.3 s.
TRIGGERS = {
    name: f"CREATE TRIGGER {name} AFTER {event} ON pokemon_cards BEGIN {' '.join(forget)} END"
    for name, event, forget in (
        ("nightshift_sync_insert", "INSERT", [f"{_FORGET} new.set_id;"]),
        ("nightshift_sync_delete", "DELETE", [f"{_FORGET} old.set_id;"]),
        (
            "nightshift_sync_update",
            "UPDATE",
            [f"{_FORGET} old.set_id;", f"{_FORGET} new.set_id;"],
        ),
    )
}

_INTEGERS = {"printed_total", "total", "hp", "converted_retreat_cost"}
DEMANDED: Mapping[str, Sequence[str]] = {
    "pokemon_card_sets": (*SET_COLUMNS, "created_at"),
    "pokemon_cards": CARD_COLUMNS,
    "nightshift_sync": ("set_id", "digest", "entries"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One line of PRAGMA table_info; `key` counts from 1, and 0 means no key."""

    name: str
    declared: str
    required: bool
    key: int


def misfit(table: str, columns: Sequence[Column]) -> str | None:
    """Return why we must not write to `table` with these columns, or None if we may."""
    present = {column.name: column for column in columns}
    missing = [name for name in DEMANDED[table] if name not in present]
    if missing:
        return f"has a table {table} without {', '.join(missing)}"
    for name in DEMANDED[table]:
        expected = "INTEGER" if name in _INTEGERS or name == "entries" else "TEXT"
        if _affinity(present[name].declared) != expected:
            found = present[name].declared or "without a type"
            return f"has {table}.{name} declared {found}, expected {expected}"
    keys = [column.name for column in columns if column.key]
    key = DEMANDED[table][0]
    if keys != [key]:
        return f"has a table {table} with the key ({', '.join(keys)}), expected ({key})"
    extra = [c.name for c in columns if c.required and c.name not in DEMANDED[table]]
    if extra:
        return f"has a table {table} that demands {', '.join(extra)}, which no catalogue gives"
    return None


def _affinity(declared: str) -> str:
    # SQLite's affinity rules, in its order; a column that would convert values is refused.
    kind = declared.upper()
    if "INT" in kind:
        return "INTEGER"
    return "TEXT" if any(word in kind for word in ("CHAR", "CLOB", "TEXT")) else "OTHER"
