#!/usr/bin/env python3
"""Try backup and replication on SQLite files of other programs, and compare independently.

    scripts/round_trip.py FOLDER [--scratch DIR] [--only WORD]

Each SQLite file below FOLDER is copied; the originals are only read. Of each copy:

* a backup is made, verified, and restored to a new path, whose `.dump` by the
  sqlite3 shell must be equal to that of the copy;
* it is replicated three times into its own PostgreSQL schema: first, again, and
  after generated changes (rows updated, deleted, inserted); after each, every row is
  read on both sides and compared by `round_trip_values.py`, which shares no code with
  the worker.

A run that fails with a cause is `refused`; a difference after a success is `WRONG`,
and the exit status is then 1. The server is $POSTGRES_DSN, or else a temporary one
(scripts/embedded_postgres.py). Needs the `sqlite3` shell.
"""

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import embedded_postgres, round_trip_values  # noqa: E402

MAGIC = b"SQLite format 3\0"
LARGEST_BYTES = 64 * 1024 * 1024
ROWS_CHANGED = 5  # at most, for each table and each kind of change
STEPS = ("backup", "restore", "first", "again", "changed")


@dataclass(eq=False, slots=True)
class Case:
    """One file: its copy, its number (used in names), and the outcome of each step."""

    number: int
    origin: Path
    database: Path
    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        """Return the PostgreSQL schema of its replica."""
        return f"round_trip_{self.number}"


