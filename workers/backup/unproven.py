"""A gzip file that nothing proves: what can be checked of it all the same.

A copy is nothing but gzip, so that it is of use without its sidecar, its
manifest and its name. Then gzip's own checksum and SQLite speak for it, and a
hash beside it, where there is one.
"""

import os
import shlex
import stat
from pathlib import Path

from workers.backup import names, prove, records
from workers.backup.folder import Scratch
from workers.backup.prove import Content
from workers.backup.stream import Step
from workers.backup.trouble import Damaged, Trouble, Unproven, free_bytes, of_system

_MAGIC = b"SQLite format 3\0"


def look(copy: Path) -> int:
    """The mode that a database restored from the file gets.

    Raises:
        Trouble: there is no such file, or it is no plain one.
    """
    try:
        found = os.stat(copy)
    except FileNotFoundError as error:
        raise Trouble(f"copy {copy} does not exist") from error
    except OSError as error:
        raise of_system(f"look at copy {copy}", copy.parent, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise Trouble(f"copy {copy} is no plain file")
    # A copy may be there for reading only; a database is to be used.
    return stat.S_IMODE(found.st_mode) & 0o666 | 0o600


def known_hash(copy: Path) -> str:
    """The SHA-256 (hex) of which a sidecar of the file tells; empty if there is none.

    Raises:
        Damaged: there is one, and it cannot be read or is of another file.
    """
    try:
        return records.sidecar_hash(copy)
    except Unproven:
        return ""


def checked(sha256: str) -> str:
    """What `examine` checks, in words."""
    known = f"the SHA-256 of its {names.SIDECAR}" if sha256 else "no SHA-256, as none is known"
    return f"gzip's CRC-32 and length, {known}, no manifest, integrity_check, foreign_key_check"


def examine(copy: Path, sha256: str, scratch: Scratch, step: Step) -> Content:
    """What is in the file, when it is whole; `scratch` holds it afterwards.

    sha256: what the file's hash must be, empty if not known.

    Raises:
        Damaged: it is no whole gzip file of a sound database, or has another hash.
        Trouble, sqlite3.Error: reading or writing failed.
    """
    most_bytes = free_bytes(scratch.path.parent)
    found = prove.unpacked(copy, copy, scratch, most_bytes, step)
    if sha256 and found.sha256 != sha256:
        raise Damaged(
            copy,
            f"is not what was written: it has SHA-256 {found.sha256}, its sidecar says {sha256}",
        )
    if os.pread(scratch.descriptor, len(_MAGIC), 0) != _MAGIC:
        raise Damaged(copy, "holds no SQLite database")
    return prove.checked(scratch, copy, "", lambda: step(found.database_size_bytes))


def with_a_way_out(trouble: Trouble, copy: Path, target: Path) -> Trouble:
    """`trouble`, with what can be done all the same."""
    by_hand = (
        f"by hand, unchecked: gunzip -c {shlex.quote(str(copy))} > {shlex.quote(str(target))}"
    )
    if isinstance(trouble, Damaged):
        return Damaged(trouble.path, f"{trouble.what}; {by_hand}")
    return Unproven(f"{trouble}; to restore it all the same: --unproven; or {by_hand}")
