"""How a backup, a proof or a restore can end badly, as exceptions.

`Trouble` is whatever stands in the way, in a sentence that names the thing,
its value, what was expected and what to do. `Damaged` and `Unproven` are
said of a copy and of nothing else. `Cancelled` is a person's wish.
"""

import errno
import os
import shlex
from pathlib import Path

from workers.units import format_size

# What a full disk or quota says.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class BackupError(Exception):
    """What stands in the way; `permanent` if a later attempt would meet the same."""

    def __init__(self, text: str, permanent: bool = True) -> None:
        super().__init__(text)
        self.permanent = permanent


class DamagedBackupError(BackupError):
    """A copy, or what stands beside it, is not what was written.

    path: the copy. what: a sentence without its subject.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"copy {path} {what}")
        self.path = path
        self.what = what


class SourceDamagedError(DamagedBackupError):
    """A copy that is what was written, of a database that fails its own checks."""


class UnprovenError(BackupError):
    """A copy without its sidecar or manifest: nothing says what it should be."""


class BackupCancelledError(Exception):
    """SIGTERM came; nothing was left under a final name."""


def from_os_error(doing: str, folder: Path, error: OSError) -> BackupError:
    """`error` as Trouble: `doing` is a verb phrase, `folder` the place it happened in."""
    if error.errno in _FULL:
        free, named = free_bytes(folder), shlex.quote(str(folder))
        return BackupError(
            f"{doing}: the volume of {folder} is full ({format_size(free)} free); make room, for"
            f" instance with: nightshift backups prune --keep-last 3 --directory {named}"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BackupError(
            f"{doing}: {error.strerror}; user {os.geteuid()} needs access to"
            f" {folder}: check owner, mode and mount"
        )
    where = f" ({error.filename})" if error.filename else ""
    return BackupError(f"{doing}: {error.strerror or error}{where}", permanent=False)


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write on the volume of `folder`; 0 if it cannot be asked."""
    try:
        volume = os.statvfs(folder)
    except OSError:
        return 0
    return volume.f_bavail * volume.f_frsize
