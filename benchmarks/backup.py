"""What a backup costs, beside what one types in a shell.

    python benchmarks/backup.py [--rounds N] [--large]

Sides take turns, each a process of its own, timed from launch to exit with
Python's start included; the files go to disk (fsync) on each side. 190 MB, or
1 GB with --large. Medians, ratios of medians, CPU, memory, sizes. Peers:

gzip6  sqlite3 .backup, gzip -6, sha256sum: copies, compresses, proves nothing
gzip1  the same with gzip -1
pigz   the same with pigz -6, if it is installed
packed our snapshot, gzip and both hashes, without the proof
proved the whole of backup.run: read back, unpacked, hashed, checked, counted
local  the same as `nightshift run backup --local`: supervisor, ledger and all
"""

import argparse
import json
import os
import random
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

ROOT = Path(__file__).resolve().parents[1]
SMALL_BYTES, LARGE_BYTES = 190_000_000, 1_000_000_000
SHELL = (
    'sqlite3 "$1" ".backup $2" && {} "$2" && sha256sum "$2.gz" > "$2.gz.sha256" && sync -f "$2.gz"'
)
PEERS = {"gzip6": "gzip -6", "gzip1": "gzip -1", "pigz": "pigz -6"}
WORDS = {
    "gzip6": "`.backup` + `gzip -6` + `sha256sum` (verifies nothing)",
    "gzip1": "`.backup` + `gzip -1` + `sha256sum`",
    "pigz": "`.backup` + `pigz -6` + `sha256sum`",
    "packed": "backup: snapshot + gzip + both SHA-256",
    "proved": "backup.run: the same, restored and verified",
    "local": "`nightshift run backup --local`: the same, with the start of all it needs",
}


@dataclass(frozen=True)
class Measure:
    """One side, once: seconds, CPU seconds, peak memory and size of the copy in bytes."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    size_bytes: int


def main() -> None:
    """Run the rounds and print the table; with --side be one of our sides."""
    parser = argparse.ArgumentParser(description="what a backup costs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="1 GB instead of 190 MB")
    parser.add_argument("--side", nargs=3, metavar=("NAME", "DATABASE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.side:
        name, database, folder = arguments.side
        SIDES[name](Path(database), Path(folder))
        return
    with tempfile.TemporaryDirectory(prefix="bench-backup-", dir=os.environ.get("TMPDIR")) as room:
        source = Path(room) / "bench.db"
        generate(source, LARGE_BYTES if arguments.large else SMALL_BYTES)
        sides = [name for name in WORDS if name != "pigz" or shutil.which("pigz")]
        found: dict[str, list[Measure]] = {name: [] for name in sides}
        for _ in range(arguments.rounds):
            for name in sides:
                found[name].append(measured(name, source, Path(room) / "out"))
                print(f"{name} {found[name][-1].wall_s:.2f} s", file=sys.stderr)
        print(table(found, source.stat().st_size, arguments.rounds))


def generate(path: Path, size_bytes: int) -> None:
    """A made-up catalogue of cards, about as compressible as the real one."""
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


def measured(name: str, source: Path, folder: Path) -> Measure:
    """One side on an empty folder and a quiet disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    command = launched(name, source, folder)
    meter = folder.parent / "meter"
    began = time.perf_counter()
    # A small process between, whose only children are the side's: its rusage is theirs.
    subprocess.run([sys.executable, "-S", "-c", METER, str(meter), *command], check=True, cwd=ROOT)
    wall = time.perf_counter() - began
    cpu, memory = meter.read_text().split()
    size = sum(path.stat().st_size for path in folder.glob("*.gz*"))
    return Measure(wall, float(cpu), int(memory) * 1024, size)


def launched(name: str, source: Path, folder: Path) -> list[str]:
    """The command line of a side."""
    if name in PEERS:
        script = SHELL.format(PEERS[name])
        return ["/bin/sh", "-c", script, "sh", str(source), str(folder / "bench.db")]
    if name == "local":
        given = f"{{database: '{source}', directory: '{folder}'}}"
        jobs = folder.parent / "jobs.yaml"
        jobs.write_text(f"jobs: {{backup: {{worker: backup.run, with: {given}}}}}\n")
        places = ["--config", str(jobs), "--state", str(folder.parent / "state")]
        return [sys.executable, "-m", "supervisor", *places, "run", "backup", "--local"]
    return [sys.executable, __file__, "--side", name, str(source), str(folder)]


METER = """
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open(sys.argv[1], "w").write(f"{used.ru_utime + used.ru_stime} {used.ru_maxrss}")
"""


def table(found: dict[str, list[Measure]], size_bytes: int, rounds: int) -> str:
    """The medians, and how they stand to the first peer."""
    first = statistics.median(one.wall_s for one in found["gzip6"])
    lines = [
        f"{size_bytes / 1e6:.0f} MB, medians of {rounds} rounds in turn,"
        f" launch to exit, {os.cpu_count()} cores",
        "",
        "| what | seconds | times as fast | CPU s | memory MB | copy MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, measures in found.items():
        wall = statistics.median(one.wall_s for one in measures)
        cpu = statistics.median(one.cpu_s for one in measures)
        memory = max(one.memory_bytes for one in measures) / 1e6
        copy = statistics.median(one.size_bytes for one in measures) / 1e6
        lines.append(
            f"| {WORDS[name]} | {wall:.2f} | {first / wall:.1f} x | {cpu:.2f} |"
            f" {memory:.0f} | {copy:.1f} |"
        )
    return "\n".join(lines)


def packed(database: Path, folder: Path) -> None:
    """Our own pass without the proof, on disk as the peers' is."""
    from workers.backup import stream
    from workers.backup.snapshot import snapshot

    prefix = folder / "bench.db.gz.scratch-"
    with (
        snapshot(database, prefix, lambda: None) as shot,
        open(folder / "bench.db.gz", "wb") as to,
    ):
        sums = stream.pack(shot.descriptor, shot.size_bytes, to.fileno(), 1, 0, lambda _: None)
        shot.rows.result()
        os.fsync(to.fileno())
    (folder / "bench.db.gz.sha256").write_text(f"{sums.sha256}  bench.db.gz\n")


def proved(database: Path, folder: Path) -> None:
    """The whole worker."""
    from workers import backup
    from workers.report import Report

    backup.run(backup.Params(database, folder), Report(lambda _: None, datetime.now(UTC)))


SIDES = {"packed": packed, "proved": proved}

if __name__ == "__main__":
    main()
