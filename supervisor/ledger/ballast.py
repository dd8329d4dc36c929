"""A file of 4 MiB beside the ledger, removed when the disk is full so that it can be written."""

import contextlib
import os
from pathlib import Path

from workers import volume

BALLAST_BYTES = 4 * 1024**2


def keep(path: Path) -> None:
    """Create the file if there is room for it.

    Requires a quarter of its size in addition: otherwise a disk that is still full
    would be full again a minute after the file was removed.
    """
    with contextlib.suppress(OSError):
        if path.exists():
            return
        if volume.space(path.parent).free_bytes < BALLAST_BYTES * 5 // 4:
            return
        with open(path, "xb") as ballast:
            try:
                os.posix_fallocate(ballast.fileno(), 0, BALLAST_BYTES)
            except OSError:
                path.unlink()
                raise


def give_up(path: Path) -> None:
    """Remove the file; ignore errors, such as of a read-only disk."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def would_help(error: Exception) -> bool:
    """Return whether a full disk may be the cause; with mapped memory it is a disk I/O error."""
    return "full" in str(error) or "disk I/O" in str(error)
