"""Is there room? What a backup will need on each volume, and what is free.

`needs` and `refusal` are pure; `free` and `require` ask the system. The law: a refusal
gives the numbers and says what is safe to remove.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.backup.errors import BackupError, free_bytes
from workers.units import format_size

# Of the database's size, what writers may add to the WAL until the copy is made.
_WAL_GROWTH = 0.05


@dataclass(frozen=True, slots=True)
class Need:
    """So many bytes on the volume of `folder`, and for what."""

    folder: Path
    size_bytes: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Volume:
    """Where a folder lies, by the system's number for it, and what is free there."""

    number: int
    free_bytes: int


def needs(
    source: Path, directory: Path, database_bytes: int, copy_bytes: int, wal: bool
) -> tuple[Need, ...]:
    """What a backup takes: the copy, one scratch file of the database's size, the WAL's growth."""
    found = [
        Need(directory, copy_bytes, "the copy"),
        Need(directory, database_bytes, "the scratch file that proves it"),
    ]
    if wal:
        growth = int(database_bytes * _WAL_GROWTH)
        found.append(Need(source.absolute().parent, growth, "the growth of the WAL"))
    return tuple(found)


def refusal(needed: Sequence[Need], volumes: Mapping[Path, Volume], removable: str) -> str:
    """Why the backup does not fit, with all numbers; empty if it does.

    volumes: for each folder of `needed`; folders on one volume share its room.
    removable: what is safe to remove, in words.
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
    """Nothing, if the volume of `folder` has that much free; purpose: `to prove x`.

    Raises:
        Trouble: it has less; with both numbers.
    """
    free_here = free_bytes(folder)
    if size_bytes > free_here:
        raise BackupError(
            f"the volume of {folder} has {format_size(free_here)} free, expected"
            f" {format_size(size_bytes)} {purpose}"
        )


def free(folders: Sequence[Path]) -> dict[Path, Volume]:
    """The volume of each folder; of its parent, if it is not made yet."""
    found = {}
    for folder in folders:
        there = folder if folder.exists() else folder.absolute().parent
        found[folder] = Volume(os.stat(there).st_dev, free_bytes(there))
    return found
