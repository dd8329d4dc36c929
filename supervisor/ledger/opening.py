"""A ledger's file: made, opened, checked, migrated, put aside, copied.

Knows the file and its schema, and nothing of what is written in it. The law: no
byte of a ledger that could be somebody's history is ever overwritten here; what
cannot be used is refused, or kept under another name.
"""

import contextlib
import os
import secrets
import shutil
import sqlite3
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from supervisor.ledger.migrations import MIGRATIONS, SCHEMA_VERSION

_BESIDE = ("", "-wal", "-shm")

Place = tuple[int, int]  # device and inode


class LedgerRefused(Exception):  # noqa: N818 - we refuse, nothing is broken
    """The ledger cannot be used at all; the text says what to do."""


class Damaged(sqlite3.DatabaseError):
    """The file is not whole, though SQLite could open it."""


def open_ledger(path: Path) -> sqlite3.Connection:
    """The ledger at `path`, made if there is none, and found to be sound.

    Raises:
        LedgerRefused: it is of a newer version, or no ledger.
        sqlite3.OperationalError: it cannot be opened now.
        sqlite3.DatabaseError: it is damaged.
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        os.chmod(path, 0o600)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # `Store.tidy` does it in quiet moments; this is for a day that has none.
        db.execute("PRAGMA wal_autocheckpoint = 10000")
        # Not told from the file's size: who died at its making left the first page of one.
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            _create(db)
        else:
            _check(db, path)
    except BaseException:
        db.close()
        raise
    # Waiting for another program's lock would make a tick late.
    db.execute("PRAGMA busy_timeout = 100")
    return db


def place_of(path: Path) -> Place | None:
    """Which file lies at `path` now; None: there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is what is wrong, and will be tomorrow."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what it extends
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, Damaged)


def put_aside(path: Path) -> Path:
    """Move a damaged ledger to a name that tells what it is; that name."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    aside = path.with_name(f"ledger-damaged-{now}.sqlite3")
    for ending in _BESIDE:
        source = path.with_name(path.name + ending)
        if source.exists():
            shutil.move(source, aside.with_name(aside.name + ending))
    return aside


def copy_beside(db: sqlite3.Connection, path: Path) -> Path:
    """A whole copy of an open ledger, under another name beside `path`."""
    rescued = path.with_name("ledger-rescued.sqlite3")
    rescued.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(rescued)) as copy:
        db.backup(copy)
    for ending in _BESIDE[1:]:  # of the file that is gone; they would be taken for the copy's
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return rescued


def _create(db: sqlite3.Connection) -> None:
    schema = files("supervisor.ledger").joinpath("schema.sql").read_text()
    instance = f"INSERT INTO meta VALUES ('instance', '{secrets.token_hex(16)}')"
    version = f"PRAGMA user_version = {SCHEMA_VERSION}"
    db.executescript(f"BEGIN; {schema}; {instance}; {version}; COMMIT;")


def _check(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise LedgerRefused(
            f"ledger {path} is of a newer version ({version}; this one reads up to "
            f"{SCHEMA_VERSION}): use the newer nightshift, or another --state"
        )
    if version == 0:
        raise LedgerRefused(
            f"{path} is a database, but no ledger of ours: move it away, or use another --state"
        )
    if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise Damaged("quick_check found damage")
    if version < SCHEMA_VERSION:
        _migrate(db, path, version)


def _migrate(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Copy an older ledger beside itself, then change it in one transaction."""
    beside = path.with_name(f"ledger-v{version}.sqlite3")
    with contextlib.closing(sqlite3.connect(beside)) as copy:
        db.backup(copy)
    steps = "; ".join(MIGRATIONS[step] for step in range(version, SCHEMA_VERSION))
    db.executescript(f"BEGIN; {steps}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
