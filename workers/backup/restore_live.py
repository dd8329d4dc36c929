"""Write a verified database into one in use, under its own locks.

SQLite's backup call takes the write lock of the target with its first step and releases it
after the last, in one transaction: writers wait and then read the restored rows, and a crash
leaves the target unchanged. The previous content is copied aside between those steps, so
that no commit can come in between.
Invariant: as in `snapshot.py`, our own descriptor is opened first and closed last.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from workers import sqlite
from workers.backup import introspection, lock_wait, newer_schema, ownership, repository, stream
from workers.backup.errors import BackupError
from workers.backup.repository import ScratchFile
from workers.backup.snapshot import fill
from workers.backup.stream import Step
from workers.sqlite import DatabaseError

# The first step's pages fit this cache, so the file is unchanged until it is copied aside.
_CACHE_KIB = 16 * 1024
_STEP_BYTES = 1 << 20
# A person waits for a restore, and busy writers release the lock only briefly,
# so make many short tries. During each one, new readers are blocked while
# the present ones finish.
LOCK_WAIT_S = 30.0
_TRY_MS = 100
_BETWEEN_TRIES_S = 0.005
_WRITE_VERSION_AT = 18
_ROLLBACK_JOURNAL = b"\1\1"


@dataclass(slots=True)
class _Turn:
    """Progress callback of a backup call; `locked_at` is monotonic, None before the lock."""

    keep_aside: Callable[[], None]
    deadline: float
    page_size: int
    step: Step
    locked_at: float | None = None

    def __call__(self, status: int, remaining: int, total: int) -> None:
        """Handle one step of SQLite, which returned the code `status`."""
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if time.monotonic() > self.deadline:
                raise BackupError(
                    "the target is locked by another program for more than"
                    f" {LOCK_WAIT_S:.0f} s; end its transaction first",
                    permanent=False,
                )
            return
        if self.locked_at is None:
            self.locked_at = time.monotonic()
            self.keep_aside()
        self.step((total - remaining) * self.page_size)


def _unchecked() -> None:
    """Do nothing, because nothing can be cancelled yet."""


def refuse_misfit(target: Path, page_size: int, page_count: int) -> int:
    """Return the target's size in bytes if a copy of this shape can be written into it.

    Raises:
        BackupError: it cannot be opened as a database, or its shape does not allow it.
    """
    if page_count < 2:
        raise BackupError(
            f"the copy holds no table; it is not written into the living database {target}."
            " Restore it to a new path"
        )
    try:
        size_bytes = sqlite.inspect(target).size_bytes
        with closing(newer_schema.opened(target, _unchecked)) as opened:
            lock_wait.begin_reading(opened, _unchecked)
            own = opened.execute("PRAGMA page_size").fetchone()[0]
            wal = opened.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    except DatabaseError as problem:
        raise BackupError(
            f"{problem}; so SQLite's locks cannot guard it. Stop its users, move it and its -wal"
            " away, then restore to its path"
        ) from problem
    if wal and own != page_size:
        raise BackupError(
            f"target {target} is in WAL mode with pages of {own} bytes, the copy has {page_size}:"
            " SQLite cannot write one into the other. Stop its users, move it and its -wal away,"
            " then restore to its path"
        )
    return size_bytes


def write_into(target: Path, scratch: ScratchFile, aside: Path, prefix: str, step: Step) -> float:
    """Replace the content of `target` with `scratch`; return how long it was locked, in seconds.

    aside: where the previous content is kept; it exists only after success.

    Raises:
        DatabaseError, BackupError, sqlite3.Error, OSError: the target is unchanged.
    """
    wal = sqlite.inspect(target).wal
    if not wal:
        # A copied header that says WAL would switch the target to WAL while
        # other programs use it.
        os.pwrite(scratch.descriptor, _ROLLBACK_JOURNAL, _WRITE_VERSION_AT)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with (
            repository.scratch(aside.absolute().parent, prefix) as kept,
            closing(newer_schema.opened(target, lambda: step(0))) as living,
            closing(newer_schema.lenient(introspection.private(scratch.path))) as source,
        ):
            keep = _aside_of_wal if wal else _aside_of_file

            def keep_aside() -> None:
                keep(target, descriptor, kept)
                _name(target, kept, aside)

            try:
                held = _written(source, living, keep_aside, step)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
            _empty_log(living)
        return held
    finally:
        os.close(descriptor)


def _written(
    source: sqlite3.Connection,
    living: sqlite3.Connection,
    keep_aside: Callable[[], None],
    step: Step,
) -> float:
    """Run SQLite's backup call from `source` to `living`; return the seconds of the lock."""
    living.execute(f"PRAGMA busy_timeout = {_TRY_MS}")
    living.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    source.execute("BEGIN")
    shape = introspection.shape(source)
    turn = _Turn(keep_aside, time.monotonic() + LOCK_WAIT_S, shape.page_size, step)
    # At most half of the pages, so that the first step is not the last one.
    pages = min(max(1, _STEP_BYTES // shape.page_size), shape.page_count // 2)
    source.backup(living, pages=pages, progress=turn, sleep=_BETWEEN_TRIES_S)
    ended_at = time.monotonic()
    return ended_at - (turn.locked_at or ended_at)


def _aside_of_wal(target: Path, _descriptor: int, kept: ScratchFile) -> None:
    """Copy the content through a second reader, which a WAL writer does not block."""
    with closing(sqlite.open_beside(target)) as reader:
        newer_schema.lenient(reader)  # pages are copied regardless of their content
        fill(reader, kept.path, -1, lambda: None)


def _aside_of_file(target: Path, descriptor: int, kept: ScratchFile) -> None:
    """Copy the file itself: a rollback journal locks readers out, but it is unchanged yet."""
    place = 0
    while block := os.pread(descriptor, stream.BLOCK_BYTES, place):
        stream.write_all(kept.descriptor, block)
        place += len(block)


def _name(target: Path, kept: ScratchFile, aside: Path) -> None:
    """Sync and rename the kept content before the target changes; copy owner and mode."""
    found = os.stat(target)
    ownership.give(kept.descriptor, found.st_mode, found.st_uid, found.st_gid)
    os.fsync(kept.descriptor)
    os.rename(kept.path, aside)
    repository.synced(aside.absolute().parent)


def _empty_log(living: sqlite3.Connection) -> None:
    """Truncate the log, which is as large as the database; skip it while readers use it."""
    with suppress(sqlite3.OperationalError):
        living.execute("PRAGMA busy_timeout = 1000")
        living.execute("PRAGMA wal_checkpoint(TRUNCATE)")
