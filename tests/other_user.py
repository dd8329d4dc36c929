"""Access for a process of another user to the folders of a test."""

import tempfile
from pathlib import Path


def let_others_enter(folder: Path, mode: int = 0o755) -> None:
    """Add the bits of `mode` to a folder and to those above it, below the temporary one."""
    above = Path(tempfile.gettempdir())
    for each in (folder, *folder.parents):
        if each == above:
            return
        each.chmod(each.stat().st_mode & 0o7777 | mode)


def can_enter(folder: Path) -> bool:
    """Return whether any user may enter a folder and those above it."""
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))
