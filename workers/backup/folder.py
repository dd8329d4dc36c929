"""A folder of copies: locked, swept, and written so that a crash shows nothing.

The law: `<copy>` appears by one rename, after all that stands beside it is
on disk, and disappears by one rename, before any of that goes. In between
there is `<copy>.part`, which is no backup. Whoever has the lock may sweep.
"""

import fcntl
import math
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workers.backup import names
from workers.backup.trouble import Trouble, of_system
from workers.units import format_size

# With the lock held; a clock that was put back makes what a killed run left look young.
ANY_AGE_S = -math.inf


def existing(folder: Path) -> Path:
    """`folder`, if it is one.

    Raises:
        Trouble: nothing is there (an unmounted disk?), or no folder.
    """
    if not folder.is_dir():
        what = "is no folder" if os.path.lexists(folder) else "does not exist"
        hint = "is its disk mounted? It is never created here"
        raise Trouble(f"folder {folder} {what}; {hint}")
    return folder


def made(folder: Path) -> Path:
    """`folder`, its last component made if nothing is there.

    Raises:
        Trouble: its parent does not exist, it is no folder, or it may not be made.
    """
    if not os.path.lexists(folder):
        existing(folder.absolute().parent)
        try:
            folder.mkdir(mode=0o750)
            synced(folder.absolute().parent)
        except OSError as error:
            raise of_system(f"make folder {folder}", folder.absolute().parent, error) from error
    return existing(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it when the process ends.

    Raises:
        Trouble: another service or run has it (named), or it cannot be locked.
    """
    path = folder / names.LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise of_system(f"lock folder {folder}", folder, error) from error
    try:
        _take(folder, descriptor)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path, older_than_s: float = ANY_AGE_S) -> tuple[str, ...]:
    """Remove what unfinished runs left, and say what; call it with the lock held.

    A scratch file that a living proof holds is left alone, and so is what
    cannot be removed (`leftovers` names it). `older_than_s` spares what was
    written to since.
    """
    gone = []
    for name in sorted(os.listdir(folder)):
        copy = names.leftover_of(name)
        if copy and is_abandoned(folder / name, older_than_s):
            # One that cannot go must not keep a backup from being made.
            with suppress(OSError):
                discard(folder, copy, name)
                gone.append(name)
    return tuple(gone)


def leftovers(folder: Path, older_than_s: float = ANY_AGE_S) -> tuple[str, ...]:
    """What `sweep` would remove, by name; nothing if there is no folder."""
    if not folder.is_dir():
        return ()
    found = sorted(name for name in os.listdir(folder) if names.leftover_of(name))
    return tuple(name for name in found if is_abandoned(folder / name, older_than_s))


def publish(folder: Path, name: str, companions: dict[str, bytes], mode: int) -> None:
    """Give `<name>.part` its final name, with `companions` (ending -> content) beside it.

    Raises:
        OSError: nothing is under the final name then.
    """
    for ending, content in companions.items():
        write_whole(folder / f"{name}{ending}", content, mode)
    synced(folder)
    os.rename(folder / f"{name}{names.PART}", folder / name)
    synced(folder)


def next_name(folder: Path, stem: str, taken_at: datetime) -> tuple[str, bool]:
    """The name for a new copy, and whether it says a later time than `taken_at`.

    Call it with the lock held.

    Raises:
        Trouble: no later name can be made.
        OSError: the folder cannot be read.
    """
    try:
        name = names.next_name(stem, taken_at, os.listdir(folder))
    except ValueError as error:
        raise Trouble(
            f"folder {folder} has a copy dated at the end of the calendar, {error}; a new one"
            " could not be named after it: move it away"
        ) from error
    return name, name != names.copy_name(stem, taken_at)


def withdraw(folder: Path, name: str) -> None:
    """Remove the copy `name` and all that stands beside it.

    Raises:
        OSError: it, or a part of it, could not be removed.
    """
    os.rename(folder / name, folder / f"{name}{names.PART}")
    synced(folder)
    discard(folder, name, f"{name}{names.PART}")
    synced(folder)


def discard(folder: Path, copy: str, leftover: str) -> None:
    """Remove an unfinished file; with a copy's `.part` goes what stands beside it.

    Raises:
        OSError: one of them could not be removed; the others are.
    """
    doomed = []
    if leftover == f"{copy}{names.PART}" and not os.path.lexists(folder / copy):
        doomed = [f"{copy}{ending}" for ending in names.COMPANIONS]
    failed = None
    for name in (*doomed, leftover):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def read_small(path: Path, most_bytes: int) -> bytes:
    """The content of a plain file, which must be small; never waits for a pipe's other end.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is something else, or larger; the text says what it is.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("that is no plain file")
        if found.st_size > most_bytes:
            size, most = format_size(found.st_size), format_size(most_bytes)
            raise ValueError(f"of {size}, expected at most {most}")
        return file.read(most_bytes)


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Put `content` under `path` in one step, on disk; the folder is not synced.

    Raises:
        OSError: what was there before still is.
    """
    part = path.with_name(f"{path.name}{names.PART}")
    # O_NONBLOCK: a pipe of that name is an error then, and not waited for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(part, flags, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.rename(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def writable(folder: Path) -> Path:
    """`folder`, or where it cannot be written (a mount for reading) that of temporary files."""
    return folder if os.access(folder, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


@dataclass(frozen=True, slots=True)
class Scratch:
    """A file of our own under a name that the next sweep knows; `descriptor` is locked."""

    path: Path
    descriptor: int


@contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[Scratch]:
    """An empty scratch file `<prefix>XXXXXXXX`, mode 0600, removed in the end.

    Raises:
        Trouble: it cannot be made.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    except OSError as error:
        raise of_system(f"make a scratch file in {folder}", folder, error) from error
    try:
        # Against sweepers only; a file system without locks has no sweeper either.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Scratch(Path(name), descriptor)
    finally:
        os.close(descriptor)
        for ending in ("", "-journal", "-wal", "-shm"):
            Path(f"{name}{ending}").unlink(missing_ok=True)


def is_abandoned(path: Path, older_than_s: float = ANY_AGE_S) -> bool:
    """Whether `path` is a plain file that nobody holds, and nobody wrote to for so long."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone meanwhile, a link, or not ours to read
        return False
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or time.time() - found.st_mtime <= older_than_s:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def synced(folder: Path) -> None:
    """Put the folder's names on disk.

    Raises:
        OSError: it could not be.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 300, 0).decode(errors="replace").strip() or "another process"
        raise Trouble(
            f"folder {folder} is in use by {holder}; a second service or run must wait for it"
            " or use a folder of its own",
            permanent=False,
        ) from error
    except OSError as error:
        raise Trouble(
            f"folder {folder} cannot be locked ({error.strerror}); put it on a file system with"
            " flock, since two services would remove each other's files"
        ) from error


def _sign(descriptor: int) -> None:
    """Say who has the lock; on a full disk it stays unsaid."""
    who = (
        f"pid {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    )
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{who}\n".encode(), 0)
