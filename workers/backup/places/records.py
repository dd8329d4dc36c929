"""What is written beside the data of a copy in a place: manifests and receipts. Pure.

The manifest of a plain copy is the one of the backup folder. `SealedManifest` stands beside
encrypted data: it has the hash and age of the copy, and nothing of its content. A `Receipt`
says that the data was read back. Both are JSON with a checksum, as manifests are.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from workers.backup import manifest
from workers.backup.manifest import Manifest, ManifestError
from workers.backup.places import object_names

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SealedManifest:
    """The description of encrypted data. Size: bytes; time: RFC 3339, UTC; SHA-256 in hex.

    name: of the data. sha256, size_bytes: of the data. manifest_sha256: of the encrypted
    manifest beside it.
    """

    name: str
    source: str
    taken_at: str
    sha256: str
    size_bytes: int
    manifest_sha256: str
    database_size_bytes: int
    name_is_later: bool
    age: tuple[str, ...]
    format: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """That data was proven in its place. how: what was done; at: RFC 3339, UTC."""

    name: str
    sha256: str
    size_bytes: int
    at: str
    how: str
    format: int = 1


@dataclass(frozen=True, slots=True)
class Described:
    """What a manifest says of the data beside it, plain or encrypted."""

    data: str
    source: str
    taken_at: datetime
    sha256: str
    size_bytes: int
    database_size_bytes: int
    name_is_later: bool
    manifest_sha256: str = ""


def encode(record: SealedManifest | Receipt) -> bytes:
    """Return the record as an object's content."""
    fields = dataclasses.asdict(record)
    return _text({**fields, "checksum": hashlib.sha256(_text(fields)).hexdigest()})


def described(data: str, content: bytes) -> Described:
    """Return what the manifest beside `data` says.

    Raises:
        ManifestError: it is not a manifest as it was written, or of another copy.
    """
    found: Manifest | SealedManifest
    if data.endswith(object_names.AGE):
        found, extra = _decoded(content, SealedManifest), ""
        extra = found.manifest_sha256
    else:
        found, extra = manifest.decode(content), ""
    if found.name != data:
        raise ManifestError(f"is of another copy: {found.name!r}")
    try:
        taken_at = datetime.fromisoformat(found.taken_at).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ManifestError(f"has a time that is none: {found.taken_at!r}") from error
    return Described(
        data,
        found.source,
        taken_at,
        found.sha256,
        found.size_bytes,
        found.database_size_bytes,
        found.name_is_later,
        extra,
    )


def receipt(content: bytes) -> Receipt:
    """Return the receipt in an object's content. Raises: ManifestError."""
    return _decoded(content, Receipt)


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        fields = json.loads(content)
        checksum = fields.pop("checksum", None)
        found = msgspec.convert(fields, kind)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise ManifestError(f"does not hold: {error}"[:200]) from error
    if hashlib.sha256(_text(fields)).hexdigest() != checksum:
        raise ManifestError("was changed after it was written: its checksum does not fit")
    return found


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, indent=2).encode() + b"\n"
