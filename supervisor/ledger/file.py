"""The ledger's file: create, open, check, migrate, quarantine and copy it.

Knows the file and its schema, but not the rows. Invariant: a file that could hold
history is never overwritten; an unusable one is refused or kept under another name.
"""

import contextlib
import errno
import os
import secrets
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

from supervisor.ledger.migrations import MIGRATIONS, SCHEMA_VERSION
from workers.units import is_whole

_SCHEMA = Path(__file__).with_name("schema.sql")
_BESIDE = ("", "-wal", "-shm", "-journal")
# A smaller file is checked at every start, a larger one if it was not closed properly.
CHECKED_BYTES = 32 * 1024**2
# A version further ahead than this is damage, not a newer release.
FURTHEST_VERSION = 1000
_OF_THE_CONTENT = (
    sqlite3.SQLITE_ERROR,  # no such table or column
    sqlite3.SQLITE_INTERNAL,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
)

LedgerPath = tuple[int, int]  # device and inode


class LedgerVersionError(Exception):
    """A ledger that cannot be used at all; the text says what to do."""


class LedgerDamagedError(sqlite3.DatabaseError):
    """A file that SQLite could open but that is damaged."""


class MigrationError(sqlite3.OperationalError):
    """A failed migration step from an older version; nothing was changed."""


def open_ledger(path: Path) -> sqlite3.Connection:
    """Open the ledger at `path`, create it if missing, and check it.

    Raises:
        LedgerVersionError: it is of a newer version, or no ledger.
        sqlite3.OperationalError: it cannot be opened now.
        sqlite3.DatabaseError: it is damaged.
    """
    if os.path.exists(path):
        with contextlib.suppress(OSError):  # SQLite reports the cause
            os.chmod(path, 0o600)
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        os.chmod(path, 0o600)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # KiB. Rows are written once and seldom read again; the default keeps four times as much.
        db.execute("PRAGMA cache_size = -512")
        # `Store.checkpoint_and_optimize` does it once a minute; this is the fallback.
        db.execute("PRAGMA wal_autocheckpoint = 10000")
        # Not by the file's size: a process killed while creating it leaves a first page.
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            if db.execute("PRAGMA page_count").fetchone()[0] > 1:
                raise LedgerDamagedError("its first page is empty")
            _create(db)
        else:
            _check(db, path)
    except BaseException:
        db.close()
        raise
    # A longer wait for another program's lock would delay a tick.
    db.execute("PRAGMA busy_timeout = 100")
    return db


def ledger_path(path: Path) -> LedgerPath | None:
    """Return the device and inode of the file at `path`; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_damage(error: Exception) -> bool:
    """Return whether the error means that the file itself is damaged, permanently."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # primary code of an extended one
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(
        error, LedgerDamagedError
    )


def is_damage_at_start(error: Exception, path: Path) -> bool:
    """Return whether an error of the first read means that the file is unusable.

    Nothing else writes the ledger, so an unexpected table, column or character is
    damage, too. A lock, or a full or read-only disk, is not.
    """
    if isinstance(error, MigrationError):
        return False
    if isinstance(error, ValueError) or is_damage(error) or is_undecoded(error):
        return True
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_READONLY:
            return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN:
            return _cannot_be_read(path)
        case code:
            return code in _OF_THE_CONTENT


def is_undecoded(error: Exception) -> bool:
    """Return whether the error means that a text of a row is not UTF-8."""
    return isinstance(error, UnicodeDecodeError) or "Could not decode" in str(error)


