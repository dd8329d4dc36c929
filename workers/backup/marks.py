"""Marks beside copies: `.keep` exempts from rotation, `.damaged` records a finding."""

import os
from contextlib import suppress
from pathlib import Path

from workers.backup import filenames, repository
from workers.backup.errors import BackupError, from_os_error
from workers.regular_file import UnreadableFileError, read_regular


def keep(path: Path) -> Path:
    """Exempt the copy at `path` from rotation and return the mark; create it if missing.

    Raises:
        BackupError: not a copy, or the folder cannot be written.
    """
    if filenames.parse(path.name) is None or not os.path.isfile(path):
        raise BackupError(f"keep {path}: expected the path of a copy (see: nightshift backups)")
    mark = path.with_name(f"{path.name}{filenames.KEEP}")
    try:
        repository.write_whole(mark, b"", 0o640)
        repository.synced(path.parent)
    except OSError as error:
        raise from_os_error(f"keep {path}", path.parent, error) from error
    return mark


def release(path: Path) -> bool:
    """Remove the exemption of the copy at `path`; return whether there was one.

    Raises:
        BackupError: the mark cannot be removed.
    """
    mark = path.with_name(f"{path.name}{filenames.KEEP}")
    try:
        mark.unlink()
        repository.synced(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise from_os_error(f"release {path}", path.parent, error) from error
    return True


_MOST_NOTED_BYTES = 1 << 16


def mark_path(path: Path) -> Path:
    """Return the path of the file that records a finding about the copy."""
    return path.with_name(f"{path.name}{filenames.DAMAGED}")


def read_mark(path: Path) -> str:
    """Return the recorded finding about the copy at `path`, or an empty string."""
    mark = mark_path(path)
    if not os.path.lexists(mark):
        return ""
    try:
        said = read_regular(mark, _MOST_NOTED_BYTES)
    except UnreadableFileError as error:
        return f"has a finding against it, {mark.name}, which {error}"
    return said.decode(errors="replace").strip() or f"has a finding against it: {mark.name}"


def write_mark(path: Path, what: str) -> None:
    """Record a finding about the copy at `path`; do nothing if the folder is read-only."""
    with suppress(OSError):
        repository.write_whole(mark_path(path), f"{what}\n".encode(errors="replace"), 0o640)
        repository.synced(path.parent)
