"""Make second copies in other folders: copy, read back, then publish.

The first copy is verified already, so only equal bytes are checked here. Invariant: a
missing folder is never created, and a failure leaves the first copy unchanged.
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from workers.backup import disk_space, filenames, repository, stream
from workers.backup.errors import BackupError, from_os_error
from workers.backup.manifest import Manifest, companions
from workers.backup.stream import Step


def carry(copy: Path, manifest: Manifest, target: Path, step: Step) -> Path:
    """Copy `copy` to the folder `target`, verify it and return its path.

    step: called with the bytes copied so far; may raise.

    Raises:
        BackupError: the folder is missing, full, in use or not writable, or the bytes
            read back differ; no file with the copy's name is left.
    """
    try:
        repository.existing(target)
        with repository.locked(target):
            repository.sweep(target)
            _refuse_itself(copy, target)
            return _carried(copy, _named(manifest, target), target, step)
    except OSError as error:
        raise from_os_error(f"write {manifest.name}", target, error) from error


def _carried(copy: Path, manifest: Manifest, target: Path, step: Step) -> Path:
    disk_space.require(target, manifest.size_bytes, f"for {manifest.name}")
    part = target / f"{manifest.name}{filenames.PART}"
    try:
        _write(copy, part, manifest, step)
        _read_back(part, manifest, step)
        repository.publish(target, manifest.name, companions(manifest), manifest.mode)
    finally:
        if part.exists():
            repository.discard(target, manifest.name, part.name)
    return target / manifest.name


def _refuse_itself(copy: Path, target: Path) -> None:
    there = target / copy.name
    if there.exists() and os.path.samefile(there, copy):
        raise BackupError(
            f"folder {target} has a {copy.name} already; it is left as it is: the folder is the"
            " first one by another name"
        )


def _named(manifest: Manifest, target: Path) -> Manifest:
    """Return the manifest with a name after all copies in `target`, which services may share."""
    named = filenames.parse(manifest.name)
    assert named is not None  # create_backup() made the name
    name, is_later = repository.next_name(target, named.stem, named.taken_at)
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
        raise BackupError(
            f"folder {part.parent} gave back other bytes than were written: SHA-256"
            f" {whole.hexdigest()}, expected {manifest.sha256}; check that disk"
        )
