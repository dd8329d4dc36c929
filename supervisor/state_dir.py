"""The state folder: the paths in it, and the lock on it.

The folder is created with mode 0700 (an existing one of ours is tightened), files with
0600. The lock is a `flock`, which the kernel releases however the process ends.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from workers import lock_file

# sun_path holds 108 bytes, one of them the final NUL.
LONGEST_SOCKET_PATH = 107
_LEDGER = "ledger.sqlite3"
# Folders for all users: Filesystem Hierarchy Standard, 3.18 and 5.15, and Linux.
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")


class StateDirError(Exception):
    """A state folder that cannot be used; the text says why and what to do."""


class AlreadyRunningError(StateDirError):
    """A state folder that another supervisor holds."""


class StateDir(Struct, frozen=True):
    """Paths below one state folder."""

    root: Path

    @property
    def runs(self) -> Path:
        """Return the folder of the runs' output."""
        return self.root / "runs"

    @property
    def tmp(self) -> Path:
        """Return the TMPDIR of jobs."""
        return self.root / "tmp"

    @property
    def cache(self) -> Path:
        """Return the folder of accepted texts in parsed form, by hash."""
        return self.root / "cache"

    @property
    def accepted(self) -> Path:
        """Return the path of the text of jobs.yaml in force."""
        return self.root / "jobs.accepted.yaml"

    @property
    def previous(self) -> Path:
        """Return the path of the text of jobs.yaml that was in force before."""
        return self.root / "jobs.previous.yaml"

    @property
    def outcome(self) -> Path:
        """Return the path of the outcome of the child that reads jobs.yaml."""
        return self.root / "reload.json"

    @property
    def heartbeats(self) -> Path:
        """Return the path of the pipe to the child that calls heartbeat URLs."""
        return self.root / "heartbeats.pipe"

    def make(self) -> None:
        """Create missing folders and tighten permissions.

        Raises: StateDirError, also for a folder of others, which is left as it is.
        """
        try:
            self._refuse_foreign()
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tighten(self.root)
            for folder in (self.runs, self.tmp, self.cache):
                with contextlib.suppress(FileExistsError):  # see `make_inside`
                    folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise StateDirError(
                f"state folder {self.root}: {error.strerror}: it must be a folder that uid "
                f"{os.getuid()} may write (--state, $NIGHTSHIFT_STATE_DIR)"
            ) from error

    def _refuse_foreign(self) -> None:
        """Refuse a folder of others, in which the service would delete files.

        Raises: StateDirError; OSError.
        """
        if self._is_ours() or not os.path.isdir(self.root):
            return
        wrong = ""
        for folder in (self.tmp, self.runs, self.cache):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if os.listdir(folder):
                    wrong = f"has no ledger, but a folder {folder.name} with files to be deleted"
        if self._is_shared():
            wrong = "is shared by all users (sticky bit)"
        if wrong:
            raise StateDirError(
                f"state folder {self.root}: {wrong}: expected a folder of the service's own: "
                "name a new or empty one (--state, $NIGHTSHIFT_STATE_DIR)"
            )

    def _is_shared(self) -> bool:
        """Return whether the folder is for all users; the root of a new tmpfs only looks so."""
        if not self.root.stat().st_mode & stat.S_ISVTX:
            return False
        if str(self.root.resolve()) in _SHARED:
            return True
        with os.scandir(self.root) as entries:
            return any(
                entry.stat(follow_symlinks=False).st_uid != os.geteuid() for entry in entries
            )

    def _is_ours(self) -> bool:
        """Return whether a service has used the folder, as its files show."""
        if any(os.path.lexists(path) for path in (self.root / _LEDGER, self.accepted)):
            return True
        return lock_file.is_signed(self.root / "lock")

    def make_inside(self) -> list[str]:
        """Create the inner folders; return a description of each misplaced file moved aside.

        Call only while holding the lock. Raises: StateDirError.
        """
        put: list[str] = []
        try:
            for folder in (self.runs, self.tmp, self.cache):
                put += _clear(folder, stat.S_ISDIR)
                folder.mkdir(mode=0o700, exist_ok=True)
                _tighten(folder)
            for file in (self.accepted, self.previous, self.outcome):
                put += _clear(file, stat.S_ISREG)
            put += _clear(self.root / "ballast", stat.S_ISREG)
            put += _clear(self.heartbeats, stat.S_ISFIFO)
        except OSError as error:
            raise StateDirError(f"state folder {self.root}: {error}") from error
        return put

    def empty_tmp(self) -> None:
        """Remove what jobs left in their TMPDIR; call only while no job is running."""
        try:
            entries = list(os.scandir(self.tmp))
        except OSError:
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)

    def lock(self) -> int:
        """Lock the folder until this process ends and return the lock's descriptor.

        Raises: AlreadyRunningError, naming the holder; StateDirError.
        """
        path = self.root / "lock"
        try:
            # Anything but a regular file cannot be a lock that is held.
            _clear(path, stat.S_ISREG)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise StateDirError(f"open {path}: {error.strerror}") from error
        try:
            lock_file.acquire_and_sign(fd)
        except lock_file.HeldError as held:
            os.close(fd)
            raise AlreadyRunningError(
                f"state folder {self.root} is held by another supervisor ({held.owner}): stop it "
                "with nightshift stop, or use another --state"
            ) from held
        except OSError as error:
            os.close(fd)
            raise StateDirError(f"lock {path}: {error.strerror}") from error
        return fd


def put_aside(path: Path) -> Path:
    """Rename a path to a free name next to it and return that name. Raises: OSError."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.aside-{number}")):
        number += 1
    os.rename(path, aside)
    return aside


def _clear(path: Path, is_right: Callable[[int], bool]) -> list[str]:
    """Move a path of the wrong kind aside; return a description of the move. Raises: OSError."""
    if not os.path.lexists(path):
        return []
    with contextlib.suppress(OSError):  # a dangling or circular link
        if is_right(os.stat(path).st_mode):
            return []
    return [f"{path} was not what it should be: it is kept as {put_aside(path)}"]


def _tighten(folder: Path) -> None:
    if folder.stat().st_mode & 0o077 or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        folder.chmod(0o700)


def check_socket_path(path: Path) -> None:
    """Raise StateDirError if the path is too long for a UNIX socket."""
    size = len(os.fsencode(path))
    if size > LONGEST_SOCKET_PATH:
        raise StateDirError(
            f"socket path of {size} bytes is too long (at most {LONGEST_SOCKET_PATH}): {path}: "
            "choose a short one with --socket or $NIGHTSHIFT_SOCKET"
        )
