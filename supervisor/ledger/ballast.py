"""A few MiB beside the ledger, to be given up when the disk is full, so that it can go on."""

import contextlib
import os
from pathlib import Path

BALLAST_BYTES = 4 * 1024**2


def keep(path: Path) -> None:
    """Make the file, if there is room for it.

    Taken only where a quarter of it is left besides: else a disk that is still
    full would be so again a minute after it was given up.
    """
    with contextlib.suppress(OSError):
        if path.exists():
            return
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < BALLAST_BYTES * 5 // 4:
            return
        with open(path, "xb") as ballast:
            try:
                os.posix_fallocate(ballast.fileno(), 0, BALLAST_BYTES)
            except OSError:
                path.unlink()
                raise


def give_up(path: Path) -> None:
    """Remove the file; the disk may be read-only."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def would_help(error: Exception) -> bool:
    """Whether a full disk may be what is wrong; where memory is mapped it has no name."""
    return "full" in str(error) or "disk I/O" in str(error)
