"""A consistent snapshot of a living database, as bytes to be read once.

Two ways. *Frozen*, in WAL mode: with the write lock held for an instant the
log is emptied into the main file, and a reader is put on read-lock 0, under
which nobody may write to the main file; the file is then read as it stands,
while writers go on into the log. *Copied*, for a rollback journal and for
whatever keeps the log from being emptied: SQLite copies the pages into a
scratch file under one read transaction, which no writer can starve.
The law: our own descriptor of the main file is opened before SQLite's and
closed after them, since closing it drops SQLite's locks in this process.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from workers import database
from workers.backup import folder, newer, patience, tables
from workers.backup.manifest import Shape
from workers.backup.trouble import Trouble, of_system
from workers.units import format_duration

FROZEN, COPIED = "frozen", "copied"
_USE_WAL = "with PRAGMA journal_mode = WAL they would wait for milliseconds"
# The log is emptied beforehand this often, so that little is left to do while writers wait.
_CHECKPOINTS_BEFORE = 3
_COPY_STEP_BYTES = 16 << 20
# Who holds the write lock for longer is not waited for: the other way needs no such lock.
_LOCK_WAIT_MS = 2000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The first `size_bytes` of `descriptor` are the database at one instant.

    taken_at: seconds since the epoch. rows: by table, being counted meanwhile.
    advice: what would spare the writers, or empty.
    """

    descriptor: int
    size_bytes: int
    shape: Shape
    rows: Future[dict[str, int]]
    taken_at: float
    method: str
    writers_held_seconds: float
    advice: str


@contextmanager
def snapshot(path: Path, prefix: Path, check: Callable[[], None]) -> Iterator[Snapshot]:
    """The database at `path`, held still as long as the context lasts.

    prefix: of a scratch file, should one be needed. check: called now and
    then while SQLite copies; what it raises ends the snapshot.

    Raises:
        DatabaseTrouble, sqlite3.Error: it cannot be read.
        Trouble: it was replaced meanwhile, or there is no room for scratch.
    """
    face = database.look(path)
    database.refuse_lockout(face)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with closing(newer.opened(path, check)) as first:
            _refuse_replaced(path, descriptor)
            why, held = "", 0.0
            if face.wal:
                with closing(tables.beside(path, database.BUSY_TIMEOUT_S)) as second:
                    if newer.is_lenient(first):
                        newer.lenient(second)
                    held, why = _freeze(first, second)
                    if not why:
                        yield from _frozen(descriptor, second, held)
                        return
            yield from _copied((path, descriptor), first, prefix, check, (why, held))
    finally:
        os.close(descriptor)


def _freeze(first: sqlite3.Connection, second: sqlite3.Connection) -> tuple[float, str]:
    """Leave `second` on read-lock 0; how long writers were held, and why it failed."""
    try:
        for _ in range(_CHECKPOINTS_BEFORE):
            busy, pages, moved = first.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if busy or pages == moved:
                break
        first.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_MS}")
        first.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return 0.0, f"the write lock could not be had ({error})"
    began = time.monotonic()
    try:
        # On `first` it would fail: a connection that writes cannot checkpoint.
        busy, pages, moved = second.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or pages < 0 or pages != moved:
            return time.monotonic() - began, "an old reader or a checkpoint keeps the WAL in use"
        second.execute("BEGIN")
        second.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    finally:
        first.execute("ROLLBACK")
    return time.monotonic() - began, ""


def _frozen(descriptor: int, reader: sqlite3.Connection, held: float) -> Iterator[Snapshot]:
    taken_at = time.time()
    shape = tables.shape(reader)
    size_bytes = shape.page_size * shape.page_count
    before = os.fstat(descriptor)
    with _counting(reader) as rows:
        yield Snapshot(descriptor, size_bytes, shape, rows, taken_at, FROZEN, held, "")
    after = os.fstat(descriptor)
    # Cannot be while read-lock 0 is held; a file system whose locks do not
    # hold, or a program that ignores them, shows itself here.
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise Trouble("the database's main file was written to in spite of our lock", False)


def _copied(
    main: tuple[Path, int],
    source: sqlite3.Connection,
    prefix: Path,
    check: Callable[[], None],
    failed: tuple[str, float],
) -> Iterator[Snapshot]:
    (path, descriptor), (why, held) = main, failed
    with folder.scratch(prefix.parent, prefix.name) as scratch:
        # With a read transaction open, a copy in steps does not start again
        # at each commit, and can be ended between them.
        patience.begin_reading(source, check)
        began, taken_at = time.monotonic(), time.time()
        step = max(1, _COPY_STEP_BYTES // tables.shape(source).page_size)
        fill(source, scratch.path, step, check)
        source.execute("ROLLBACK")
        newer.keep_version(descriptor, scratch.descriptor)
        advice = f"copied through a scratch file: {why}"
        if not why:
            held = time.monotonic() - began
            advice = (
                f"writers had to wait {format_duration(held)} for one copy of {path.name};"
                f" {_USE_WAL}"
            )
        with closing(newer.private(scratch.path)) as copy:
            shape = tables.shape(copy)
            size_bytes = shape.page_size * shape.page_count
            with _counting(copy) as rows:
                yield Snapshot(
                    *(scratch.descriptor, size_bytes, shape, rows, taken_at, COPIED, held, advice)
                )


def fill(source: sqlite3.Connection, scratch: Path, pages: int, check: Callable[[], None]) -> None:
    """Copy what `source` reads into an empty scratch file, `pages` at a time.

    Raises:
        Trouble: the scratch file's volume is full.
        sqlite3.Error: the source cannot be read.
    """
    try:
        with closing(tables.to_be_filled(scratch)) as target:
            source.backup(target, pages=pages, progress=lambda *_: check())
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise of_system(f"copy into {scratch}", scratch.parent, full) from error


@contextmanager
def _counting(connection: sqlite3.Connection) -> Iterator[Future[dict[str, int]]]:
    """Rows by table, counted in a thread beside whatever the context does."""
    with ThreadPoolExecutor(1, "rows") as lane:
        try:
            yield lane.submit(tables.rows, connection)
        except BaseException:
            connection.interrupt()
            raise


def _refuse_replaced(path: Path, descriptor: int) -> None:
    ours, present = os.fstat(descriptor), os.stat(path)
    if (ours.st_dev, ours.st_ino) != (present.st_dev, present.st_ino):
        raise Trouble(f"database {path} was replaced while it was opened", permanent=False)
