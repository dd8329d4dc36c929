"""What replication costs, compared with shell commands.

    python benchmarks/replication.py [--rounds N] [--rows N] [--values FILE]

A separate server (scripts/embedded_postgres.py, in memory), and a table of cards with a text key
and 27 columns. The sides take turns. Each is a separate process, timed from launch to exit with
Python's start included; `run` is the worker's own clock, by which the increments are compared.
Medians, ratios of medians, memory. Sides:

pipe     sqlite3 -csv into psql \\copy, into a table with the same key; proves nothing
pgloader if it is installed
full     the worker into an empty schema, capture: triggers, rolling proof off
nothing, tenth, one   the worker with 0, 0.1 and 1 % of the rows changed
compare  the worker with capture: compare, 0.1 % changed
verify   verify_only: every row of both sides
"""

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import interleave
import options
import psycopg
from launching import ROOT, launched, missing_programs
from measured import ALL, Measured
from memory import machine
from rows import MB, REPLICATION_ROWS, Column, S, sides, table
from rows import replication as replication_rows

sys.path.insert(0, str(ROOT))

from scripts import embedded_postgres

COLUMNS = (
    "name", "supertype", "subtypes", "level", "hp", "types", "evolves_from", "evolves_to",
    "rules", "abilities", "ancient_trait", "attacks", "weaknesses", "resistances",
    "retreat_cost", "converted_retreat_cost", "set_id", "number", "artist", "rarity",
    "flavor_text", "regulation_mark", "national_pokedex_numbers", "legalities", "images",
    "tcgplayer_url",
)  # fmt: skip
INTEGERS = ("hp", "converted_retreat_cost")
CHANGED = {"nothing": 0.0, "tenth": 0.001, "one": 0.01, "compare": 0.001, "verify": 0.0}
WORDS = {
    "pipe": "`sqlite3 -csv` into `psql \\copy`",
    "pgloader": "pgloader",
    "full": "full",
    "nothing": "nothing changed",
    "tenth": "0.1 % changed",
    "one": "1 % changed",
    "compare": "capture: compare, 0.1 % changed",
    "verify": "verify_only",
}
OURS = Path(__file__).with_name("replication_peer.py")
PROGRAMS = {"pipe": ("sqlite3", "psql"), "pgloader": ("pgloader",)}
FIGURES = (("launch to exit", "", S), ("the worker's own", " own", S),
        ("memory", " memory", MB))  # fmt: skip
PIPE = 'sqlite3 -csv "$1" "SELECT * FROM cards" | psql "$2" -qc "\\copy pipe.cards from stdin csv"'
# In a separate database, with pgloader's own order: the table, the rows, then the key. Only
# one table is included, because pgloader fails on the change log that `full` leaves. It
# prefetches fewer rows than its default of 100,000, because its heap cannot hold that many
# rows of a table with a million.
PGLOADER = """LOAD DATABASE FROM sqlite://{database} INTO {target}
WITH include drop, create tables, create indexes, reset sequences, prefetch rows = 25000
INCLUDING ONLY TABLE NAMES LIKE 'cards';
"""


def main() -> None:
    """Run the rounds and print the table."""
    parser = options.parser(__doc__, "what replication costs", rounds=5)
    parser.add_argument("--rows", type=options.count, default=REPLICATION_ROWS[0])
    given = parser.parse_args()
    options.end_on_signals()
    key, measured = f"replication {given.rows}", Measured()
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder,
        embedded_postgres.throwaway() as server,
    ):
        database = Path(folder) / "cards.sqlite3.db"
        generate(database, given.rows)
        print(f"{given.rows} rows, {database.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
        missing = missing_programs(PROGRAMS)
        failures = interleave.in_turn(
            given.rounds,
            [name for name in WORDS if name not in missing],
            lambda name: measure_side(name, database, server.dsn, key, measured),
            measured,
            given.values,
        )
    print(f"{given.rows} rows, medians of {given.rounds} rounds in turn; {machine()}\n")
    columns = [Column(heading, f"{key}{what}", unit) for heading, what, unit in FIGURES]
    print(f"{sides(measured, WORDS, columns)}\n\n{table(measured, replication_rows(given.rows))}")
    if failures:
        sys.exit("; ".join(failures))


def generate(path: Path, rows: int) -> None:
    """Write cards like those of the catalogue: short texts, some JSON, many NULLs."""
    declared = ", ".join(f"{name} {'INTEGER' if name in INTEGERS else 'TEXT'}" for name in COLUMNS)
    values = dict.fromkeys(COLUMNS, "NULL")
    for place, name in enumerate(COLUMNS):
        if place % 3:
            values[name] = f"'{name}-' || (n % 997)"
    values |= dict.fromkeys(INTEGERS, "n % 300")
    values["attacks"] = (
        """'[{"name": "Tackle", "cost": ["Colorless"], "damage": "' || n || '"}]'"""
    )
    values["images"] = "'{\"small\": \"https://images.invalid/' || n || '.png\"}'"
    values["flavor_text"] = "CASE n % 2 WHEN 0 THEN hex(randomblob(120)) END"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"CREATE TABLE cards (id TEXT PRIMARY KEY, {declared})")
        database.execute(
            "WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < ?)"
            " INSERT INTO cards SELECT 'set' || (n % 170) || '-' || n,"
            f" {', '.join(values.values())} FROM c",
            (rows,),
        )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def measure_side(name: str, database: Path, dsn: str, key: str, measured: Measured) -> None:
    """Measure one side once; its preparation is not timed."""
    prepare(name, database, dsn)
    if name == "pipe":
        command = ["sh", "-c", PIPE, "pipe", str(database), dsn]
    elif name == "pgloader":
        load = database.with_name("cards.load")
        load.write_text(PGLOADER.format(database=database, target=url(dsn, name)))
        command = ["pgloader", "--quiet", str(load)]
    else:
        command = [sys.executable, str(OURS), name, str(database), dsn]
    took = launched(command)
    measured.add(key, ALL, name, took.wall_s)
    measured.add(f"{key} memory", ALL, name, float(took.memory_bytes))
    if name not in PROGRAMS:
        measured.add(f"{key} own", ALL, name, json.loads(took.said)["seconds"])


def prepare(name: str, database: Path, dsn: str) -> None:
    """Empty the target of a side that fills one; change rows for a side that needs changes."""
    with psycopg.connect(dsn, autocommit=True) as server:
        if name == "pgloader":
            server.execute("DROP DATABASE IF EXISTS pgloader")
            server.execute("CREATE DATABASE pgloader")
        elif name == "pipe":
            kinds = ", ".join(
                f"{each} {'bigint' if each in INTEGERS else 'text'}" for each in COLUMNS
            )
            server.execute("DROP SCHEMA IF EXISTS pipe CASCADE")
            server.execute("CREATE SCHEMA pipe")
            server.execute(f"CREATE TABLE pipe.cards (id text PRIMARY KEY, {kinds})".encode())
        elif name == "full":
            server.execute("DROP SCHEMA IF EXISTS ours CASCADE")
        server.execute("CHECKPOINT")
    part = CHANGED.get(name, 0.0)
    if part:
        with closing(sqlite3.connect(database)) as source, source:
            source.execute(
                "UPDATE cards SET artist = 'changed ' || random() WHERE rowid % ? = 0",
                (round(1 / part),),
            )


def url(dsn: str, name: str) -> str:
    """Return a URL for pgloader to another database of the DSN, with the socket folder as host."""
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    return f"postgresql://{given['user']}@unix:{given['host']}:{given['port']}/{name}"


if __name__ == "__main__":
    main()
