"""What replication costs, beside what one types in a shell.

    python benchmarks/replication.py [--rounds N] [--rows N]

A server of its own (scripts/embedded_postgres.py, in memory), a table of cards
with a text key and 27 columns. Sides take turns, each a process of its own,
timed from launch to exit with Python's start included; `run` is the worker's own
clock, which the increments are compared by. Medians, ratios of medians, memory:

pipe     sqlite3 -csv into psql \\copy, into a table with the same key; proves nothing
pgloader if it is installed
full     the worker into an empty schema, capture: triggers, rolling proof off
nothing, tenth, one   the worker with 0, 0.1 and 1 % of the rows changed
compare  the worker with capture: compare, 0.1 % changed
verify   verify_only: every row of both sides
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import embedded_postgres  # noqa: E402 - the project is not a package of this folder

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
PIPE = 'sqlite3 -csv "$1" "SELECT * FROM cards" | psql "$2" -qc "\\copy pipe.cards from stdin csv"'


@dataclass(frozen=True)
class Measure:
    """One side, once: from launch to exit, the worker's own seconds, peak memory."""

    wall_s: float
    run_s: float
    memory_bytes: int


def main() -> None:
    """Run the rounds and print the table; with --side be one of our sides."""
    parser = argparse.ArgumentParser(description="what replication costs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--side", nargs=3, metavar=("NAME", "DATABASE", "DSN"))
    given = parser.parse_args()
    if given.side:
        side(*given.side)
        return
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder,
        embedded_postgres.throwaway() as server,
    ):
        database = Path(folder) / "cards.sqlite3.db"
        generate(database, given.rows)
        print(f"{given.rows} rows, {database.stat().st_size / 1e6:.0f} MB", file=sys.stderr)
        found: dict[str, list[Measure]] = {name: [] for name in names()}
        for number in range(given.rounds):
            for name, measures in found.items():
                measures.append(measured(name, database, server.dsn))
                last = measures[-1]
                print(f"round {number + 1}: {name} {last.wall_s:.3f} {last.run_s:.4f}", flush=True)
    print(table(found, given.rows, given.rounds))


def names() -> list[str]:
    """The sides that can be measured here, in their order."""
    missing = [
        name
        for name, needed in (("pipe", ("sqlite3", "psql")), ("pgloader", ("pgloader",)))
        if not all(map(shutil.which, needed))
    ]
    for name in missing:
        print(f"left out: {name}, which is not installed", file=sys.stderr)
    return [name for name in WORDS if name not in missing]


def generate(path: Path, rows: int) -> None:
    """Cards as the catalogue has them: short texts, some JSON, many NULLs."""
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


def measured(name: str, database: Path, dsn: str) -> Measure:
    """One side, once; what it needs is made before its clock starts."""
    prepare(name, database, dsn)
    if name == "pipe":
        command = ["sh", "-c", PIPE, "pipe", str(database), dsn]
    elif name == "pgloader":
        command = ["pgloader", "--with", "data only", f"sqlite://{database}", url(dsn)]
    else:
        command = [sys.executable, __file__, "--side", name, str(database), dsn]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{name} failed: {said}")
    own = json.loads(said)["seconds"] if name not in ("pipe", "pgloader") else wall
    return Measure(wall, own, usage.ru_maxrss * 1024)


def prepare(name: str, database: Path, dsn: str) -> None:
    """An empty target for what fills one; changes for what follows them."""
    with psycopg.connect(dsn, autocommit=True) as server:
        if name in ("pipe", "pgloader"):
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


def side(name: str, database: str, dsn: str) -> None:
    """The worker, once; its result on stdout."""
    from workers import replication
    from workers.report import Report

    capture = "compare" if name == "compare" else "triggers"
    params = replication.Params(
        Path(database),
        dsn,
        schema="ours",
        capture=capture,
        proof_budget=0.0,  # type: ignore[arg-type] - a Duration is its seconds
        verify_only=name == "verify",
    )
    result = replication.run(params, Report(lambda _: None, datetime.now(UTC)))
    print(json.dumps(result))


def url(dsn: str) -> str:
    """The DSN as pgloader takes it: a socket folder stands in the host's place."""
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    return f"postgresql://{given['user']}@unix:{given['host']}:{given['port']}/{given['dbname']}"


def table(found: dict[str, list[Measure]], rows: int, rounds: int) -> str:
    """What the README quotes."""
    wall = {name: statistics.median(one.wall_s for one in all_) for name, all_ in found.items()}
    own = {name: statistics.median(one.run_s for one in all_) for name, all_ in found.items()}
    lines = [
        f"{rows} rows, {rounds} rounds, medians",
        "",
        "| what | seconds | of the pipe | worker's own seconds | of the full one | memory MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, all_ in found.items():
        memory = max(one.memory_bytes for one in all_) / 1e6
        pipe = f"{wall[name] / wall['pipe']:.2f}" if "pipe" in wall else "-"
        part = f"1/{own['full'] / own[name]:.0f}" if own[name] < own["full"] else "-"
        lines.append(
            f"| {WORDS[name]} | {wall[name]:.3f} | {pipe} | {own[name]:.4f} | {part} |"
            f" {memory:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
