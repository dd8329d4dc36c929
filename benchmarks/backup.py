"""What a backup costs, compared with shell commands.

    python benchmarks/backup.py [--rounds N] [--large | --megabytes N] [--values FILE]

The sides take turns. Each is a separate process, timed from launch to exit with Python's start
included, and syncs its files to disk (fsync). 190 MB, or 1 GB with --large. Medians, ratios of
medians, CPU, memory, sizes. Sides:

gzip6  sqlite3 .backup, gzip -6, sha256sum: copies, compresses, proves nothing
gzip1  the same with gzip -1
pigz   the same with pigz -6, if it is installed
packed our snapshot, gzip and both hashes, without the proof
proved the complete backup.run: read back, unpacked, hashed, checked, counted
local  the same as `nightshift run backup --local`, with supervisor and ledger
"""

import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import interleave
import options
from launching import launched, missing_programs
from measured import ALL, Measured
from memory import machine
from rows import BACKUP_MB, MB, Column, S, sides, table
from rows import backup as backup_rows

SHELL = (
    'sqlite3 "$1" ".backup $2" && {} "$2" && sha256sum "$2.gz" > "$2.gz.sha256" && sync -f "$2.gz"'
)
OURS = Path(__file__).with_name("backup_peer.py")
PEERS = {"gzip6": "gzip -6", "gzip1": "gzip -1", "pigz": "pigz -6"}
WORDS = {
    "gzip6": "`.backup` + `gzip -6` + `sha256sum` (verifies nothing)",
    "gzip1": "`.backup` + `gzip -1` + `sha256sum`",
    "pigz": "`.backup` + `pigz -6` + `sha256sum`",
    "packed": "backup: snapshot + gzip + both SHA-256",
    "proved": "backup.run: the same, restored and verified",
    "local": "`nightshift run backup --local`: the same, with the start of all it needs",
}
COLUMNS = (("launch to exit", "", S), ("CPU", " cpu", S), ("memory", " memory", MB),
           ("copy", " copy", MB))  # fmt: skip


def main() -> None:
    """Run the rounds and print the table."""
    parser = options.parser(__doc__, "what a backup costs", rounds=5)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--megabytes", type=options.count, default=BACKUP_MB[0])
    sizes.add_argument(
        "--large", dest="megabytes", action="store_const", const=BACKUP_MB[1], help="1 GB"
    )
    given = parser.parse_args()
    options.end_on_signals()
    missing = missing_programs(
        {name: ("sqlite3", command.split()[0]) for name, command in PEERS.items()}
    )
    key, measured = f"backup {given.megabytes} MB", Measured()
    with tempfile.TemporaryDirectory(prefix="bench-backup-", dir=os.environ.get("TMPDIR")) as room:
        source = Path(room) / "bench.db"
        generate(source, given.megabytes * 1_000_000)
        failures = interleave.in_turn(
            given.rounds,
            [name for name in WORDS if name not in missing],
            lambda name: measure_side(name, source, Path(room) / "out", key, measured),
            measured,
            given.values,
        )
    print(f"{given.megabytes} MB, medians of {given.rounds} rounds in turn; {machine()}\n")
    columns = [Column(heading, f"{key}{what}", unit) for heading, what, unit in COLUMNS]
    print(f"{sides(measured, WORDS, columns)}\n\n{table(measured, backup_rows(given.megabytes))}")
    if failures:
        sys.exit("; ".join(failures))


def generate(path: Path, size_bytes: int) -> None:
    """Write an invented catalogue of cards, about as compressible as the real one."""
    dice = random.Random(7)
    words = ["".join(dice.choices("aeioulnrst", k=dice.randint(3, 9))) for _ in range(900)]

    def text(count: int) -> str:
        return " ".join(dice.choices(words, k=count))

    def card(number: int) -> tuple[object, ...]:
        attack = {"name": text(2), "cost": ["Fire", "Colorless"], "damage": "60", "text": text(12)}
        picture = f"https://images.invalid/set{number % 200}/{number}"
        images = json.dumps({"small": f"{picture}.png", "large": f"{picture}_hires.png"})
        legal = '{"unlimited": "Legal", "expanded": "Legal"}'
        attacks = json.dumps([attack, attack | {"name": text(2)}])
        place = f"set{number % 200}"
        return (f"{place}-{number}", text(1), 60, place, attacks, text(10), images, legal)

    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE sets (id TEXT PRIMARY KEY);"
            "CREATE TABLE cards (id TEXT PRIMARY KEY, name TEXT, hp INTEGER,"
            " set_id TEXT REFERENCES sets (id), attacks TEXT, flavor TEXT, images TEXT,"
            " legal TEXT);"
            "CREATE INDEX cards_by_set ON cards (set_id);"
        )
        database.executemany("INSERT INTO sets VALUES (?)", [(f"set{n}",) for n in range(200)])
        number = 0
        while path.stat().st_size < size_bytes:
            cards = [card(n) for n in range(number, number + 5000)]
            database.executemany("INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?, ?, ?)", cards)
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            number += 5000


def measure_side(name: str, source: Path, folder: Path, key: str, measured: Measured) -> None:
    """Measure one side, with an empty folder and after a sync of the disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    took = launched(command_of(name, source, folder))
    measured.add(key, ALL, name, took.wall_s)
    measured.add(f"{key} cpu", ALL, name, took.cpu_s)
    measured.add(f"{key} memory", ALL, name, float(took.memory_bytes))
    size_bytes = sum(path.stat().st_size for path in folder.glob("*.gz*"))
    measured.add(f"{key} copy", ALL, name, float(size_bytes))


def command_of(name: str, source: Path, folder: Path) -> list[str]:
    """Return the command line of a side."""
    if name in PEERS:
        script = SHELL.format(PEERS[name])
        return ["/bin/sh", "-c", script, "sh", str(source), str(folder / "bench.db")]
    if name == "local":
        given = f"{{database: '{source}', directory: '{folder}'}}"
        jobs = folder.parent / "jobs.yaml"
        jobs.write_text(f"jobs: {{backup: {{worker: backup.run, with: {given}}}}}\n")
        places = ["--config", str(jobs), "--state", str(folder.parent / "state")]
        return [sys.executable, "-m", "supervisor", *places, "run", "backup", "--local"]
    return [sys.executable, str(OURS), name, str(source), str(folder)]


if __name__ == "__main__":
    main()
