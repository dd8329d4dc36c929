"""Opening a SQLite database of another program without harming it.

Here: what must hold before a worker connects - the file is there, is SQLite,
and its owner will still be able to use it afterwards - and one sentence for
each way in which SQLite refuses. Not here: any schema, any query of a worker.
The law: nothing in this file creates a database, and nothing is opened that
has not been looked at first. Enter at `open_existing`; name what goes wrong
later with `trouble`.
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

from workers.sqlite_connection import connect, is_lock_error, kind_of, name_of

BUSY_TIMEOUT_S = 10.0
# How long a wish to end may wait while SQLite works.
_LOOK_EVERY_S = 0.1
_HEADER_BYTES = 20
_MAGIC = b"SQLite format 3\0"
# A lock, a full disk or an I/O error may pass by itself; these do not.
_PERMANENT = frozenset(
    {"SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_PERM", "SQLITE_READONLY"}
)
# A writer was killed, and only who may write can undo what it had begun.
_TO_BE_UNDONE = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY")
# What SQLite asks for at least when it makes the index of a WAL.
_INDEX_BYTES = 32 * 1024
T = TypeVar("T")


class DatabaseError(Exception):
    """A database that cannot be used as it is.

    path: the database. reason: a sentence without its subject. permanent:
    whether a later attempt would meet the same.
    """

    def __init__(self, path: Path, reason: str, permanent: bool) -> None:
        super().__init__(f"database {path} {reason}")
        self.path = path
        self.reason = reason
        self.permanent = permanent


class DatabaseLockedError(DatabaseError):
    """A lock stands in the way; waited_s: for how long it did."""

    def __init__(self, path: Path, waited_s: float, by: str = "another program") -> None:
        # Less is no waiting: SQLite says at once that it would wait for ever.
        how_long = f" for more than {int(waited_s)} s" if waited_s >= 1 else ""
        super().__init__(path, f"is locked by {by}{how_long}", permanent=False)
        self.waited_s = waited_s


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """What a database file shows from outside; `size_bytes` may be 0."""

    path: Path
    size_bytes: int
    wal: bool
    owner_uid: int
    group_gid: int
    mode: int


def inspect(path: Path) -> DatabaseInfo:
    """The face of the SQLite database at `path`; an empty file counts as one.

    Call it before connecting: closing a descriptor of a database drops the
    locks that SQLite holds on it in the same process.

    Raises:
        DatabaseTrouble: missing, not readable, no plain file, not SQLite.
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
    # Bytes 18 and 19 are the versions needed to write and to read: 2 is WAL.
    wal = header[18:20] == b"\2\2"
    mode = stat.S_IMODE(found.st_mode)
    return DatabaseInfo(path, found.st_size, wal, found.st_uid, found.st_gid, mode)


def refuse_lockout(face: DatabaseInfo) -> None:
    """Nothing, if the owner can go on using the database after we opened it.

    Whoever opens a WAL database first makes its `-wal` and `-shm`, as a user
    of its own and with the database's mode; killed, it leaves them behind,
    and an owner who cannot write them is locked out. Root is free to come:
    SQLite then gives both files to the database's owner. That they exist at
    this moment proves nothing, since the owner may close meanwhile.

    Raises:
        DatabaseTrouble: a WAL database of another user without a shared group.
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
    """A connection to the database at `path`, in autocommit mode, never a new one.

    Any thread may use and interrupt it, one at a time.

    Raises:
        DatabaseTrouble: whatever `look` and `refuse_lockout` find, or SQLite.
    """
    face = inspect(path)
    refuse_lockout(face)
    mode = "ro" if read_only else "rw"
    # Absolute and quoted: a URI would read `?`, `#` and `%` of a path as its own.
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={mode}"
    try:
        database = connect(uri, busy_timeout_s)
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


def with_progress(
    connection: sqlite3.Connection, work: Callable[[], T], check: Callable[[], None]
) -> T:
    """What `work()` answers; it is done in a thread and uses `connection` alone.

    Before it and ten times a second meanwhile `check` is called. What it raises
    interrupts the work and comes out of here: a signal is not seen by a thread that waits
    for SQLite, and one PRAGMA may take minutes.
    """
    check()
    with ThreadPoolExecutor(1, "sqlite") as lane:
        doing = lane.submit(work)
        try:
            while wait((doing,), timeout=_LOOK_EVERY_S).not_done:
                check()
        except BaseException:
            # Again and again: an interrupt between two statements is lost.
            while wait((doing,), timeout=_LOOK_EVERY_S).not_done:
                connection.interrupt()
            raise
        return doing.result()


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is broken."""
    return kind_of(error) in ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def is_foreign(error: sqlite3.Error) -> bool:
    """Whether a statement of ours needs a collation or function that only the owner has."""
    return kind_of(error) == "SQLITE_ERROR"


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside, or nothing of it; holds the write lock."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def error_of(path: Path, error: sqlite3.Error) -> DatabaseError:
    """`error` as a sentence about `path`, and whether it can mend itself."""
    if is_lock_error(error):
        # LOCKED is said of a table, and within one process.
        by = "another connection" if kind_of(error) == "SQLITE_LOCKED" else "another program"
        return DatabaseLockedError(path, getattr(error, "waited_s", 0.0), by)
    name, folder = kind_of(error), _folder(path)
    # The index of a WAL is mapped; that it cannot grow is an I/O error without a reason.
    if name == "SQLITE_IOERR" and _free_bytes(folder) < _INDEX_BYTES:
        name = "SQLITE_FULL"
    permanent = name in _PERMANENT or isinstance(error, sqlite3.IntegrityError)
    if name_of(error) in _TO_BE_UNDONE:
        permanent = _is_read_only(folder)
    return DatabaseError(path, _words(name, error, folder), permanent)


def _refused(face: DatabaseInfo, error: sqlite3.Error) -> DatabaseError:
    """Why a database could not be opened."""
    told, folder = error_of(face.path, error), _folder(face.path)
    if kind_of(error) == "SQLITE_ERROR":  # of its own schema, which it cannot read
        return DatabaseError(face.path, told.reason, permanent=True)
    lacks_files = kind_of(error) in ("SQLITE_CANTOPEN", "SQLITE_READONLY")
    if not (face.wal and lacks_files) or os.access(folder, os.W_OK):
        return told
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
    """What SQLite's error means for the database; no part of it is ever a template."""
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
    """The folder of the file itself; SQLite keeps its -wal there, not beside a link to it."""
    return Path(os.path.realpath(path)).parent


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _free_bytes(folder: Path) -> float:
    """What we may still write there; without end where nobody can tell."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return math.inf
    return found.f_bavail * found.f_frsize


def _shares_group(face: DatabaseInfo) -> bool:
    """Whether the owner is in the group that a file made by us beside it gets."""
    folder = os.stat(face.path.absolute().parent)
    made_gid = folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()
    groups = {face.group_gid}
    # A container's uid has no name; then the database's own group must do.
    with suppress(KeyError):
        owner = pwd.getpwuid(face.owner_uid)
        groups |= set(os.getgrouplist(owner.pw_name, owner.pw_gid))
    return made_gid in groups


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
