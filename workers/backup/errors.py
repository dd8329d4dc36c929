"""Exceptions of backup, verification and restore.

`BackupError` names the object, its value, what was expected and what to do.
`DamagedBackupError` and `UnprovenError` always concern a copy. `BackupCancelledError` is
raised when a run is cancelled.
"""

import errno
import os
import shlex
from pathlib import Path

from workers import volume
from workers.units import format_size

# Errors of a full disk or an exceeded quota.
_FULL = (errno.ENOSPC, errno.EDQUOT)


class BackupError(Exception):
    """A failed operation; `permanent` if a later attempt would fail in the same way."""

    def __init__(self, text: str, permanent: bool = True) -> None:
        super().__init__(text)
        self.permanent = permanent


class DamagedBackupError(BackupError):
    """A copy, or a file beside it, that differs from what was written.

    path: the copy. what: a sentence without its subject.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"copy {path} {what}")
        self.path = path
        self.what = what


class SourceDamagedError(DamagedBackupError):
    """An exact copy of a database that fails its own checks."""


class UnprovenError(BackupError):
    """A copy without sidecar or manifest, so that its expected content is unknown."""


class BackupCancelledError(Exception):
    """SIGTERM was received; no file with a final name was left."""


def from_os_error(doing: str, folder: Path, error: OSError) -> BackupError:
    """Return `error` as a BackupError; doing: a verb phrase, folder: where it happened."""
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
    """Return the bytes free for ordinary users on the volume of `folder`; 0 if unknown."""
    try:
        return volume.space(folder).free_bytes
    except OSError:
        return 0
