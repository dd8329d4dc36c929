"""Check what a backup will find and need, before anything is written.

Invariant: nothing is changed here. Problems known from the start are reported as text: a
source that is missing, damaged, encrypted or empty, a missing folder, a full volume. Enter
at `check_source`, then `why_not_enough_space`.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from workers import sqlite
from workers.backup import (
    disk_space,
    introspection,
    listing,
    lock_wait,
    newer_schema,
    repository,
    stream,
)
from workers.backup.errors import BackupError
from workers.backup.settings import Destination, Source
from workers.file_length import refuse_cut_short
from workers.sqlite import DatabaseError, DatabaseInfo


@dataclass(frozen=True, slots=True)
class Preflight:
    """The facts known before anything is written; sizes in bytes."""

    info: DatabaseInfo
    copy_bytes: int
    needs: tuple[disk_space.Need, ...]
    makes_folder: bool


def check_source(source: Source, destination: Destination, check: Callable[[], None]) -> Preflight:
    """Return what a backup will find and need, without writing anything.

    check: called while the database is locked; may raise.

    Raises:
        DatabaseError: the source is missing, a folder, not a database, or damaged.
        BackupError: it has no tables, or a folder does not exist.
    """
    info, directory = _checked(source, check), destination.directory
    makes_folder = not os.path.lexists(directory)
    repository.existing(directory.absolute().parent if makes_folder else directory)
    with open(source.path, "rb") as file:
        copy_bytes = stream.estimate(file.fileno(), info.size_bytes, destination.level)
    # The content of the WAL will be in the copy.
    pending = _size_of(Path(f"{source.file}-wal")) if info.wal else 0
    size = info.size_bytes + pending
    needed = disk_space.needs(source.file, directory, size, copy_bytes + pending, info.wal)
    return Preflight(info, copy_bytes, needed, makes_folder)


def why_not_enough_space(directory: Path, seen: Preflight) -> str:
    """Return why the backup does not fit and what may be removed, or an empty string.

    Raises:
        BackupError, OSError: a folder cannot be read.
    """
    volumes = disk_space.free([need.folder for need in seen.needs])
    if not disk_space.refusal(seen.needs, volumes, ""):
        return ""  # avoids listing thousands of copies
    known = [] if seen.makes_folder else listing.list_backups(directory)
    return disk_space.refusal(seen.needs, volumes, listing.removable(known, directory))


def _checked(source: Source, check: Callable[[], None]) -> DatabaseInfo:
    """Return the properties of the database after checking that it has tables."""
    path = source.path
    try:
        info = sqlite.inspect(path)
    except DatabaseError as problem:
        if "is no SQLite database" not in problem.reason:
            raise
        reason = f"{problem.reason}: no header of one (encrypted, damaged, or another file)"
        raise DatabaseError(path, reason, permanent=True) from problem
    # Not read-only: closing the last read-only connection would leave -wal and -shm behind.
    with closing(newer_schema.opened(path, check)) as opened:
        try:
            lock_wait.begin_reading(opened, check)
            refuse_cut_short(path, opened)
            empty = introspection.count(opened) == 0
        except sqlite3.Error as error:
            raise sqlite.error_of(path, error) from error
    if empty and not source.allow_empty:
        raise BackupError(
            f"database {path} has no tables ({info.size_bytes} bytes); is it the right path?"
            " To back it up all the same: allow_empty: true"
        )
    return info


def _size_of(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
