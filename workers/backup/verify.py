"""Is a copy still what was written? Read whole, unpacked, checked, counted.

The finding is kept beside the copy (`<copy>.damaged`), since rotation must
not count on a copy that somebody has seen to be damaged, and cannot afford
to read them all.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.backup import folder, names, prove, records, space
from workers.backup.manifest import Manifest
from workers.backup.prove import Content
from workers.backup.stream import Step
from workers.backup.trouble import Damaged

_MOST_NOTED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Verified:
    """A copy that was proven just now, what was found in it, and how long that took."""

    path: Path
    manifest: Manifest
    content: Content
    seconds: float


def unheard(_done_bytes: int) -> None:
    """A step of which nobody wants to hear."""


def verify(path: Path, step: Step = unheard) -> Verified:
    """The copy at `path`, proven again.

    A scratch file lies beside it meanwhile; where nothing can be written
    there, in the folder for temporary files ($TMPDIR).
    step: called with the bytes unpacked so far; may raise to end it.

    Raises:
        Damaged: it, its sidecar or its manifest is not what was written; the
            text names which. Noted beside the copy.
        Unproven: sidecar or manifest are missing.
        Trouble: it is no copy, or cannot be read, or there is no room.
    """
    began = time.monotonic()
    try:
        manifest = records.read(path)
        # Filling the volume up to find out would be everybody's trouble.
        place = folder.writable(path.parent)
        space.require(place, manifest.database_size_bytes, f"to prove {path.name}")
        with folder.scratch(place, f"{path.name}.scratch-") as scratch:
            content = prove.prove(path, path, scratch, prove.expected(manifest), step)
    except Damaged as damaged:
        note(path, damaged.what)
        raise
    # Found well: what was noted before was mended, or was the disk's bad day.
    with suppress(OSError):
        mark_of(path).unlink(missing_ok=True)
    return Verified(path, manifest, content, round(time.monotonic() - began, 3))


def mark_of(path: Path) -> Path:
    """Where a finding against the copy is noted."""
    return path.with_name(f"{path.name}{names.DAMAGED}")


def noted(path: Path) -> str:
    """The finding that is kept against the copy at `path`; empty if there is none."""
    mark = mark_of(path)
    if not os.path.lexists(mark):
        return ""
    try:
        said = folder.read_small(mark, _MOST_NOTED_BYTES)
    except (OSError, ValueError) as error:
        return f"has a finding against it, {mark.name}, which cannot be read: {error}"
    return said.decode(errors="replace").strip() or f"has a finding against it: {mark.name}"


def note(path: Path, what: str) -> None:
    """Keep a finding against the copy at `path`; on a read-only folder it is not kept."""
    with suppress(OSError):
        folder.write_whole(mark_of(path), f"{what}\n".encode(errors="replace"), 0o640)
        folder.synced(path.parent)
