"""Encryption with age, by pyrage: to the user's recipients and to a key of this run.

The key of the run opens the copy that was read back, so that it is proven without the
user's private key on the machine. It lives in this process only and is forgotten with it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from workers.backup.errors import BackupError
from workers.backup.stream import Step

_MOST_KEY_BYTES = 1 << 20


class SealError(BackupError):
    """Data that cannot be encrypted or decrypted; the text says why."""


class Readable(Protocol):
    """Something to read bytes from, piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; empty at the end."""


class RunKey:
    """A key made for this run."""

    def __init__(self) -> None:
        self._identity = library().x25519.Identity.generate()

    @property
    def identities(self) -> list[Any]:
        """Return the key to decrypt with."""
        return [self._identity]

    def recipients(self, others: Sequence[str]) -> list[Any]:
        """Return the recipients of a copy: the given public keys and this one.

        Raises:
            SealError: one is no public key of age or SSH.
        """
        return [*map(_recipient, others), self._identity.to_public()]


def library() -> Any:
    """Return pyrage. Raises: SealError: it is not installed."""
    try:
        import pyrage
    except ImportError as error:
        raise SealError(
            f"pyrage is missing ({error}): pip install 'nightshift-cron[offsite]'"
        ) from error
    return pyrage


def identities(file: Path) -> list[Any]:
    """Return the private keys in a file of age-keygen, or an SSH key without a passphrase.

    Raises:
        SealError: it cannot be read or has no key.
    """
    age = library()
    try:
        with open(file, "rb") as opened:
            content = opened.read(_MOST_KEY_BYTES)
        if b"PRIVATE KEY-----" in content:
            return [age.ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode().splitlines()]
        found = [age.x25519.Identity.from_str(one) for one in lines if one and one[0] != "#"]
    except OSError as error:
        raise SealError(f"identity {file}: {error.strerror}") from error
    except (age.IdentityError, ValueError) as error:
        raise SealError(f"identity {file}: expected the lines of age-keygen: {error}") from error
    if not found:
        raise SealError(f"identity {file}: has no key")
    return found


def seal(source: IO[bytes], target: IO[bytes], recipients: Sequence[Any], step: Step) -> str:
    """Encrypt `source` into `target`; return the SHA-256 (hex) of the result.

    step: called with the bytes read so far; may raise.
    """
    hashed = _Hashed(target)
    try:
        library().encrypt_io(_Watched(source, step), hashed, list(recipients))
    except library().EncryptError as error:
        raise SealError(f"cannot be encrypted: {error}") from error
    return hashed.sum.hexdigest()


def unseal(sealed: Readable, target: IO[bytes], keys: Sequence[Any], step: Step) -> None:
    """Decrypt into `target`, which is not to be used if this raises.

    Raises:
        SealError: for other keys, damaged, or cut short.
    """
    age = library()
    try:
        age.decrypt_io(_Watched(sealed, step), target, list(keys))
    except (age.DecryptError, OSError, ValueError) as error:
        raise SealError(f"cannot be decrypted: {error} (another key, changed, or cut)") from error


class _Hashed:
    """A file that hashes what is written."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target, self.sum = target, hashlib.sha256()

    def write(self, piece: bytes) -> int:
        """Write all of the piece."""
        self.sum.update(piece)
        self._target.write(piece)
        return len(piece)

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._target.flush()


class _Watched:
    """A file that calls `step` with the bytes read so far."""

    def __init__(self, file: Readable, step: Step) -> None:
        self._file, self._step, self._done = file, step, 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        piece = self._file.read(size)
        self._done += len(piece)
        self._step(self._done)
        return piece


def _recipient(text: str) -> Any:
    age = library()
    try:
        if text.startswith("ssh-"):
            return age.ssh.Recipient.from_str(text)
        return age.x25519.Recipient.from_str(text)
    except (age.RecipientError, ValueError) as error:
        raise SealError(f"age: {text[:12]}... is no public key: {error}") from error
