"""Open a SQLite database of another program without harming it.

This module checks what must hold before a worker connects: the file exists, is SQLite,
and its owner can still use it afterwards. It also turns SQLite's errors into sentences.
Schemas and the workers' queries are elsewhere.
Invariant: no function here creates a database, and every file is inspected before it is
opened. Enter at `open_existing`; describe later errors with `error_of`.
"""

import math
import os
import pwd
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from workers import volume
from workers.sqlite_connection import connect, is_lock_error, kind_of, name_of

BUSY_TIMEOUT_S = 10.0
# Longest delay before a cancellation is noticed while SQLite works.
_LOOK_EVERY_S = 0.1
_HEADER_BYTES = 20
_MAGIC = b"SQLite format 3\0"
# Locks, full disks and I/O errors may be temporary; these errors are not.
_PERMANENT = frozenset(
    {"SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_PERM", "SQLITE_READONLY"}
)
# A writer was killed; only a connection that may write can roll back its changes.
_TO_BE_UNDONE = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY")
# SQLite allocates at least this much for the index of a WAL (-shm).
_INDEX_BYTES = 32 * 1024
T = TypeVar("T")


class DatabaseError(Exception):
    """A database that cannot be used in its present state.

    path: the database. reason: a sentence without its subject. permanent: whether a
    later attempt would fail in the same way.
    """

    def __init__(self, path: Path, reason: str, permanent: bool) -> None:
        super().__init__(f"database {path} {reason}")
        self.path = path
        self.reason = reason
        self.permanent = permanent


class DatabaseLockedError(DatabaseError):
    """A database locked by another connection; waited_s: how long the lock was awaited."""

    def __init__(self, path: Path, waited_s: float, by: str = "another program") -> None:
        # Below 1 s nothing was awaited: SQLite fails at once if waiting would deadlock.
        how_long = f" for more than {int(waited_s)} s" if waited_s >= 1 else ""
        super().__init__(path, f"is locked by {by}{how_long}", permanent=False)
        self.waited_s = waited_s


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """Properties of a database file read without SQLite; `size_bytes` may be 0."""

    path: Path
    size_bytes: int
    wal: bool
    owner_uid: int
    group_gid: int
    mode: int


def inspect(path: Path) -> DatabaseInfo:
    """Return the properties of the SQLite database at `path`; an empty file counts as one.

    Call this before connecting: closing any descriptor of a database drops the
    locks that SQLite holds on it in the same process.

    Raises:
        DatabaseError: missing, unreadable, not a regular file or not SQLite.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise DatabaseError(path, "is no plain file", permanent=True)
        with open(path, "rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError as error:
        raise DatabaseError(path, "does not exist", permanent=True) from error
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise DatabaseError(path, reason, permanent=True) from error
    if header and not (header.startswith(_MAGIC) and len(header) == _HEADER_BYTES):
        raise DatabaseError(path, "is no SQLite database", permanent=True)
    # Header bytes 18 and 19 are the write and read versions; 2 means WAL.
    wal = header[18:20] == b"\2\2"
    mode = stat.S_IMODE(found.st_mode)
    return DatabaseInfo(path, found.st_size, wal, found.st_uid, found.st_gid, mode)


def refuse_lockout(face: DatabaseInfo) -> None:
    """Raise if opening the database could leave its owner unable to use it.

    The first process to open a WAL database creates `-wal` and `-shm` as its own user with
    the database's mode. If it is killed they remain, and an owner who cannot write them is
    locked out. Root is allowed, because SQLite then gives both files to the database's
    owner. Existing files prove nothing, since the owner may close meanwhile.

    Raises:
        DatabaseError: a WAL database of another user without a shared group.
    """
    ours = os.geteuid()
    if not face.wal or ours in (0, face.owner_uid) or face.owner_uid == 0:
        return
    if face.mode & stat.S_IWOTH or (face.mode & stat.S_IWGRP and _shares_group(face)):
        return
    owner = _user(face.owner_uid)
    unit_user = owner.removeprefix("uid ")
    raise DatabaseError(
        face.path,
        f"is in WAL mode and belongs to {owner}; as {_user(ours)} this run could leave -wal and"
        f" -shm files that {owner} cannot write. Run it as that user ("
        f'user: "{face.owner_uid}:{face.group_gid}" in compose, User={unit_user} in a unit)',
        permanent=True,
    )


def open_existing(
    path: Path, *, read_only: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Return a connection to the existing database at `path`, in autocommit mode.

    Any thread may use and interrupt the connection, one at a time.

    Raises:
        DatabaseError: `inspect` or `refuse_lockout` failed, or SQLite cannot open it.
    """
    face = inspect(path)
    refuse_lockout(face)
    try:
        database = open_beside(path, read_only=read_only, busy_timeout_s=busy_timeout_s)
    except sqlite3.Error as error:
        raise _refused(face, error) from error
    try:
        database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error as error:
        database.close()
        if not (read_only and name_of(error) in _TO_BE_UNDONE):
            raise _refused(face, error) from error
        open_existing(path, busy_timeout_s=busy_timeout_s).close()
        return open_existing(path, read_only=True, busy_timeout_s=busy_timeout_s)
    return database


