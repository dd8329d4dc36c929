"""Manifests of copies: the database, its size and its content; and their sidecars.

`encode` and `decode` are pure, `read` reads files. A manifest is JSON with a checksum: its
last field is the SHA-256 of the others. It is accepted only if encoding it again gives the
same bytes, so that every changed bit is detected. Enter at `read` and `companions`.
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

from workers.backup import filenames
from workers.backup.errors import BackupError, DamagedBackupError, UnprovenError, from_os_error
from workers.regular_file import (
    MissingFileError,
    UnreadableFileError,
    UnsuitableFileError,
    read_regular,
)
from workers.units import format_count, format_size

FORMAT = 1
# Written only if not empty, so that older manifests encode to the same bytes.
_OPTIONAL = ("unchecked", "findings", "name_is_later")


@dataclass(frozen=True, slots=True)
class Shape:
    """Values of a database's header; `auto_vacuum`: 0 none, 1 full, 2 incremental."""

    page_size: int
    page_count: int
    encoding: str
    auto_vacuum: int
    user_version: int
    application_id: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of one copy. Sizes: bytes; times: RFC 3339, UTC; hashes: SHA-256, hex.

    source: the database's absolute path; mode, uid, gid: those of the database.
    sha256, size_bytes: of the compressed copy; database_*: of its content.
    wal: whether the database was in WAL mode.
    rows: by table, counted inside the snapshot, without virtual tables.
    method: `frozen` (main file read under a WAL lock) or `copied` (through SQLite).
    unchecked: what could not be checked. findings: faults of the database's content that
    integrity_check found. Each is a list of phrases.
    name_is_later: the time in its name is after `taken_at`, in order to follow earlier
    copies.
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
        """Return the values of the database's header."""
        return Shape(**{one.name: getattr(self, one.name) for one in dataclasses.fields(Shape)})


class ManifestError(ValueError):
    """Bytes that are not a manifest as it was written; the text says why."""


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as a file's content."""
    fields = dataclasses.asdict(manifest)
    for name in _OPTIONAL:
        if not fields[name]:
            del fields[name]
    return _text({**fields, "checksum": hashlib.sha256(_text(fields)).hexdigest()})


def decode(content: bytes) -> Manifest:
    """Return the manifest in a file's content.

    Raises:
        ManifestError: not JSON, fields missing or of wrong type, or changed since.
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


# A thousand tables are 60 kB of manifest; a larger file is not a manifest.
_MOST_BYTES = 16 << 20
# `hash  name`, `hash *name` (binary mode), each with a leading `\\` if the name is escaped,
# or the format of --tag. sha256sum -c accepts them all, with either kind of line end.
# A hash has one case only: a letter of another case is a flipped bit.
_HASH = rb"([0-9a-f]{64}|[0-9A-F]{64})"
_LINE = re.compile(rb"(\\?)" + _HASH + rb" [ *](.+)", re.DOTALL)
_TAGGED = re.compile(rb"(\\?)SHA256 \((.+)\) = " + _HASH, re.DOTALL)
_ESCAPES = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


def read(path: Path) -> Manifest:
    """Return the manifest of the copy at `path`, checked against its sidecar and size.

    Raises:
        BackupError: the copy does not exist, or the name is not a copy's.
        UnprovenError: the sidecar or the manifest is missing.
        DamagedBackupError: they, or the copy's size, do not match.
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
    """Return the files to write beside a copy: content by ending.

    Raises:
        BackupError: there are so many tables that `read` would refuse the manifest.
    """
    encoded = encode(manifest)
    if len(encoded) > _MOST_BYTES:
        raise BackupError(
            f"manifest of {manifest.name} for {format_count(len(manifest.rows), 'table')} has"
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
        return read_regular(beside, _MOST_BYTES)
    except MissingFileError as error:
        raise UnprovenError(
            f"copy {path} has no {beside.name} beside it: nothing proves it"
        ) from error
    except UnsuitableFileError as error:
        raise DamagedBackupError(path, f"has a {beside.name} beside it that {error}") from error
    except UnreadableFileError as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise from_os_error(f"read {beside}", path.parent, cause) from error


def sidecar_hash(path: Path) -> str:
    """Return the SHA-256 (hex) in the sidecar of the file at `path`.

    Raises:
        UnprovenError: there is no sidecar.
        DamagedBackupError: it is not in the format of sha256sum, or is of another file.
    """
    content = _companion(path, filenames.SIDECAR)
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    found = [read for line in lines if line and (read := _read_line(line))]
    if not found:
        raise DamagedBackupError(
            path, f"has a damaged sidecar {path.name}.sha256: no line of sha256sum"
        )
    # A sidecar made elsewhere may contain a path; the hash must match the manifest anyway.
    own = [sha256 for name, sha256 in found if os.path.basename(name) == os.fsencode(path.name)]
    if not own:
        other = os.fsdecode(found[0][0])
        raise DamagedBackupError(
            path, f"has the sidecar of another file beside it: it names {other!r}"
        )
    return own[0]


def _read_line(line: bytes) -> tuple[bytes, str] | None:
    """Return the name and hash of a sha256sum line, or None for any other line."""
    if found := _LINE.fullmatch(line):
        escaped, sha256, name = found.groups()
    elif found := _TAGGED.fullmatch(line):
        escaped, name, sha256 = found.groups()
    else:
        return None
    if escaped:
        name = re.sub(rb"\\[\\nr]", lambda one: _ESCAPES[one[0]], name)
    return name, sha256.decode().lower()