def main() -> int:
    """Try every file and print the outcomes; return 1 if any result is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--scratch", type=Path, help="where copies are made (a new folder)")
    parser.add_argument("--only", default="", help="only files whose path has this in it")
    options = parser.parse_args()
    if shutil.which("sqlite3") is None:
        print("round_trip: the sqlite3 shell is not installed (Debian: sqlite3)", file=sys.stderr)
        return 2
    home = options.scratch or Path(tempfile.mkdtemp(prefix="round-trip-"))
    home.mkdir(parents=True, exist_ok=True)
    cases = list(_copied(options.folder, options.only, home))
    if not cases:
        print(f"round_trip: {options.folder} holds no SQLite file", file=sys.stderr)
        return 2
    with _server() as dsn:
        _try_all(home, cases, dsn)
    return _report(cases)


@contextmanager
def _server() -> Iterator[str]:
    given = os.environ.get("POSTGRES_DSN")
    if given:
        yield given
        return
    with embedded_postgres.throwaway() as server:
        yield server.dsn


def _copied(folder: Path, only: str, home: Path) -> Iterator[Case]:
    """Yield a case for each SQLite file, copied with its -wal if there is one."""
    number = 0
    for path in sorted(folder.rglob("*")):
        if only not in str(path) or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > LARGEST_BYTES or _head(path) != MAGIC:
            continue
        number += 1
        place = home / f"case-{number:03}"
        place.mkdir()
        database = place / "data.db"
        shutil.copyfile(path, database)
        wal = path.with_name(path.name + "-wal")
        if wal.is_file():
            shutil.copyfile(wal, place / "data.db-wal")
        yield Case(number, path, database)


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(len(MAGIC))


def _try_all(home: Path, cases: list[Case], dsn: str) -> None:
    states = _run(home, "backup", {case: _backup_job(case) for case in cases})
    for case in cases:
        case.outcomes["backup"] = states[case.number]
        case.outcomes["restore"] = (
            _restored(home, case) if states[case.number] == "success" else "-"
        )
    replicas = {case: _replica_job(case, dsn) for case in cases}
    for step in STEPS[2:]:
        if step == "changed":
            for case in cases:
                _change(case.database, random.Random(case.number))
        states = _run(home, step, replicas)
        for case in cases:
            state = states[case.number]
            if state == "success":
                state = round_trip_values.difference(case.database, dsn, case.schema) or "equal"
            case.outcomes[step] = state


def _backup_job(case: Case) -> dict[str, object]:
    folder = case.database.parent / "backups"
    parameters = {"database": str(case.database), "directory": str(folder), "allow_empty": "true"}
    return {"worker": "backup.run", "with": parameters}


def _replica_job(case: Case, dsn: str) -> dict[str, object]:
    parameters = {
        "database": str(case.database),
        "postgres": dsn,
        "schema": case.schema,
        "on_misfit": "text",
    }
    return {"worker": "replication.run", "with": parameters}


def _run(home: Path, step: str, jobs: Mapping[Case, dict[str, object]]) -> dict[int, str]:
    """Run a job for each case on the command line; return "success" or the cause, by number."""
    config = home / f"{step}.yaml"
    text = {
        "max_concurrent": "2",
        "defaults": {"timeout": "15m"},
        "jobs": {f"case-{case.number}": job for case, job in jobs.items()},
    }
    config.write_text(json.dumps(text))
    state = home / f"state-{step}"
    command = [*_nightshift(state), "--config", str(config), "run", "--all", "--yes", "--local"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    found = {case.number: f"no outcome: {done.stderr.strip()[-200:]}" for case in jobs}
    for line in done.stdout.splitlines():
        run = json.loads(line)
        if "job" in run:
            number = int(run["job"].rpartition("-")[2])
            found[number] = run["state"] if run["state"] == "success" else f"{run['cause']}"
    return found


def _nightshift(state: Path) -> list[str]:
    return [sys.executable, "-m", "supervisor", "--state", str(state)]


def _restored(home: Path, case: Case) -> str:
    """Verify and restore the backup; return "equal", or what is wrong."""
    place, target = case.database.parent, case.database.parent / "restored.db"
    folder = ["--directory", str(place / "backups")]
    nightshift = [*_nightshift(home / "state-restore"), "--config", str(home / "backup.yaml")]
    for words in (
        ["verify", "--all", *folder],
        ["restore", "latest", "--target", str(target), "--local", *folder],
    ):
        done = subprocess.run([*nightshift, "backups", *words], capture_output=True, text=True)
        if done.returncode != 0:
            return f"{words[0]}: {(done.stderr or done.stdout).strip()[-200:]}"
    return "equal" if _dump(case.database) == _dump(target) else "WRONG: .dump differs"


def _dump(database: Path) -> bytes:
    return subprocess.run(["sqlite3", str(database), ".dump"], capture_output=True).stdout


def _change(database: Path, dice: random.Random) -> None:
    """Update, delete and insert a few rows of each table; skip what the schema refuses."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.text_factory = bytes
    try:
        found = round_trip_values.tables(connection)
    except sqlite3.DatabaseError:
        connection.close()
        return  # a damaged file
    try:
        for table, columns in found.items():
            name = round_trip_values.quoted(table)
            for _ in range(ROWS_CHANGED):
                some = round_trip_values.quoted(dice.choice(columns))
                row = f"(SELECT rowid FROM {name} LIMIT 1 OFFSET {dice.randrange(1000)})"
                other = f"(SELECT {some} FROM {name} LIMIT 1 OFFSET {dice.randrange(1000)})"
                rest = ", ".join(map(round_trip_values.quoted, columns[1:]))
                _try(connection, f"UPDATE {name} SET {some} = {other} WHERE rowid = {row}")
                _try(connection, f"DELETE FROM {name} WHERE rowid = {row}")
                if rest:
                    source = f"SELECT {rest} FROM {name} WHERE rowid = {row}"
                    _try(connection, f"INSERT INTO {name} ({rest}) {source}")
    finally:
        connection.close()


def _try(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error:
        return  # a constraint, or a missing collation or function of the owner's program


def _report(cases: list[Case]) -> int:
    counts = {step: Counter[str]() for step in STEPS}
    for case in cases:
        print(f"{case.number:4} {case.origin}")
        for step in STEPS:
            outcome = case.outcomes[step]
            kind = outcome.split(":")[0]
            if kind not in ("success", "equal", "WRONG", "-"):
                kind = "refused"
                print(f"       {step}: {outcome}")
            elif kind == "WRONG":
                print(f"       {step}: {outcome}")
            counts[step][kind] += 1
    print(f"\n{len(cases)} files")
    for step in STEPS:
        print(f"  {step:8} " + ", ".join(f"{n} {kind}" for kind, n in counts[step].most_common()))
    return 1 if any(count["WRONG"] for count in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
