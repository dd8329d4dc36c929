"""Space on the volume of a folder, where it is mounted, and whether read-only.

Standard library only, because the supervisor's own process imports it.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes on a volume: free for ordinary users, and used, as `df` counts them."""

    free_bytes: int
    used_bytes: int


def space(folder: Path) -> Space:
    """Return the space on the volume of `folder`.

    Raises:
        OSError: the folder does not exist, or its file system does not answer.
    """
    found = os.statvfs(folder)
    used_blocks = found.f_blocks - found.f_bfree
    return Space(found.f_bavail * found.f_frsize, used_blocks * found.f_frsize)


def mount_point(folder: Path) -> Path:
    """Return where the volume of `folder` is mounted."""
    found = folder.resolve()
    while not found.is_mount():
        found = found.parent
    return found


def is_read_only(folder: Path) -> bool:
    """Return whether the volume of `folder` is mounted read-only. Raises: OSError."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
