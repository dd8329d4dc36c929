"""What a sync costs, beside the least it could cost and a simple peer.

    python benchmarks/sync.py [--rounds N] [--catalogue DIR] [--values FILE]

Each side is a process of its own, timed from launch to exit, Python's start
included; sides take turns, and medians and their ratios are printed. Without
a catalogue (--catalogue, NIGHTSHIFT_CATALOGUE, ../shared/catalogue) a made-up
one of the same size is generated. Peers:

limit  decode every document, then INSERT ... SELECT the ready rows
bare   decode every document, make the rows, plain INSERT, one transaction
peer   json and one INSERT OR IGNORE a row, a commit a set: sees no correction
"""

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import interleave
import options
from launching import ROOT, launched
from measured import ALL, Measured
from memory import machine
from rows import SYNC, Column, S, sides, table

CHANGED_ONE_IN = 1000
WORDS = {
    "ours": "from empty: sync.missing_sets + sync.missing_cards",
    "limit": "from empty: decode + INSERT ... SELECT (the limit)",
    "bare": "from empty: bare script, one transaction",
    "peer": "from empty: json + INSERT OR IGNORE (the peer)",
    "nothing": "nothing to do: sync.missing_sets + sync.missing_cards",
    "0.1 %": "0.1 % changed: sync.missing_sets + sync.missing_cards",
}
COLUMNS = (Column("launch to exit", "sync", S), Column("the jobs' own", "sync own", S))
PEER_COLUMNS = (
    *("id", "name", "supertype", "subtypes", "hp", "types", "rules", "abilities", "attacks"),
    *("weaknesses", "set_id", "number", "artist", "rarity", "flavorText", "legalities"),
    *("images", "retreatCost", "evolvesFrom"),
)


def main() -> None:
    """Run the rounds and print the table; with --side, run that side only."""
    parser = options.parser(__doc__, "what a sync costs", rounds=7)
    parser.add_argument("--catalogue", type=Path, help="a folder with sets.json and cards")
    parser.add_argument("--side", nargs=3, metavar=("NAME", "CATALOGUE", "DATABASE"))
    given = parser.parse_args()
    if given.side:
        name, catalogue, database = given.side
        SIDES[name](Path(catalogue), Path(database))
        return
    if given.catalogue and not (given.catalogue / "sets.json").exists():
        parser.error(f"no catalogue in {given.catalogue}: expected sets.json there")
    options.end_on_signals()
    with tempfile.TemporaryDirectory(prefix="bench-sync-") as folder:
        room = Path(folder)
        source = found(given.catalogue, room)
        catalogue = room / "catalogue"
        shutil.copytree(source, catalogue, copy_function=shutil.copyfile)
        measured = Measured()
        launch("ours", catalogue, room / "ready.db")
        numbers = itertools.count()
        failures = interleave.taken(
            given.rounds,
            list(WORDS),
            lambda name: play(name, room, catalogue, numbers, measured),
            measured,
            given.values,
        )
        made = "generated" if (source / "GENERATED").exists() else "real"
        print(f"{made} catalogue, medians of {given.rounds} rounds in turn; {machine()}\n")
        print(f"{sides(measured, WORDS, COLUMNS)}\n\n{table(measured, SYNC)}")
    if failures:
        sys.exit("; ".join(failures))


def found(wanted: Path | None, room: Path) -> Path:
    """Return the folder of the catalogue: the requested, the real, or a generated one."""
    named = os.environ.get("NIGHTSHIFT_CATALOGUE")
    for path in (wanted, named and Path(named), ROOT.parent / "shared" / "catalogue"):
        if path and (path / "sets.json").exists():
            return path
    made = room / "generated"
    generator = ROOT / "scripts" / "generate-catalogue"
    size = ["--sets", "170", "--cards", "19783"]
    subprocess.run([sys.executable, generator, made, *size], check=True)
    return made


