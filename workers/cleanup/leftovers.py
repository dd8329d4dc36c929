"""Remove files of killed runs from folders of copies and from beside a database.

The files are recognised by names that only these workers use, and are old enough that no
running worker can own them. Invariant: nothing else is removed.
"""

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.backup import repository, restore
from workers.backup.errors import BackupError, from_os_error

# Younger files may belong to a verification on another machine.
OLDER_THAN_S = 86400.0


@dataclass(frozen=True, slots=True)
class Removed:
    """The removed files, their size, and why others could not be removed."""

    paths: tuple[Path, ...]
    freed_bytes: int
    hindrances: tuple[str, ...]


def found(path: Path, directories: Sequence[Path]) -> tuple[Path, ...]:
    """Return the leftovers in `directories` and of restores to the database at `path`.

    Raises:
        BackupError: a folder does not exist or cannot be read.
    """
    left = list[Path]()
    for directory in directories:
        repository.existing(directory)
        try:
            left += [directory / name for name in repository.leftovers(directory, OLDER_THAN_S)]
        except OSError as error:
            raise from_os_error(f"list folder {directory}", directory, error) from error
    with suppress(OSError):  # a missing folder is reported when the database is opened
        left += [path.with_name(name) for name in restore.leftovers(path, OLDER_THAN_S)]
    return tuple(left)


def removed(path: Path, left: Sequence[Path]) -> Removed:
    """Remove the files that `found` returned.

    Raises:
        BackupError: one could not be removed.
    """
    gone, hindrances = dict[Path, int](), list[str]()
    for directory in sorted({one.parent for one in left}):
        here = {one.name: _size(one) for one in left if one.parent == directory}
        try:
            names = _swept(path, directory, here.keys())
        except OSError as error:
            raise from_os_error(f"sweep {directory}", directory, error) from error
        except BackupError as problem:
            if problem.permanent:
                raise
            hindrances.append(str(problem))
        else:
            gone |= {directory / name: here.get(name, 0) for name in names}
    return Removed(tuple(gone), sum(gone.values()), tuple(hindrances))


def _swept(path: Path, directory: Path, here: Set[str]) -> list[str]:
    """Remove leftovers and return their names; those of copies under the folder's lock."""
    restores = set(restore.leftovers(path, OLDER_THAN_S)) if directory == path.parent else set()
    gone = sorted(restores & here)
    for name in gone:
        (directory / name).unlink(missing_ok=True)
    if here - restores:
        with repository.locked(directory):
            gone += repository.sweep(directory, OLDER_THAN_S)
    return gone


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed meanwhile
        return 0
