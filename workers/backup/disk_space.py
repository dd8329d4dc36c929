"""Compute the disk space that a backup needs on each volume and compare it with what is free.

`needs` and `refusal` are pure; `free` and `require` ask the system. Invariant: a refusal
contains the numbers and what is safe to remove.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.backup.errors import BackupError, free_bytes
from workers.units import format_size

# Fraction of the database's size that writers may add to the WAL during a backup.
_WAL_GROWTH = 0.05


@dataclass(frozen=True, slots=True)
class Need:
    """A number of bytes needed on the volume of `folder`, and their purpose."""

    folder: Path
    size_bytes: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Volume:
    """The device number of a folder's volume, and the bytes free on it."""

    number: int
    free_bytes: int


def needs(
    source: Path, directory: Path, database_bytes: int, copy_bytes: int, wal: bool
) -> tuple[Need, ...]:
    """Return the space for the copy, a scratch file of the database's size and WAL growth."""
    found = [
        Need(directory, copy_bytes, "the copy"),
        Need(directory, database_bytes, "the scratch file that proves it"),
    ]
    if wal:
        growth = int(database_bytes * _WAL_GROWTH)
        found.append(Need(source.absolute().parent, growth, "the growth of the WAL"))
    return tuple(found)


def refusal(needed: Sequence[Need], volumes: Mapping[Path, Volume], removable: str) -> str:
    """Return why the backup does not fit, with all numbers, or an empty string.

    volumes: for each folder of `needed`; folders on one volume share its space.
    removable: what is safe to remove, as text.
    """
    texts = []
    for number in {volume.number for volume in volumes.values()}:
        here = [need for need in needed if volumes[need.folder].number == number]
        total = sum(need.size_bytes for need in here)
        free = volumes[here[0].folder].free_bytes if here else total
        if total > free:
            parts = ", ".join(
                f"{format_size(need.size_bytes)} for {need.purpose}" for need in here
            )
            texts.append(
                f"the volume of {here[0].folder} has {format_size(free)} free,"
                f" expected {format_size(total)} ({parts})"
            )
    return "; ".join([*texts, removable]) if texts else ""


def require(folder: Path, size_bytes: int, purpose: str) -> None:
    """Raise unless the volume of `folder` has `size_bytes` free; purpose: `to prove x`.

    Raises:
        BackupError: less is free; with both numbers.
    """
    free_here = free_bytes(folder)
    if size_bytes > free_here:
        raise BackupError(
            f"the volume of {folder} has {format_size(free_here)} free, expected"
            f" {format_size(size_bytes)} {purpose}"
        )


def free(folders: Sequence[Path]) -> dict[Path, Volume]:
    """Return the volume of each folder, or of its parent if it does not exist yet."""
    found = {}
    for folder in folders:
        there = folder if folder.exists() else folder.absolute().parent
        found[folder] = Volume(os.stat(there).st_dev, free_bytes(there))
    return found
