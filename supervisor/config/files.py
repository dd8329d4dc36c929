"""Writes files atomically; `workers/regular_file.py` reads them within limits."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a file atomically, readable and writable only by its owner.

    Raises:
        OSError: the existing file is unchanged.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
