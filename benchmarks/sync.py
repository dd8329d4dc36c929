"""What a sync costs, compared with a lower limit and a simple script.

    python benchmarks/sync.py [--rounds N] [--catalogue DIR] [--values FILE]

Each side is a separate process, timed from launch to exit, Python's start included. The sides
take turns, and medians and their ratios are printed. Without a catalogue (--catalogue,
NIGHTSHIFT_CATALOGUE, ../shared/catalogue) one of the same size is generated. Sides:

limit  decode every document, then INSERT ... SELECT the ready rows
bare   decode every document, make the rows, plain INSERT, one transaction
peer   json and one INSERT OR IGNORE for each row, a commit for each set: misses corrections
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import interleave
import options
from launching import ROOT, launched
from measured import ALL, Measured
from memory import machine
from rows import SYNC, Column, S, sides, table

SIDE = Path(__file__).with_name("sync_peer.py")
CHANGED_ONE_IN = 1000
# Sides of sync_peer.py; the others continue with the database of `ours`.
FROM_EMPTY = ("ours", "limit", "bare", "peer")
WORDS = {
    "ours": "from empty: sync.missing_sets + sync.missing_cards",
    "limit": "from empty: decode + INSERT ... SELECT (the limit)",
    "bare": "from empty: bare script, one transaction",
    "peer": "from empty: json + INSERT OR IGNORE (the peer)",
    "nothing": "nothing to do: sync.missing_sets + sync.missing_cards",
    "0.1 %": "0.1 % changed: sync.missing_sets + sync.missing_cards",
}
COLUMNS = (Column("launch to exit", "sync", S), Column("the jobs' own", "sync own", S))


def main() -> None:
    """Run the rounds and print the table."""
    parser = options.parser(__doc__, "what a sync costs", rounds=7)
    parser.add_argument("--catalogue", type=Path, help="a folder with sets.json and cards")
    given = parser.parse_args()
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
        failures = interleave.in_turn(
            given.rounds,
            list(WORDS),
            lambda name: measure_side(name, room, catalogue, numbers, measured),
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


def measure_side(
    name: str, room: Path, catalogue: Path, numbers: Iterator[int], measured: Measured
) -> None:
    """Measure one side; sides that are not FROM_EMPTY continue with that of `ours`."""
    target, ready = room / f"{name}.db", room / "ready.db"
    if name not in FROM_EMPTY:
        target = room / "ours.db"
        if name == "0.1 %":
            change(catalogue, next(numbers))
    else:
        target.unlink(missing_ok=True)
    if name == "limit":
        shutil.copyfile(ready, room / "limit.db.ready")
    wall_s, own_s = launch(name if name in FROM_EMPTY else "ours", catalogue, target)
    measured.add("sync", ALL, name, wall_s)
    if own_s is not None:
        measured.add("sync own", ALL, name, own_s)
    if name == "0.1 %":  # the next round uses these rows as the ready ones
        shutil.copyfile(target, ready)


def launch(side: str, catalogue: Path, database: Path) -> tuple[float, float | None]:
    """Return the seconds of one side's process, and the seconds it reports for its own part."""
    took = launched([sys.executable, str(SIDE), side, str(catalogue), str(database)])
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


if __name__ == "__main__":
    main()
