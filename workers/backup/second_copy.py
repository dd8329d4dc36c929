"""Second copies in other folders: carried over, read back, then named.

The copy in the first folder is proven already; here it is only to arrive
byte for byte. The law: a folder that is missing is never made, and whatever
goes wrong here leaves the first copy as it is.
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from workers.backup import folder, names, records, space, stream
from workers.backup.manifest import Manifest
from workers.backup.stream import Step
from workers.backup.trouble import Trouble, of_system


def carry(copy: Path, manifest: Manifest, target: Path, step: Step) -> Path:
    """The second copy of `copy` in the folder `target`, verified.

    step: called with the bytes carried so far; may raise.

    Raises:
        Trouble: the folder is missing, full, in use or not writable, or what
            was read back differs; nothing is left under the copy's name.
    """
    try:
        folder.existing(target)
        with folder.locked(target):
            folder.sweep(target)
            _refuse_itself(copy, target)
            return _carried(copy, _named(manifest, target), target, step)
    except OSError as error:
        raise of_system(f"write {manifest.name}", target, error) from error


def _carried(copy: Path, manifest: Manifest, target: Path, step: Step) -> Path:
    space.require(target, manifest.size_bytes, f"for {manifest.name}")
    part = target / f"{manifest.name}{names.PART}"
    try:
        _write(copy, part, manifest, step)
        _read_back(part, manifest, step)
        folder.publish(target, manifest.name, records.companions(manifest), manifest.mode)
    finally:
        if part.exists():
            folder.discard(target, manifest.name, part.name)
    return target / manifest.name


def _refuse_itself(copy: Path, target: Path) -> None:
    there = target / copy.name
    if there.exists() and os.path.samefile(there, copy):
        raise Trouble(
            f"folder {target} has a {copy.name} already; it is left as it is: the folder is the"
            " first one by another name"
        )


def _named(manifest: Manifest, target: Path) -> Manifest:
    """With a name after all copies in `target`, where another service may have put some."""
    named = names.parse(manifest.name)
    assert named is not None  # as `work` has made it
    name, is_later = folder.next_name(target, named.stem, named.taken_at)
    return replace(manifest, name=name, name_is_later=True) if is_later else manifest


def _write(copy: Path, part: Path, manifest: Manifest, step: Step) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(copy, "rb", buffering=0) as source:
        target = os.open(part, flags, manifest.mode)
        try:
            carried = 0
            while block := source.read(stream.BLOCK_BYTES):
                stream.write_all(target, block)
                carried += len(block)
                step(carried)
            os.fsync(target)
            os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(target)


def _read_back(part: Path, manifest: Manifest, step: Step) -> None:
    whole = hashlib.sha256()
    with open(part, "rb", buffering=0) as written:
        while block := written.read(stream.BLOCK_BYTES):
            whole.update(block)
            step(manifest.size_bytes)
    if whole.hexdigest() != manifest.sha256:
        raise Trouble(
            f"folder {part.parent} gave back other bytes than were written: SHA-256"
            f" {whole.hexdigest()}, expected {manifest.sha256}; check that disk"
        )
