"""What is sent of a copy: its data, plain or encrypted, the objects beside it, and its proof."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from workers.backup import disk_space, manifest, repository, verify
from workers.backup.manifest import Manifest
from workers.backup.places import object_names, records, sealing
from workers.backup.places.blocks import Blocks
from workers.backup.places.object_names import AGE
from workers.backup.places.place import Place
from workers.backup.places.records import SealedManifest
from workers.backup.places.sealing import RunKey
from workers.backup.places.store import Step


@dataclass(frozen=True, slots=True)
class Parcel:
    """What to send. file, sha256, size_bytes: of the data; description: its manifest.

    beside: further small objects by name. prove: reads the data that came back and raises
    BackupError if the copy cannot be had from it; it need not read to the end.
    how: what it does, after `read back`.
    """

    data: str
    file: Path
    sha256: str
    size_bytes: int
    description: bytes
    prove: Callable[[Blocks], None]
    how: str = ""
    beside: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def plain(copy: Path, known: Manifest, place: Place, step: Step) -> Iterator[Parcel]:
    """Yield the copy as it is; its hash is its proof, since its bytes were restored already."""
    described = manifest.encode(known)
    yield Parcel(known.name, copy, known.sha256, known.size_bytes, described, lambda _: None)


@contextmanager
def sealed(copy: Path, known: Manifest, place: Place, step: Step) -> Iterator[Parcel]:
    """Yield the copy encrypted to the recipients of the place and to a key of this run.

    The encrypted file, the decrypted one and the database are scratch files beside the copy.

    Raises:
        BackupError: a recipient is no key, or there is no room.
    """
    folder, prefix = copy.parent, f"{copy.name}.scratch-"
    needed = 2 * known.size_bytes + known.database_size_bytes
    disk_space.require(folder, needed, f"to encrypt {known.name} and prove it")
    key = RunKey()
    recipients = key.recipients(place.age)
    about = BytesIO()
    sealing.seal(BytesIO(manifest.encode(known)), about, recipients, lambda _: None)

    def prove(came_back: Blocks) -> None:
        with repository.scratch(folder, prefix) as opened:
            with open(opened.path, "wb") as target:
                sealing.unseal(came_back, target, key.identities, lambda _: None)
            with repository.scratch(folder, prefix) as database:
                shown = Path(place.to, known.name)
                verify.prove(opened.path, shown, database, verify.expected(known), step)

    with repository.scratch(folder, prefix) as file:
        with open(copy, "rb") as source, open(file.path, "wb") as target:
            found = sealing.seal(source, target, recipients, step)
        data = f"{known.name}{AGE}"
        described = SealedManifest(
            name=data,
            source=known.source,
            taken_at=known.taken_at,
            sha256=found,
            size_bytes=file.path.stat().st_size,
            manifest_sha256=sha256(about.getvalue()).hexdigest(),
            database_size_bytes=known.database_size_bytes,
            name_is_later=known.name_is_later,
            age=place.age,
        )
        yield Parcel(
            data,
            file.path,
            found,
            described.size_bytes,
            records.encode(described),
            prove,
            ", decrypted and restored",
            {object_names.sealed_manifest(known.name): about.getvalue()},
        )
