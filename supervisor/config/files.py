"""Reads files within size limits and writes files atomically."""

import os
from pathlib import Path

from workers.regular_file import MissingFileError as MissingFileError
from workers.regular_file import UnreadableFileError as UnreadableFileError
from workers.regular_file import read_regular as read_regular


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
