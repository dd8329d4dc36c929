"""Check a gzip file without a manifest as far as possible.

A copy is a plain gzip file, so it can be used without its sidecar, manifest and name.
It is then checked by gzip's own checksum, by SQLite, and by the hash of a sidecar if there
is one.
"""

import os
import shlex
import stat
from pathlib import Path

from workers.backup import filenames, manifest, verify
from workers.backup.errors import (
    BackupError,
    DamagedBackupError,
    UnprovenError,
    free_bytes,
    from_os_error,
)
from workers.backup.repository import ScratchFile
from workers.backup.stream import Step
from workers.backup.verify import Content

_MAGIC = b"SQLite format 3\0"


def look(copy: Path) -> int:
    """Return the mode that a database restored from the file gets.

    Raises:
        BackupError: the file does not exist or is not a regular file.
    """
    try:
        found = os.stat(copy)
    except FileNotFoundError as error:
        raise BackupError(f"copy {copy} does not exist") from error
    except OSError as error:
        raise from_os_error(f"look at copy {copy}", copy.parent, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise BackupError(f"copy {copy} is no plain file")
    # A copy may be read-only, but a database must be writable.
    return stat.S_IMODE(found.st_mode) & 0o666 | 0o600


def known_hash(copy: Path) -> str:
    """Return the SHA-256 (hex) in the sidecar of the file, or an empty string without one.

    Raises:
        DamagedBackupError: the sidecar cannot be read or is of another file.
    """
    try:
        return manifest.sidecar_hash(copy)
    except UnprovenError:
        return ""


def checked(sha256: str) -> str:
    """Return what `examine` checks, as text."""
    known = f"the SHA-256 of its {filenames.SIDECAR}" if sha256 else "no SHA-256, as none is known"
    return f"gzip's CRC-32 and length, {known}, no manifest, integrity_check, foreign_key_check"


def examine(copy: Path, sha256: str, scratch: ScratchFile, step: Step) -> Content:
    """Return the content of the file if it is complete; `scratch` then holds the database.

    sha256: the expected hash of the file, empty if unknown.

    Raises:
        DamagedBackupError: not a complete gzip file of a sound database, or another hash.
        BackupError, sqlite3.Error: reading or writing failed.
    """
    most_bytes = free_bytes(scratch.path.parent)
    found = verify.unpacked(copy, copy, scratch, most_bytes, step)
    if sha256 and found.sha256 != sha256:
        raise DamagedBackupError(
            copy,
            f"is not what was written: it has SHA-256 {found.sha256}, its sidecar says {sha256}",
        )
    if os.pread(scratch.descriptor, len(_MAGIC), 0) != _MAGIC:
        raise DamagedBackupError(copy, "holds no SQLite database")
    return verify.checked(scratch, copy, "", lambda: step(found.database_size_bytes))


def with_a_way_out(problem: BackupError, copy: Path, target: Path) -> BackupError:
    """Return `problem` with a hint at how to restore anyway."""
    by_hand = (
        f"by hand, unchecked: gunzip -c {shlex.quote(str(copy))} > {shlex.quote(str(target))}"
    )
    if isinstance(problem, DamagedBackupError):
        return DamagedBackupError(problem.path, f"{problem.what}; {by_hand}")
    return UnprovenError(f"{problem}; to restore it all the same: --unproven; or {by_hand}")