def play(
    name: str, room: Path, catalogue: Path, numbers: Iterator[int], measured: Measured
) -> None:
    """Measure one side; sides without a function continue with the database of `ours`."""
    target, ready = room / f"{name}.db", room / "ready.db"
    if name not in SIDES:
        target = room / "ours.db"
        if name == "0.1 %":
            change(catalogue, next(numbers))
    else:
        target.unlink(missing_ok=True)
    if name == "limit":
        shutil.copyfile(ready, room / "limit.db.ready")
    wall_s, own_s = launch(name if name in SIDES else "ours", catalogue, target)
    measured.add("sync", ALL, name, wall_s)
    if own_s is not None:
        measured.add("sync own", ALL, name, own_s)
    if name == "0.1 %":  # the next round uses these rows as the ready ones
        shutil.copyfile(target, ready)


def launch(side: str, catalogue: Path, database: Path) -> tuple[float, float | None]:
    """Return the seconds of one side's process, and the seconds it reports for its own part."""
    took = launched([sys.executable, __file__, "--side", side, str(catalogue), str(database)])
    return took.wall_s, float(took.said) if took.said else None


def change(catalogue: Path, number: int) -> None:
    """Rename one card in CHANGED_ONE_IN, spread over the sets."""
    place = 0
    for path in sorted(catalogue.glob("cards/*.d/cards.json")):
        document = json.loads(path.read_bytes())
        touched = False
        for card in document["data"]:
            place += 1
            if place % CHANGED_ONE_IN == 0:
                card["name"] = f"{card['name'].partition(' #')[0]} #{number}"
                touched = True
        if touched:
            path.write_text(json.dumps(document, indent=2, ensure_ascii=False))


def ours(catalogue: Path, database: Path) -> None:
    """Run both jobs; print the seconds that they report."""
    from workers.report import Report
    from workers.sync import Params, missing_cards, missing_sets

    report = Report(lambda _: None, datetime.now(UTC))
    params = Params(str(catalogue), database)
    results = [work(params, report) for work in (missing_sets, missing_cards)]
    print(sum(float(one["seconds"] or 0) for one in results))


def limit(catalogue: Path, database: Path) -> None:
    """Decode as we do, then let SQLite copy rows that are ready."""
    import msgspec

    from workers.sync import schema
    from workers.sync.rows import CardPage

    decode = msgspec.json.Decoder(CardPage).decode
    for path in catalogue.glob("cards/*.d/cards.json"):
        decode(path.read_bytes())
    connection = _connected(database)
    connection.execute("ATTACH ? AS ready", (f"{database}.ready",))
    for statement in (schema.SETS, schema.CARDS):
        connection.execute(statement.replace("EXISTS ", "EXISTS main."))
    connection.execute("BEGIN")
    for name in ("pokemon_card_sets", "pokemon_cards"):
        connection.execute(f"INSERT INTO main.{name} SELECT * FROM ready.{name}")
    connection.execute("COMMIT")
    connection.close()


def bare(catalogue: Path, database: Path) -> None:
    """Decode the documents, make the rows and INSERT them; no comparison, no plan, no state."""
    from workers.sync import rows, schema

    connection = _connected(database)
    connection.execute(schema.CARDS)
    insert = f"INSERT INTO pokemon_cards VALUES ({', '.join('?' * len(rows.CARD_COLUMNS))})"
    connection.execute("BEGIN")
    for path in catalogue.glob("cards/*.d/cards.json"):
        parsed = rows.cards([path.read_bytes()], path.parent.name.removesuffix(".d"))
        connection.executemany(insert, parsed.rows)
    connection.execute("COMMIT")
    connection.close()


def peer(catalogue: Path, database: Path) -> None:
    """Do what a simple script does."""
    connection = _connected(database)
    connection.execute(f"CREATE TABLE cards (id TEXT PRIMARY KEY, {', '.join(PEER_COLUMNS[1:])})")
    insert = f"INSERT OR IGNORE INTO cards VALUES ({', '.join('?' * len(PEER_COLUMNS))})"
    for path in catalogue.glob("cards/*.d/cards.json"):
        connection.execute("BEGIN")
        for card in json.loads(path.read_bytes())["data"]:
            card["set_id"] = card["set"]["id"]
            values = (card.get(name) for name in PEER_COLUMNS)
            row = [json.dumps(one) if isinstance(one, list | dict) else one for one in values]
            connection.execute(insert, row)
        connection.execute("COMMIT")
    connection.close()


def _connected(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


SIDES = {"ours": ours, "limit": limit, "bare": bare, "peer": peer}

if __name__ == "__main__":
    main()
