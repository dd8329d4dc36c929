"""What a backup will find and need, before anything is written.

The law: nothing is changed here. What speaks against a backup from the start
is said here, in words: a source that is missing, damaged, encrypted or empty, a folder
that is not there, a volume without room. Enter at `look`, then `lack`.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from workers import database
from workers.backup import catalogue, folder, newer, patience, space, stream, tables
from workers.backup.params import Params
from workers.backup.trouble import Trouble
from workers.database import DatabaseTrouble, Face


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known before anything is written; sizes in bytes."""

    face: Face
    copy_bytes: int
    needs: tuple[space.Need, ...]
    makes_folder: bool


def look(params: Params, check: Callable[[], None]) -> Survey:
    """What a backup will find; nothing is written.

    check: called while the database is locked; may raise.

    Raises:
        DatabaseTrouble: the source is missing, a folder, no database, damaged.
        Trouble: it has no tables, or the folders are not there.
    """
    face = _source(params, check)
    makes_folder = not os.path.lexists(params.directory)
    folder.existing(params.directory.absolute().parent if makes_folder else params.directory)
    with open(params.database, "rb") as file:
        copy_bytes = stream.estimate(file.fileno(), face.size_bytes, params.level)
    # SQLite keeps the WAL beside the file itself, not beside a link to it.
    source = Path(os.path.realpath(params.database))
    # What lies in the WAL will be in the copy.
    pending = _size_of(Path(f"{source}-wal")) if face.wal else 0
    size = face.size_bytes + pending
    needed = space.needs(source, params.directory, size, copy_bytes + pending, face.wal)
    return Survey(face, copy_bytes, needed, makes_folder)


def lack(params: Params, seen: Survey) -> str:
    """Why the backup does not fit, with the numbers and what may go; empty if it does.

    Raises:
        Trouble, OSError: a folder cannot be read.
    """
    volumes = space.free([need.folder for need in seen.needs])
    if not space.refusal(seen.needs, volumes, ""):
        return ""  # thousands of copies need not be looked at
    known = [] if seen.makes_folder else catalogue.list_backups(params.directory)
    return space.refusal(seen.needs, volumes, catalogue.removable(known, params.directory))


def _source(params: Params, check: Callable[[], None]) -> Face:
    """The database's face, when it is one with tables."""
    path = params.database
    try:
        face = database.look(path)
    except DatabaseTrouble as trouble:
        if "is no SQLite database" not in trouble.reason:
            raise
        reason = f"{trouble.reason}: no header of one (encrypted, damaged, or another file)"
        raise DatabaseTrouble(path, reason, permanent=True) from trouble
    # Not read-only: the last reader of a log would leave -wal and -shm behind.
    with closing(newer.opened(path, check)) as opened:
        try:
            patience.begin_reading(opened, check)
            empty = tables.count(opened) == 0
        except sqlite3.Error as error:
            raise database.trouble(path, error) from error
    if empty and not params.allow_empty:
        raise Trouble(
            f"database {path} has no tables ({face.size_bytes} bytes); is it the right path?"
            " To back it up all the same: allow_empty: true"
        )
    return face


def _size_of(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
