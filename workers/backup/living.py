"""Writing a proven database into a living one, under its own locks.

SQLite's backup call takes the write lock of the target with its first step
and lets go with its last, in one transaction: writers wait, and then read the
restored rows; a crash leaves the target as it was. The present content is
copied aside between those steps, so that no commit can fall in between.
The law: as in `snapshot.py`, our own descriptor is opened first, closed last.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from workers import database
from workers.backup import folder, newer, ownership, patience, stream, tables
from workers.backup.folder import Scratch
from workers.backup.snapshot import fill
from workers.backup.stream import Step
from workers.backup.trouble import Trouble
from workers.database import DatabaseTrouble

# Pages of one step stay in this cache: none reaches the file before the copy aside is made.
_CACHE_KIB = 16 * 1024
_STEP_BYTES = 1 << 20
# A person waits for a restore, and busy writers leave the lock free for moments
# only: many short tries. Inside one, new readers are held off while the present
# ones leave.
LOCK_WAIT_S = 30.0
_TRY_MS = 100
_BETWEEN_TRIES_S = 0.005
_WRITE_VERSION_AT = 18
_ROLLBACK_JOURNAL = b"\1\1"


@dataclass(slots=True)
class _Turn:
    """Between the steps of one backup call; `locked_at` is monotonic, None before the lock."""

    keep_aside: Callable[[], None]
    deadline: float
    page_size: int
    step: Step
    locked_at: float | None = None

    def __call__(self, status: int, remaining: int, total: int) -> None:
        """SQLite has made a step; `status` is its code."""
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            if time.monotonic() > self.deadline:
                raise Trouble(
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
    """Nothing can be ended yet."""


def refuse_misfit(target: Path, page_size: int, page_count: int) -> int:
    """The target's size in bytes, if a copy of this shape can be written into it.

    Raises:
        Trouble: it cannot be opened as a database, or its shape forbids it.
    """
    if page_count < 2:
        raise Trouble(
            f"the copy holds no table; it is not written into the living database {target}."
            " Restore it to a new path"
        )
    try:
        size_bytes = database.look(target).size_bytes
        with closing(newer.opened(target, _unchecked)) as opened:
            patience.begin_reading(opened, _unchecked)
            own = opened.execute("PRAGMA page_size").fetchone()[0]
            wal = opened.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    except DatabaseTrouble as trouble:
        raise Trouble(
            f"{trouble}; so SQLite's locks cannot guard it. Stop its users, move it and its -wal"
            " away, then restore to its path"
        ) from trouble
    if wal and own != page_size:
        raise Trouble(
            f"target {target} is in WAL mode with pages of {own} bytes, the copy has {page_size}:"
            " SQLite cannot write one into the other. Stop its users, move it and its -wal away,"
            " then restore to its path"
        )
    return size_bytes


def write_into(target: Path, scratch: Scratch, aside: Path, prefix: str, step: Step) -> float:
    """Make the content of `target` that of `scratch`; how long it was locked, in seconds.

    aside: where the content before is kept; there only if all went well.

    Raises:
        DatabaseTrouble, Trouble, sqlite3.Error, OSError: the target is as before.
    """
    wal = database.look(target).wal
    if not wal:
        # A log's mark in the copied header would turn the target to WAL under
        # the feet of its users.
        os.pwrite(scratch.descriptor, _ROLLBACK_JOURNAL, _WRITE_VERSION_AT)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with (
            folder.scratch(aside.absolute().parent, prefix) as kept,
            closing(newer.opened(target, lambda: step(0))) as living,
            closing(newer.lenient(tables.private(scratch.path))) as source,
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
    """SQLite's backup call from `source` into `living`; how long it held the lock, in seconds."""
    living.execute(f"PRAGMA busy_timeout = {_TRY_MS}")
    living.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    source.execute("BEGIN")
    shape = tables.shape(source)
    turn = _Turn(keep_aside, time.monotonic() + LOCK_WAIT_S, shape.page_size, step)
    # Half at most: the first step must not be the last, too.
    pages = min(max(1, _STEP_BYTES // shape.page_size), shape.page_count // 2)
    source.backup(living, pages=pages, progress=turn, sleep=_BETWEEN_TRIES_S)
    ended_at = time.monotonic()
    return ended_at - (turn.locked_at or ended_at)


def _aside_of_wal(target: Path, _descriptor: int, kept: Scratch) -> None:
    """Through a second reader, which a writer does not hinder."""
    with closing(tables.beside(target, database.BUSY_TIMEOUT_S)) as reader:
        newer.lenient(reader)  # pages are copied, whatever stands in them
        fill(reader, kept.path, -1, lambda: None)


def _aside_of_file(target: Path, descriptor: int, kept: Scratch) -> None:
    """Under a rollback journal the lock lets no reader in; nothing is in the file yet."""
    place = 0
    while block := os.pread(descriptor, stream.BLOCK_BYTES, place):
        stream.write_all(kept.descriptor, block)
        place += len(block)


def _name(target: Path, kept: Scratch, aside: Path) -> None:
    """On disk and under its name before the target changes; as readable as the target is."""
    found = os.stat(target)
    ownership.give(kept.descriptor, found.st_mode, found.st_uid, found.st_gid)
    os.fsync(kept.descriptor)
    os.rename(kept.path, aside)
    folder.synced(aside.absolute().parent)


def _empty_log(living: sqlite3.Connection) -> None:
    """The log is as long as the database now; if readers keep it, it stays so for a while."""
    with suppress(sqlite3.OperationalError):
        living.execute("PRAGMA busy_timeout = 1000")
        living.execute("PRAGMA wal_checkpoint(TRUNCATE)")