def open_beside(
    path: Path, *, read_only: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Return another connection to a database that this process has open already.

    The file is not inspected, unlike in `open_existing`, because closing a descriptor of it
    would drop the locks of the first connection. Raises: sqlite3.Error.
    """
    mode = "ro" if read_only else "rw"
    # Absolute and quoted, because a URI gives `?`, `#` and `%` a meaning.
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={mode}"
    return connect(uri, busy_timeout_s)


def with_progress(
    connection: sqlite3.Connection, work: Callable[[], T], check: Callable[[], None]
) -> T:
    """Return the result of `work()`, run in a thread that alone uses `connection`.

    `check` is called first, and then ten times a second. An exception from it interrupts
    the work and is re-raised. Reason: a thread that waits for SQLite does not see a signal,
    and one PRAGMA may take minutes.
    """
    check()
    with ThreadPoolExecutor(1, "sqlite") as lane:
        doing = lane.submit(work)
        try:
            while wait((doing,), timeout=_LOOK_EVERY_S).not_done:
                check()
        except BaseException:
            # Repeatedly, because an interrupt between two statements has no effect.
            while wait((doing,), timeout=_LOOK_EVERY_S).not_done:
                connection.interrupt()
            raise
        return doing.result()


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the error says that the file itself is corrupt."""
    return kind_of(error) in ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def is_foreign(error: sqlite3.Error) -> bool:
    """Return whether a statement needs a collation or function of the owner's program."""
    return kind_of(error) == "SQLITE_ERROR"


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock and commit all changes made inside, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk SQLite may have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def error_of(path: Path, error: sqlite3.Error) -> DatabaseError:
    """Return `error` as a DatabaseError about `path`."""
    if is_lock_error(error):
        # SQLITE_LOCKED is a conflict on a table within one process.
        by = "another connection" if kind_of(error) == "SQLITE_LOCKED" else "another program"
        return DatabaseLockedError(path, getattr(error, "waited_s", 0.0), by)
    name, folder = kind_of(error), _folder(path)
    # If the mapped index of a WAL cannot grow, SQLite reports an I/O error without a reason.
    if name == "SQLITE_IOERR" and _free_bytes(folder) < _INDEX_BYTES:
        name = "SQLITE_FULL"
    permanent = name in _PERMANENT or isinstance(error, sqlite3.IntegrityError)
    if name_of(error) in _TO_BE_UNDONE:
        permanent = _is_read_only(folder)
    return DatabaseError(path, _words(name, error, folder), permanent)


def _refused(face: DatabaseInfo, error: sqlite3.Error) -> DatabaseError:
    """Return the error for a database that could not be opened."""
    failure, folder = error_of(face.path, error), _folder(face.path)
    if kind_of(error) == "SQLITE_ERROR":  # an error in its own schema, which SQLite cannot parse
        return DatabaseError(face.path, failure.reason, permanent=True)
    lacks_files = kind_of(error) in ("SQLITE_CANTOPEN", "SQLITE_READONLY")
    if not (face.wal and lacks_files) or os.access(folder, os.W_OK):
        return failure
    why = (
        "is on a read-only file system"
        if _is_read_only(folder)
        else f"cannot be written by {_user(os.geteuid())}"
    )
    return DatabaseError(
        face.path,
        f"is in WAL mode, for which SQLite has to write -wal and -shm files beside it even to"
        f" read, and {folder} {why}; make it writable, or let the database's owner set"
        " PRAGMA journal_mode = DELETE",
        permanent=True,
    )


def _words(name: str, error: sqlite3.Error, folder: Path) -> str:
    """Return what SQLite's error means for the database; no text is used as a template."""
    if _is_read_only(folder):
        access = f"{folder} is on a read-only file system"
    else:
        access = f"check the owner and mode of it and of {folder}"
    if name_of(error) in _TO_BE_UNDONE:
        undone = "has what a killed writer left half done"
        return f"{undone}, and {access}" if _is_read_only(folder) else f"{undone}; run again"
    match name:
        case "SQLITE_FULL":
            return f"cannot grow: the disk is full; make room on the volume of {folder}"
        case "SQLITE_READONLY":
            return f"cannot be written; {access}"
        case "SQLITE_CANTOPEN":
            return f"cannot be opened; {access}"
        case "SQLITE_NOTADB":
            return "is no SQLite database"
        case "SQLITE_CORRUPT":
            return "is damaged; restore it from a backup"
    return f"fails: {error}"


def _folder(path: Path) -> Path:
    """Return the folder of the file after links are resolved; SQLite puts -wal there."""
    return Path(os.path.realpath(path)).parent


def _is_read_only(folder: Path) -> bool:
    try:
        return volume.is_read_only(folder)
    except OSError:
        return False


def _free_bytes(folder: Path) -> float:
    """Return the bytes free for this user on the folder's volume; infinity if unknown."""
    try:
        return volume.space(folder).free_bytes
    except OSError:
        return math.inf


def _shares_group(face: DatabaseInfo) -> bool:
    """Return whether the owner is in the group that a file created by us beside it gets."""
    folder = os.stat(face.path.absolute().parent)
    made_gid = folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()
    groups = {face.group_gid}
    # A container's uid may have no name; then only the database's own group counts.
    with suppress(KeyError):
        owner = pwd.getpwuid(face.owner_uid)
        groups |= set(os.getgrouplist(owner.pw_name, owner.pw_gid))
    return made_gid in groups


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
