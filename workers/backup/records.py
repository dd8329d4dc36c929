"""A copy's sidecar and manifest: what they are to say, and whether they fit what is there.

Cheap: names, sizes and small files, never the copy's content (`verify.py`
reads that). Each misfit is named after the file that does not fit.
"""

import os
import re
import stat
from pathlib import Path

from workers.backup import folder, names
from workers.backup.manifest import BadManifest, Manifest, decode, encode
from workers.backup.trouble import Damaged, Trouble, Unproven, of_system
from workers.units import format_size

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
        manifest = decode(_companion(path, names.MANIFEST))
    except BadManifest as error:
        raise Damaged(path, f"cannot be judged: its manifest {path.name}.json {error}") from error
    if manifest.name != path.name:
        raise Damaged(path, f"has the manifest of another copy beside it: {manifest.name}")
    sha256 = sidecar_hash(path)
    if sha256 != manifest.sha256:
        raise Damaged(
            path, f"has a sidecar {path.name}.sha256 that names another hash than its manifest"
        )
    if size_bytes < manifest.size_bytes:
        raise Damaged(path, f"is cut short: it has {size_bytes} of {manifest.size_bytes} bytes")
    if size_bytes > manifest.size_bytes:
        raise Damaged(path, f"is too long: {size_bytes} bytes, expected {manifest.size_bytes}")
    return manifest


def companions(manifest: Manifest) -> dict[str, bytes]:
    """What stands beside a copy, by ending.

    Raises:
        Trouble: there are so many tables that `read` would refuse the manifest.
    """
    encoded = encode(manifest)
    if len(encoded) > _MOST_BYTES:
        raise Trouble(
            f"manifest of {manifest.name} for {len(manifest.rows)} tables has"
            f" {format_size(len(encoded))}, expected at most {format_size(_MOST_BYTES)}"
        )
    sidecar = names.sidecar_line(manifest.name, manifest.sha256)
    return {names.SIDECAR: sidecar, names.MANIFEST: encoded}


def _size(path: Path) -> int:
    if names.parse(path.name) is None:
        raise Trouble(
            f"file {path} is no copy of ours; expected a name such as"
            f" data-2026-02-09T00-00-00Z{names.ENDING}"
        )
    try:
        found = os.lstat(path)
    except FileNotFoundError as error:
        raise Trouble(f"copy {path} does not exist") from error
    except OSError as error:
        raise of_system(f"look at copy {path}", path.parent, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise Trouble(f"copy {path} is no plain file")
    return found.st_size


def _companion(path: Path, ending: str) -> bytes:
    beside = Path(f"{path}{ending}")
    try:
        return folder.read_small(beside, _MOST_BYTES)
    except FileNotFoundError as error:
        raise Unproven(f"copy {path} has no {beside.name} beside it: nothing proves it") from error
    except ValueError as error:
        raise Damaged(path, f"has a {beside.name} beside it {error}") from error
    except OSError as error:
        raise of_system(f"read {beside}", path.parent, error) from error


def sidecar_hash(path: Path) -> str:
    """The SHA-256 (hex) that the sidecar of the file at `path` names.

    Raises:
        Unproven: there is no sidecar.
        Damaged: it is none of sha256sum, or of another file.
    """
    content = _companion(path, names.SIDECAR)
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    found = [read for line in lines if line and (read := _read_line(line))]
    if not found:
        raise Damaged(path, f"has a damaged sidecar {path.name}.sha256: no line of sha256sum")
    # Written elsewhere, it may name a path: the hash must fit the manifest in any case.
    own = [sha256 for name, sha256 in found if os.path.basename(name) == os.fsencode(path.name)]
    if not own:
        other = os.fsdecode(found[0][0])
        raise Damaged(path, f"has the sidecar of another file beside it: it names {other!r}")
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
