"""Copies that rotation must leave alone: a mark beside them, made by hand."""

from pathlib import Path

from workers.backup import folder, names
from workers.backup.trouble import Trouble, of_system


def keep(path: Path) -> Path:
    """The mark that exempts the copy at `path` from rotation, made if it is not there.

    Raises:
        Trouble: no such copy, not a copy's name, or the folder cannot be written.
    """
    if names.parse(path.name) is None or not path.is_file():
        raise Trouble(f"keep {path}: expected the path of a copy (see: nightshift backups)")
    mark = path.with_name(f"{path.name}{names.KEEP}")
    try:
        folder.write_whole(mark, b"", 0o640)
        folder.synced(path.parent)
    except OSError as error:
        raise of_system(f"keep {path}", path.parent, error) from error
    return mark


def release(path: Path) -> bool:
    """Whether a mark was there; rotation judges the copy at `path` from now on.

    Raises:
        Trouble: the mark cannot be removed.
    """
    mark = path.with_name(f"{path.name}{names.KEEP}")
    try:
        mark.unlink()
        folder.synced(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise of_system(f"release {path}", path.parent, error) from error
    return True
