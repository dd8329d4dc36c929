"""What stands beside a copy: of which database, how large, what is in it.

Pure. A manifest is JSON that protects itself: its last field is the SHA-256
of the others, and it is read only if writing it again gives the same bytes,
so that no bit of it can change unseen. Enter at `encode` and `decode`.
"""

import dataclasses
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from workers.backup import filenames, repository
from workers.backup.errors import BackupError, DamagedBackupError, UnprovenError, from_os_error
from workers.units import format_size

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


class ManifestError(ValueError):
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
        raise ManifestError("is no JSON") from error
    if not isinstance(fields, dict):
        raise ManifestError("is no JSON object")
    if fields.get("format", FORMAT) != FORMAT:
        raise ManifestError(f"has format {fields['format']}, expected {FORMAT} (a newer version?)")
    checksum = fields.pop("checksum", None)
    try:
        found = msgspec.convert(fields, Manifest)
    except msgspec.ValidationError as error:
        raise ManifestError(f"does not hold: {error}") from error
    if hashlib.sha256(_text(fields)).hexdigest() != checksum or encode(found) != content:
        raise ManifestError("was changed after it was written: its checksum does not fit")
    return found


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, indent=2).encode() + b"\n"


# A thousand tables are 60 kB of manifest; more is no manifest.
_MOST_BYTES = 16 << 20
# `hash  name`, `hash *name` (read as binary), and with a `\\` before it if the name is escaped;
# or what --tag writes. sha256sum -c takes both, with line ends of either kind.
# In one case or the other: a letter of another case is a flipped bit.
_HASH = rb"([0-9a-f]{64}|[0-9A-F]{64})"
_LINE = re.compile(rb"(\\?)" + _HASH + rb" [ *](.+)", re.DOTALL)
_TAGGED = re.compile(rb"(\\?)SHA256 \((.+)\) = " + _HASH, re.DOTALL)
_ESCAPES = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


def read(path: Path) -> Manifest:
    """The manifest of the copy at `path`, which its sidecar and its size confirm.

    Raises:
        Trouble: no such copy, or not a copy's name.
        Unproven: the sidecar or the manifest is missing.
        Damaged: they, or the copy's size, do not fit together.
    """
    size_bytes = _size(path)
    try:
        manifest = decode(_companion(path, filenames.MANIFEST))
    except ManifestError as error:
        raise DamagedBackupError(
            path, f"cannot be judged: its manifest {path.name}.json {error}"
        ) from error
    if manifest.name != path.name:
        raise DamagedBackupError(
            path, f"has the manifest of another copy beside it: {manifest.name}"
        )
    sha256 = sidecar_hash(path)
    if sha256 != manifest.sha256:
        raise DamagedBackupError(
            path, f"has a sidecar {path.name}.sha256 that names another hash than its manifest"
        )
    if size_bytes < manifest.size_bytes:
        raise DamagedBackupError(
            path, f"is cut short: it has {size_bytes} of {manifest.size_bytes} bytes"
        )
    if size_bytes > manifest.size_bytes:
        raise DamagedBackupError(
            path, f"is too long: {size_bytes} bytes, expected {manifest.size_bytes}"
        )
    return manifest


def companions(manifest: Manifest) -> dict[str, bytes]:
    """What stands beside a copy, by ending.

    Raises:
        Trouble: there are so many tables that `read` would refuse the manifest.
    """
    encoded = encode(manifest)
    if len(encoded) > _MOST_BYTES:
        raise BackupError(
            f"manifest of {manifest.name} for {len(manifest.rows)} tables has"
            f" {format_size(len(encoded))}, expected at most {format_size(_MOST_BYTES)}"
        )
    sidecar = filenames.sidecar_line(manifest.name, manifest.sha256)
    return {filenames.SIDECAR: sidecar, filenames.MANIFEST: encoded}


def _size(path: Path) -> int:
    if filenames.parse(path.name) is None:
        raise BackupError(
            f"file {path} is no copy of ours; expected a name such as"
            f" data-2026-02-09T00-00-00Z{filenames.ENDING}"
        )
    try:
        found = os.lstat(path)
    except FileNotFoundError as error:
        raise BackupError(f"copy {path} does not exist") from error
    except OSError as error:
        raise from_os_error(f"look at copy {path}", path.parent, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise BackupError(f"copy {path} is no plain file")
    return found.st_size


def _companion(path: Path, ending: str) -> bytes:
    beside = Path(f"{path}{ending}")
    try:
        return repository.read_small(beside, _MOST_BYTES)
    except FileNotFoundError as error:
        raise UnprovenError(
            f"copy {path} has no {beside.name} beside it: nothing proves it"
        ) from error
    except ValueError as error:
        raise DamagedBackupError(path, f"has a {beside.name} beside it {error}") from error
    except OSError as error:
        raise from_os_error(f"read {beside}", path.parent, error) from error


def sidecar_hash(path: Path) -> str:
    """The SHA-256 (hex) that the sidecar of the file at `path` names.

    Raises:
        Unproven: there is no sidecar.
        Damaged: it is none of sha256sum, or of another file.
    """
    content = _companion(path, filenames.SIDECAR)
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    found = [read for line in lines if line and (read := _read_line(line))]
    if not found:
        raise DamagedBackupError(
            path, f"has a damaged sidecar {path.name}.sha256: no line of sha256sum"
        )
    # Written elsewhere, it may name a path: the hash must fit the manifest in any case.
    own = [sha256 for name, sha256 in found if os.path.basename(name) == os.fsencode(path.name)]
    if not own:
        other = os.fsdecode(found[0][0])
        raise DamagedBackupError(
            path, f"has the sidecar of another file beside it: it names {other!r}"
        )
    return own[0]


def _read_line(line: bytes) -> tuple[bytes, str] | None:
    """Name and hash in a line of sha256sum; None for any other line."""
    if found := _LINE.fullmatch(line):
        escaped, sha256, name = found.groups()
    elif found := _TAGGED.fullmatch(line):
        escaped, name, sha256 = found.groups()
    else:
        return None
    if escaped:
        name = re.sub(rb"\\[\\nr]", lambda one: _ESCAPES[one[0]], name)
    return name, sha256.decode().lower()
