"""Errors of opening the ledger in words; of a full disk: which, how full, and what to do."""

import errno
import shlex
import sqlite3
from pathlib import Path

from workers import volume
from workers.units import format_size

# A new ledger with its log takes a tenth of it.
ENOUGH_BYTES = 1_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)


def in_words(error: Exception, folder: Path) -> str:
    """Return an error of opening the ledger in `folder` as text."""
    try:
        free_bytes = volume.space(folder).free_bytes
    except OSError:
        return str(error)
    if not _means_full(error, free_bytes):
        return str(error)
    at = volume.mount_point(folder)
    return (
        f"the file system at {at} is full ({format_size(free_bytes)} free): free"
        f" {format_size(ENOUGH_BYTES)} there (du -xh {shlex.quote(str(at))} | sort -h shows what"
        " is large), or start with another --state"
    )


def _means_full(error: Exception, free_bytes: int) -> bool:
    """Return whether a full disk is the cause.

    Where SQLite cannot extend the memory that it maps, it reports an I/O error.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return True
        case sqlite3.SQLITE_IOERR:
            return free_bytes < ENOUGH_BYTES
    return False
