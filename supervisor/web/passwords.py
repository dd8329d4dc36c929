"""The password file: one person a line, `NAME:PASSWORD`; kept as scrypt hashes in memory.

The file is for its owner only, as an SSH key is, since it holds the passwords as they are.
A file of root may be readable for its group, as PostgreSQL allows for its key files
(ssl_key_file): secrets that an orchestrator mounts for a group are made so. A file in
/run/secrets may be readable for everybody: there Docker and Podman mount secrets for the
container, with mode 0444 or that of the file outside.
"""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from supervisor.web.settings import PasswordAccess

LARGEST_BYTES = 64 * 1024
MOUNTED = Path("/run/secrets")
_UNKNOWN = b"\0" * 32


class PasswordFileError(ValueError):
    """A password file that cannot be used, and why."""


def read(path: Path, mounted: Path = MOUNTED) -> PasswordAccess:
    """Return the persons of a password file. Raises: PasswordFileError.

    mounted: the folder of secrets that a container engine mounts.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            mode, owner = os.fstat(fd).st_mode, os.fstat(fd).st_uid
            if not stat.S_ISREG(mode):
                raise PasswordFileError(f"{path}: expected a regular file")
            if mode & _forbidden(path, owner, mounted):
                raise PasswordFileError(
                    f"{path}: mode {mode & 0o777:04o} opens it to others: chmod 0600 {path}"
                )
            text = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise PasswordFileError(f"{path}: {error.strerror}") from error
    if len(text) > LARGEST_BYTES:
        raise PasswordFileError(f"{path}: more than {LARGEST_BYTES} bytes")
    return parse(text.decode(errors="surrogateescape"), str(path))


def _forbidden(path: Path, owner: int, mounted: Path) -> int:
    """Return the bits that the mode of a password file must not have."""
    if path.parent.resolve() == mounted:
        return 0o022
    return 0o037 if owner == 0 else 0o077


def parse(text: str, where: str) -> PasswordAccess:
    """Return the persons of the text of a password file. Raises: PasswordFileError."""
    salt = secrets.token_bytes(16)
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        name = name.strip()
        if not colon or not name or not password or not name.isprintable() or len(name) > 64:
            raise PasswordFileError(f"{where}:{number}: expected NAME:PASSWORD")
        if name in hashes:
            raise PasswordFileError(f"{where}:{number}: {name} is there twice")
        hashes[name] = _hash(password, salt)
    if not hashes:
        raise PasswordFileError(f"{where}: expected at least one line NAME:PASSWORD")
    return PasswordAccess(hashes, salt)


def is_right(access: PasswordAccess, name: str, password: str) -> bool:
    """Return whether this is the person's password; it takes as long for an unknown name."""
    found = _hash(password, access.salt)
    return hmac.compare_digest(access.hashes.get(name, _UNKNOWN), found)


def is_same(given: str, expected: str) -> bool:
    """Return whether two secret texts are equal; it takes as long for any of one length."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _hash(password: str, salt: bytes) -> bytes:
    data = password.encode(errors="surrogateescape")
    return hashlib.scrypt(data, salt=salt, n=2**13, r=8, p=1, dklen=32)
