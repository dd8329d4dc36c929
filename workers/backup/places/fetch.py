"""Bring a copy back from a place: into a folder of its own, as a copy of a backup folder.

The data is hashed on the way and, if it is encrypted, decrypted; what results has its
manifest and sidecar beside it, so that `verify` and `restore` treat it like any other copy.
Nothing is written elsewhere until that is whole.
"""

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from workers.backup import disk_space, filenames
from workers.backup.errors import BackupError, UnprovenError, from_os_error
from workers.backup.filenames import KEEP, MANIFEST, SIDECAR
from workers.backup.manifest import ManifestError, decode
from workers.backup.places import object_names, sealing
from workers.backup.places.blocks import Blocks
from workers.backup.places.catalogue import PlacedCopy
from workers.backup.places.object_names import AGE
from workers.backup.places.records import Described
from workers.backup.places.sealing import SealError
from workers.backup.places.store import MOST_SMALL_BYTES, Step, Store


class AlteredError(BackupError):
    """Data of a place that differs from what was sent; what: a sentence without subject."""

    def __init__(self, shown: str, what: str) -> None:
        super().__init__(f"copy {shown} {what}")
        self.what = what


def fetch(store: Store, wanted: PlacedCopy, keys: Sequence[Any], folder: Path, step: Step) -> Path:
    """Bring the copy into `folder` and return its path there.

    keys: private keys for encrypted copies, as from `sealing.identities`.
    step: called with the bytes received; may raise.

    Raises:
        AlteredError: it is not what was sent.
        UnprovenError: no manifest of ours names it.
        BackupError: it cannot be read, decrypted or written.
    """
    found = _described(wanted)
    if wanted.data.endswith(AGE) and not keys:
        raise SealError(
            f"copy {wanted.backup.shown} is encrypted: a private key is needed (--identity FILE)"
        )
    path = folder / object_names.copy_of(wanted.data)
    disk_space.require(folder, wanted.backup.size_bytes, f"to fetch {path.name}")
    blocks = Blocks(store.read(wanted.data, found.size_bytes), step)
    try:
        with open(path, "xb") as target:
            if wanted.data.endswith(AGE):
                _unseal(wanted, blocks, target, keys)
            else:
                while piece := blocks.read(1 << 20):
                    target.write(piece)
        _judge(wanted, found, blocks)
        _companions(store, wanted, found, keys, path)
    except OSError as error:
        raise from_os_error(f"fetch {path.name}", folder, error) from error
    return path


def check(store: Store, wanted: PlacedCopy, step: Step) -> None:
    """Read all of the data and compare it with its manifest.

    Raises:
        AlteredError, UnprovenError: it differs, or nothing says what it should be.
        BackupError: it cannot be read.
    """
    found = _described(wanted)
    _judge(wanted, found, Blocks(store.read(wanted.data, found.size_bytes), step))


def _described(wanted: PlacedCopy) -> Described:
    if wanted.described is None:
        raise UnprovenError(f"copy {wanted.backup.shown}: {wanted.backup.why}")
    return wanted.described


def _judge(wanted: PlacedCopy, found: Described, blocks: Blocks) -> None:
    sha256 = blocks.drained()
    if (sha256, blocks.size_bytes) != (found.sha256, found.size_bytes):
        raise AlteredError(
            wanted.backup.shown,
            f"is not what was sent: it has SHA-256 {sha256} and {blocks.size_bytes} bytes,"
            f" expected {found.sha256} and {found.size_bytes}",
        )


def _unseal(wanted: PlacedCopy, blocks: Blocks, target: Any, keys: Sequence[Any]) -> None:
    try:
        sealing.unseal(blocks, target, keys, lambda _: None)
    except SealError as error:
        assert wanted.described is not None
        # Its hash shows whether the data was changed, or another key is meant.
        _judge(wanted, wanted.described, blocks)
        raise SealError(f"copy {wanted.backup.shown} {error}") from error


def _companions(
    store: Store, wanted: PlacedCopy, found: Described, keys: Sequence[Any], path: Path
) -> None:
    """Write the manifest and sidecar beside a fetched copy."""
    sealed = wanted.data.endswith(AGE)
    name = object_names.sealed_manifest(path.name) if sealed else f"{wanted.data}{MANIFEST}"
    content = store.read_small([name]).get(name)
    if content is None:
        raise UnprovenError(f"copy {wanted.backup.shown} has no {name} beside it")
    if sealed:
        if hashlib.sha256(content).hexdigest() != found.manifest_sha256:
            raise AlteredError(wanted.backup.shown, f"has a {name} that was changed")
        opened = BytesIO()
        sealing.unseal(BytesIO(content[:MOST_SMALL_BYTES]), opened, keys, lambda _: None)
        content = opened.getvalue()
    try:
        sha256 = decode(content).sha256
    except ManifestError as error:
        raise AlteredError(wanted.backup.shown, f"has a manifest that {error}") from error
    Path(f"{path}{MANIFEST}").write_bytes(content)
    Path(f"{path}{SIDECAR}").write_bytes(filenames.sidecar_line(path.name, sha256))
    if wanted.backup.kept:
        Path(f"{path}{KEEP}").touch()
