"""What stands beside a copy: of which database, how large, what is in it.

Pure. A manifest is JSON that protects itself: its last field is the SHA-256
of the others, and it is read only if writing it again gives the same bytes,
so that no bit of it can change unseen. Enter at `encode` and `decode`.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec

FORMAT = 1
# Written only if there is something to say: older manifests are read as they were written.
_OPTIONAL = ("unchecked", "findings", "name_is_later")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a database's header says; `auto_vacuum` 0 none, 1 full, 2 incremental."""

    page_size: int
    page_count: int
    encoding: str
    auto_vacuum: int
    user_version: int
    application_id: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One copy. Sizes are bytes, times RFC 3339 in UTC, hashes SHA-256 in hex.

    source: the database's absolute path; mode, uid, gid: what it had.
    sha256, size_bytes: of the compressed copy; database_*: of what is in it.
    wal: whether it was in WAL mode.
    rows: by table, counted inside the snapshot; virtual tables left out.
    method: `frozen` (main file read under a WAL lock) or `copied` (through SQLite).
    unchecked: what could not be checked. findings: what integrity_check says
    against the database's content. Both a phrase each.
    name_is_later: its name says a later time than `taken_at`, so that it comes
    after the copies that were there.
    """

    name: str
    source: str
    host: str
    taken_at: str
    verified_at: str
    sha256: str
    size_bytes: int
    database_sha256: str
    database_size_bytes: int
    page_size: int
    page_count: int
    encoding: str
    auto_vacuum: int
    user_version: int
    application_id: int
    rows: dict[str, int]
    foreign_key_violations: int
    wal: bool
    mode: int
    uid: int
    gid: int
    method: str
    writers_held_seconds: float
    duration_seconds: float
    versions: dict[str, str]
    format: int = FORMAT
    unchecked: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    name_is_later: bool = False

    @property
    def shape(self) -> Shape:
        """What the database's header said."""
        return Shape(**{one.name: getattr(self, one.name) for one in dataclasses.fields(Shape)})


class BadManifest(ValueError):  # noqa: N818 - what it says of the file
    """These bytes are no manifest as it was written; the text says how."""


def encode(manifest: Manifest) -> bytes:
    """The manifest as a file's content."""
    fields = dataclasses.asdict(manifest)
    for name in _OPTIONAL:
        if not fields[name]:
            del fields[name]
    return _text({**fields, "checksum": hashlib.sha256(_text(fields)).hexdigest()})


def decode(content: bytes) -> Manifest:
    """The manifest in a file's content.

    Raises:
        BadManifest: no JSON, fields missing or of wrong type, or changed since.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadManifest("is no JSON") from error
    if not isinstance(fields, dict):
        raise BadManifest("is no JSON object")
    if fields.get("format", FORMAT) != FORMAT:
        raise BadManifest(f"has format {fields['format']}, expected {FORMAT} (a newer version?)")
    checksum = fields.pop("checksum", None)
    try:
        found = msgspec.convert(fields, Manifest)
    except msgspec.ValidationError as error:
        raise BadManifest(f"does not hold: {error}") from error
    if hashlib.sha256(_text(fields)).hexdigest() != checksum or encode(found) != content:
        raise BadManifest("was changed after it was written: its checksum does not fit")
    return found


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, indent=2).encode() + b"\n"
