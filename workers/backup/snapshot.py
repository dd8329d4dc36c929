"""Take a consistent snapshot of a database in use, as bytes to be read once.

*Frozen*, in WAL mode: with the write lock held briefly, the log is checkpointed completely
and a reader takes read-lock 0, under which no process may write to the main file. The file
is then read directly while writers append to the log. *Copied*, for a rollback journal or
when the log cannot be emptied: SQLite copies the pages into a scratch file under one read
transaction, which no writer can starve.
Invariant: our own descriptor of the main file is opened before SQLite's and closed after
them, because closing it drops SQLite's locks in this process.
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

from workers import sqlite
from workers.backup import introspection, lock_wait, newer_schema, repository
from workers.backup.errors import BackupError, from_os_error
from workers.backup.manifest import Shape
from workers.file_length import refuse_cut_short
from workers.units import format_duration

FROZEN, COPIED = "frozen", "copied"
_USE_WAL = "with PRAGMA journal_mode = WAL they would wait for milliseconds"
# Checkpoints before the lock is taken, so that little is left to do while writers wait.
_CHECKPOINTS_BEFORE = 3
_COPY_STEP_BYTES = 16 << 20
# If the write lock is held for longer, use the other method, which needs no such lock.
_LOCK_WAIT_MS = 2000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The first `size_bytes` of `descriptor`, which are the database at one time.

    taken_at: seconds since the epoch. rows: by table, counted concurrently.
    advice: how to make writers wait less, or empty.
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
    """Yield a snapshot of the database at `path`, valid inside the context.

    prefix: of a scratch file, if one is needed. check: called regularly while SQLite
    copies; an exception from it ends the snapshot.

    Raises:
        DatabaseError, sqlite3.Error: it cannot be read.
        BackupError: it was replaced meanwhile, or there is no room for the scratch file.
    """
    info = sqlite.inspect(path)
    sqlite.refuse_lockout(info)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with closing(newer_schema.opened(path, check)) as first:
            _refuse_replaced(path, descriptor)
            why, held = "", 0.0
            if info.wal:
                with closing(sqlite.open_beside(path)) as second:
                    if newer_schema.is_lenient(first):
                        newer_schema.lenient(second)
                    held, why = _freeze(first, second)
                    if not why:
                        yield from _frozen(descriptor, second, held)
                        return
            yield from _copied((path, descriptor), first, prefix, check, (why, held))
    finally:
        os.close(descriptor)


def _freeze(first: sqlite3.Connection, second: sqlite3.Connection) -> tuple[float, str]:
    """Put `second` on read-lock 0; return how long writers were held, and why it failed."""
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
        # A connection that holds the write lock cannot checkpoint, so use `second`.
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
    shape = introspection.shape(reader)
    size_bytes = shape.page_size * shape.page_count
    before = os.fstat(descriptor)
    with _counting(reader) as rows:
        yield Snapshot(descriptor, size_bytes, shape, rows, taken_at, FROZEN, held, "")
    after = os.fstat(descriptor)
    # Impossible while read-lock 0 is held; detects a file system whose locks do
    # not work, or a program that ignores them.
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise BackupError("the database's main file was written to in spite of our lock", False)


def _copied(
    main: tuple[Path, int],
    source: sqlite3.Connection,
    prefix: Path,
    check: Callable[[], None],
    failed: tuple[str, float],
) -> Iterator[Snapshot]:
    (path, descriptor), (why, held) = main, failed
    with repository.scratch(prefix.parent, prefix.name) as scratch:
        # With an open read transaction a copy in steps does not restart at each
        # commit, and can be cancelled between the steps.
        lock_wait.begin_reading(source, check)
        refuse_cut_short(path, source)
        began, taken_at = time.monotonic(), time.time()
        step = max(1, _COPY_STEP_BYTES // introspection.shape(source).page_size)
        fill(source, scratch.path, step, check)
        source.execute("ROLLBACK")
        newer_schema.keep_version(descriptor, scratch.descriptor)
        advice = f"copied through a scratch file: {why}"
        if not why:
            held = time.monotonic() - began
            advice = (
                f"writers had to wait {format_duration(held)} for one copy of {path.name};"
                f" {_USE_WAL}"
            )
        with closing(newer_schema.private(scratch.path)) as copy:
            shape = introspection.shape(copy)
            size_bytes = shape.page_size * shape.page_count
            with _counting(copy) as rows:
                yield Snapshot(
                    *(scratch.descriptor, size_bytes, shape, rows, taken_at, COPIED, held, advice)
                )


def fill(source: sqlite3.Connection, scratch: Path, pages: int, check: Callable[[], None]) -> None:
    """Copy what `source` reads into an empty scratch file, `pages` at a time.

    Raises:
        BackupError: the scratch file's volume is full.
        sqlite3.Error: the source cannot be read.
    """
    try:
        with closing(introspection.to_be_filled(scratch)) as target:
            source.backup(target, pages=pages, progress=lambda *_: check())
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise from_os_error(f"copy into {scratch}", scratch.parent, full) from error


@contextmanager
def _counting(connection: sqlite3.Connection) -> Iterator[Future[dict[str, int]]]:
    """Count the rows by table in a thread while the context runs."""
    with ThreadPoolExecutor(1, "rows") as lane:
        try:
            yield lane.submit(introspection.rows, connection)
        except BaseException:
            connection.interrupt()
            raise


def _refuse_replaced(path: Path, descriptor: int) -> None:
    ours, present = os.fstat(descriptor), os.stat(path)
    if (ours.st_dev, ours.st_ino) != (present.st_dev, present.st_ino):
        raise BackupError(f"database {path} was replaced while it was opened", permanent=False)
