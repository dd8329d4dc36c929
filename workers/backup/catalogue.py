"""The copies in a folder, and what each is worth.

Reads names, sidecars, manifests and marks; never a copy's content. What is
not named as a copy of ours, a link or a folder is foreign and not listed.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from workers.backup import names, records, verify
from workers.backup.folder import existing
from workers.backup.trouble import Damaged, Trouble, of_system
from workers.units import format_size

# Copies beyond these are safe to remove, as `keep_last` has it.
_SAFE_BEYOND = 3


class State(StrEnum):
    """verified: proven when made, and nothing speaks against it since."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"  # nothing beside it says what it should be
    DAMAGED = "damaged"  # what stands beside it, its size or a finding speaks against it


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy. taken_at: aware, UTC; sizes in bytes.

    taken_at is from its name, or from its manifest if that says that the name
    is later, so as to follow a copy that was there. A later copy has a later
    name (`order`) though the clock was set in between.
    source: absolute path of the database, empty if no manifest says it.
    why: what speaks against it, empty if verified. kept: by hand.
    database_size_bytes: of what it holds, 0 if not known.
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

    @property
    def order(self) -> tuple[str, str]:
        """Sorts copies by age, the newest last."""
        return names.order(self.path.name)


def ahead(backup: Backup, now: datetime) -> bool:
    """Whether the copy is dated in the future, so that some clock was or is wrong."""
    return backup.taken_at > now


def list_backups(folder: Path) -> list[Backup]:
    """The copies in `folder`, newest first.

    Raises:
        Trouble: no such folder, or it cannot be read.
    """
    existing(folder)
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if names.parse(entry.name)]
            paths = [Path(e.path) for e in found if e.is_file(follow_symlinks=False)]
    except OSError as error:
        raise of_system(f"list folder {folder}", folder, error) from error
    return sorted((_backup(path) for path in paths), key=lambda one: one.order, reverse=True)


def removable(backups: Sequence[Backup], directory: Path) -> str:
    """What may go without harm, in words: old verified copies that nobody kept by hand.

    backups: newest first, as `list_backups` gives them; each source is judged apart.
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
    named = names.parse(path.name)
    assert named is not None  # as `list_backups` has asked
    source, database_bytes, state, why = "", 0, State.VERIFIED, ""
    taken_at = named.taken_at
    try:
        manifest = records.read(path)
        source, database_bytes = manifest.source, manifest.database_size_bytes
        if manifest.name_is_later:
            taken_at = min(taken_at, datetime.fromisoformat(manifest.taken_at).astimezone(UTC))
        if finding := verify.noted(path):
            state, why = State.DAMAGED, finding[:300]
    except Damaged as damaged:
        state, why = State.DAMAGED, damaged.what
    except Trouble as trouble:
        state, why = State.UNVERIFIED, str(trouble)
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
        kept=os.path.lexists(f"{path}{names.KEEP}"),
    )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # removed a moment ago
        return 0