def quarantine(path: Path) -> Path:
    """Rename a damaged ledger and the files beside it; return the new name."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    aside = path.with_name(f"ledger-damaged-{now}.sqlite3")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"ledger-damaged-{now}-{number}.sqlite3")
    for ending in _BESIDE:
        source = path.with_name(path.name + ending)
        if os.path.lexists(source):
            os.rename(source, aside.with_name(aside.name + ending))
    return aside


def what_is_odd(path: Path) -> str:
    """Return why the path cannot hold a ledger; "" if it can, or if nothing is there."""
    for ending in _BESIDE:
        part = path.with_name(path.name + ending)
        if os.path.lexists(part):
            try:
                kind = os.stat(part).st_mode
            except OSError as error:
                return f"{part.name}: {error.strerror}"
            if not stat.S_ISREG(kind):
                return f"{part.name} is no regular file"
    return ""


def what_is_lost(path: Path, newest_log: int) -> str:
    """Return a description of a ledger that disappeared; "" if it is there, or never was.

    The ballast is created after the ledger, and the output of a run after its row.
    """
    if os.path.lexists(path) and os.stat(path).st_size > 0:
        return ""
    if not newest_log and not os.path.lexists(path.with_name("ballast")):
        return ""
    word = "is empty" if os.path.lexists(path) else "is missing"
    found = f"there is output of runs up to {newest_log}" if newest_log else "it was there before"
    return f"the ledger {path} {word}, though {found}"


def newest_log(runs_dir: Path) -> int:
    """Return the largest run number with output on disk; 0 if there is none."""
    with contextlib.suppress(OSError), os.scandir(runs_dir) as entries:
        numbers = (entry.name.partition(".log")[0] for entry in entries if ".log" in entry.name)
        return max((int(n) for n in numbers if is_whole(n) and len(n) < 16), default=0)
    return 0


def copy_beside(db: sqlite3.Connection, path: Path) -> Path:
    """Copy an open ledger to another name beside `path` and return that name."""
    rescued = path.with_name("ledger-rescued.sqlite3")
    rescued.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(rescued)) as copy:
        db.backup(copy)
    for ending in _BESIDE[1:]:  # of the deleted file; SQLite would use them for the copy
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return rescued


def _create(db: sqlite3.Connection) -> None:
    schema = _SCHEMA.read_text()
    instance = f"INSERT INTO meta VALUES ('instance', '{secrets.token_hex(16)}')"
    version = f"PRAGMA user_version = {SCHEMA_VERSION}"
    db.executescript(f"BEGIN; {schema}; {instance}; {version}; COMMIT;")


def _check(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if SCHEMA_VERSION < version < SCHEMA_VERSION + FURTHEST_VERSION:
        raise LedgerVersionError(
            f"ledger {path} is of a newer version ({version}; this one reads up to "
            f"{SCHEMA_VERSION}): use the newer nightshift, or another --state"
        )
    if not 0 <= version <= SCHEMA_VERSION or (version == 0 and _is_ours(db)):
        raise LedgerDamagedError(f"its version is {version}")
    if version == 0:
        raise LedgerVersionError(
            f"{path} is a database, but no ledger of ours: move it away, or use another --state"
        )
    if not _is_left_in_order(db, path) and db.execute("PRAGMA quick_check(1)").fetchone() != (
        "ok",
    ):
        raise LedgerDamagedError("quick_check found damage")
    if version < SCHEMA_VERSION:
        _migrate(db, path, version)


def _is_left_in_order(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is large and was closed properly: a check takes 2 ms a megabyte."""
    if os.stat(path).st_size < CHECKED_BYTES:
        return False
    clean = db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
    return bool(clean == ("1",))


def _is_ours(db: sqlite3.Connection) -> bool:
    named = db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('meta', 'outbox')")
    return bool(named.fetchone() == (2,))


def _cannot_be_read(path: Path) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
    except OSError as error:
        return error.errno in (errno.EIO, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR)
    return False


def _migrate(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Copy an older ledger beside itself, then change it in one transaction."""
    beside = path.with_name(f"ledger-v{version}.sqlite3")
    with contextlib.closing(sqlite3.connect(beside)) as copy:
        db.backup(copy)
    steps = "; ".join(MIGRATIONS[step] for step in range(version, SCHEMA_VERSION))
    try:
        db.executescript(f"BEGIN; {steps}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except sqlite3.OperationalError as error:
        if "duplicate column" in str(error):
            raise LedgerDamagedError(f"its version is {version}") from error
        raise MigrationError(str(error)) from error
