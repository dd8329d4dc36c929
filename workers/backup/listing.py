"""List the copies in a folder with their state.

Reads names, sidecars, manifests and marks, but not the content of copies. Links, folders
and files with other names are foreign and are not listed.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from workers.backup import filenames, marks
from workers.backup.errors import BackupError, DamagedBackupError, from_os_error
from workers.backup.manifest import read
from workers.backup.repository import existing
from workers.units import format_size

# Copies beyond this number are safe to remove; equals rotation's default `keep_last`.
_SAFE_BEYOND = 3


class State(StrEnum):
    """State of a copy; verified: proven when made, and nothing contradicts it since."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"  # no manifest or sidecar gives the expected content
    DAMAGED = "damaged"  # a file beside it, its size or a mark contradicts it


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy. taken_at: aware, UTC; sizes in bytes.

    taken_at is from the name, or from the manifest if the manifest says that the name is
    later, in order to follow an earlier copy. A later copy has a later name (`order`) even
    if the clock was set back.
    source: absolute path of the database, empty if there is no manifest.
    why: the reason for its state, empty if verified. kept: exempted by hand.
    database_size_bytes: size of its content, 0 if unknown.
    place: where it is if it left the machine (then `path` is its name there), else empty.
    """

    path: Path
    stem: str
    source: str
    taken_at: datetime
    size_bytes: int
    database_size_bytes: int
    state: State
    why: str
    kept: bool
    place: str = ""

    @property
    def shown(self) -> str:
        """Return the copy's path, or its place and name, for people."""
        return f"{self.place.rstrip('/')}/{self.path}" if self.place else str(self.path)

    @property
    def order(self) -> tuple[str, str]:
        """Return a key that sorts copies by age, newest last."""
        return filenames.order(self.path.name)


def is_in_future(backup: Backup, now: datetime) -> bool:
    """Return whether the copy is dated in the future, so that a clock is or was wrong."""
    return backup.taken_at > now


def list_backups(folder: Path) -> list[Backup]:
    """Return the copies in `folder`, newest first.

    Raises:
        BackupError: the folder does not exist or cannot be read.
    """
    existing(folder)
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if filenames.parse(entry.name)]
            paths = [Path(e.path) for e in found if e.is_file(follow_symlinks=False)]
    except OSError as error:
        raise from_os_error(f"list folder {folder}", folder, error) from error
    return sorted((_backup(path) for path in paths), key=lambda one: one.order, reverse=True)


def copies_of(database: Path, backups: Sequence[Backup], stem: str) -> list[Backup]:
    """Return the copies called `stem`, except those of another database of that name.

    A source that is not on this machine may be the same database under another path, as in a
    container.
    """
    own = os.path.abspath(database)
    others = {
        one.source
        for one in backups
        if one.source not in ("", own) and _is_another_file(one.source, own)
    }
    return [one for one in backups if one.stem == stem and one.source not in others]


def removable(backups: Sequence[Backup], directory: Path) -> str:
    """Return which old verified copies may be removed safely, as text.

    Copies kept by hand are excluded. backups: newest first, as from `list_backups`; each
    source is judged separately.
    """
    sources: dict[tuple[str, str], list[Backup]] = defaultdict(list)
    for one in backups:
        if one.state is State.VERIFIED and not one.kept:
            sources[one.stem, one.source].append(one)
    old = [one for newest_first in sources.values() for one in newest_first[_SAFE_BEYOND:]]
    if not old:
        return f"safe to remove in {directory}: nothing"
    freed = format_size(sum(one.size_bytes for one in old))
    return (
        f"safe to remove in {directory}: {len(old)} older than the newest {_SAFE_BEYOND} of each"
        f" ({freed}): nightshift backups prune --keep-last {_SAFE_BEYOND}"
    )


def _backup(path: Path) -> Backup:
    named = filenames.parse(path.name)
    assert named is not None  # list_backups() has checked the name
    source, database_bytes, state, why = "", 0, State.VERIFIED, ""
    taken_at = named.taken_at
    try:
        manifest = read(path)
        source, database_bytes = manifest.source, manifest.database_size_bytes
        if manifest.name_is_later:
            taken_at = min(taken_at, _instant(path, manifest.taken_at))
        if finding := marks.read_mark(path):
            state, why = State.DAMAGED, finding[:300]
    except DamagedBackupError as damaged:
        state, why = State.DAMAGED, damaged.what
    except BackupError as problem:
        state, why = State.UNVERIFIED, str(problem)
    except (OSError, ValueError) as error:
        state, why = State.UNVERIFIED, str(error)
    return Backup(
        path=path,
        stem=named.stem,
        source=source,
        taken_at=taken_at,
        size_bytes=_size(path),
        database_size_bytes=database_bytes,
        state=state,
        why=why,
        kept=os.path.lexists(f"{path}{filenames.KEEP}"),
    )


def _is_another_file(source: str, database: str) -> bool:
    """Return whether both exist and are different files."""
    try:
        return not os.path.samefile(source, database)
    except (OSError, ValueError):
        return False


def _instant(path: Path, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DamagedBackupError(path, f"has a time that is none: {text[:40]!r}") from error


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed meanwhile
        return 0
