"""A folder of copies: locked, swept, and written so that a crash leaves no partial copy.

Invariant: `<copy>` appears by one rename, after all files beside it are on disk, and
disappears by one rename, before any of them is removed. In between there is `<copy>.part`,
which is not a backup. Only the holder of the lock may sweep.
"""

import math
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workers import lock_file
from workers.backup import filenames
from workers.backup.errors import BackupError, from_os_error
from workers.lock_file import HeldError

# With the lock held, age is ignored: after a clock was set back, leftovers look young.
ANY_AGE_S = -math.inf


def existing(folder: Path) -> Path:
    """Return `folder` if it is a folder.

    Raises:
        BackupError: it does not exist (unmounted disk?), is not a folder or cannot be looked at.
    """
    try:
        is_folder = folder.is_dir()
    except OSError as error:
        raise from_os_error(f"look at folder {folder}", folder, error) from error
    if not is_folder:
        what = "is no folder" if os.path.lexists(folder) else "does not exist"
        hint = "is its disk mounted? It is never created here"
        raise BackupError(f"folder {folder} {what}; {hint}")
    return folder


def made(folder: Path) -> Path:
    """Return `folder`, creating its last component if it does not exist.

    Raises:
        BackupError: its parent is missing, it is not a folder, or it cannot be created.
    """
    if not os.path.lexists(folder):
        existing(folder.absolute().parent)
        try:
            folder.mkdir(mode=0o750)
            synced(folder.absolute().parent)
        except OSError as error:
            raise from_os_error(
                f"make folder {folder}", folder.absolute().parent, error
            ) from error
    return existing(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel releases when the process ends.

    Raises:
        BackupError: another process (named) holds it, or it cannot be locked.
    """
    path = folder / filenames.LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise from_os_error(f"lock folder {folder}", folder, error) from error
    try:
        _acquire(folder, descriptor)
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path, older_than_s: float = ANY_AGE_S) -> tuple[str, ...]:
    """Remove the files of unfinished runs and return their names; call it with the lock held.

    A scratch file that a running verification holds is skipped, and so is a file that
    cannot be removed (`leftovers` names it). Files modified in the last `older_than_s`
    are kept.
    """
    gone = []
    for name in sorted(os.listdir(folder)):
        copy = filenames.leftover_of(name)
        if copy and is_abandoned(folder / name, older_than_s):
            # A leftover that cannot be removed must not prevent a backup.
            with suppress(OSError):
                discard(folder, copy, name)
                gone.append(name)
    return tuple(gone)


def leftovers(folder: Path, older_than_s: float = ANY_AGE_S) -> tuple[str, ...]:
    """Return the names that `sweep` would remove; empty if the folder does not exist."""
    if not folder.is_dir():
        return ()
    found = sorted(name for name in os.listdir(folder) if filenames.leftover_of(name))
    return tuple(name for name in found if is_abandoned(folder / name, older_than_s))


def publish(folder: Path, name: str, companions: dict[str, bytes], mode: int) -> None:
    """Rename `<name>.part` to its final name, after writing `companions` (ending to content).

    Raises:
        OSError: no file has the final name.
    """
    for ending, content in companions.items():
        write_whole(folder / f"{name}{ending}", content, mode)
    synced(folder)
    os.rename(folder / f"{name}{filenames.PART}", folder / name)
    synced(folder)


def next_name(folder: Path, stem: str, taken_at: datetime) -> tuple[str, bool]:
    """Return the name for a new copy, and whether its time is later than `taken_at`.

    Call it with the lock held.

    Raises:
        BackupError: no later name can be made.
        OSError: the folder cannot be read.
    """
    try:
        name = filenames.next_name(stem, taken_at, os.listdir(folder))
    except ValueError as error:
        raise BackupError(
            f"folder {folder} has a copy dated at the end of the calendar, {error}; a new one"
            " could not be named after it: move it away"
        ) from error
    return name, name != filenames.copy_name(stem, taken_at)


def remove(folder: Path, name: str) -> None:
    """Remove the copy `name` and all files beside it.

    Raises:
        OSError: one of them could not be removed.
    """
    os.rename(folder / name, folder / f"{name}{filenames.PART}")
    synced(folder)
    discard(folder, name, f"{name}{filenames.PART}")
    synced(folder)


def discard(folder: Path, copy: str, leftover: str) -> None:
    """Remove an unfinished file; for a copy's `.part` also the files beside it.

    Raises:
        OSError: one could not be removed; the others were.
    """
    doomed = []
    if leftover == f"{copy}{filenames.PART}" and not os.path.lexists(folder / copy):
        doomed = [f"{copy}{ending}" for ending in filenames.COMPANIONS]
    failed = None
    for name in (*doomed, leftover):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Replace the content of `path` atomically and sync it; the folder is not synced.

    Raises:
        OSError: the previous content is unchanged.
    """
    part = path.with_name(f"{path.name}{filenames.PART}")
    # O_NONBLOCK: opening a FIFO of that name fails instead of blocking.
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
    """Return `folder`, or the folder for temporary files if `folder` is read-only."""
    return folder if os.access(folder, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


@dataclass(frozen=True, slots=True)
class ScratchFile:
    """A temporary file whose name the next sweep recognises; `descriptor` is locked."""

    path: Path
    descriptor: int


@contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[ScratchFile]:
    """Create an empty scratch file `<prefix>XXXXXXXX`, mode 0600, and remove it at the end.

    Raises:
        BackupError: it cannot be created.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    except OSError as error:
        raise from_os_error(f"make a scratch file in {folder}", folder, error) from error
    try:
        # Protects from sweeps only; without flock there are no sweeps, either.
        with suppress(OSError):
            lock_file.acquire(descriptor)
        yield ScratchFile(Path(name), descriptor)
    finally:
        os.close(descriptor)
        for ending in ("", "-journal", "-wal", "-shm"):
            Path(f"{name}{ending}").unlink(missing_ok=True)


def is_abandoned(path: Path, older_than_s: float = ANY_AGE_S) -> bool:
    """Return whether `path` is a regular file that is not locked and not recently modified."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # removed meanwhile, a link, or not readable
        return False
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or time.time() - found.st_mtime <= older_than_s:
            return False
        lock_file.acquire(descriptor)
    except (OSError, HeldError):
        return False
    finally:
        os.close(descriptor)
    return True


def synced(folder: Path) -> None:
    """Sync the folder's directory entries to disk.

    Raises:
        OSError: fsync failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _acquire(folder: Path, descriptor: int) -> None:
    try:
        lock_file.acquire_and_sign(descriptor)
    except HeldError as held:
        raise BackupError(
            f"folder {folder} is in use by {held.owner}; a second service or run must wait for it"
            " or use a folder of its own",
            permanent=False,
        ) from held
    except OSError as error:
        raise BackupError(
            f"folder {folder} cannot be locked ({error.strerror}); put it on a file system with"
            " flock, since two services would remove each other's files"
        ) from error
