"""Reading a file that may be missing, a folder, a pipe, or without end."""

import os
import stat
from pathlib import Path


class Unreadable(OSError):  # noqa: N818 - what the file is
    """A file that cannot be read, and why."""


class Absent(Unreadable):
    """No file is there."""


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file of at most `most_bytes`. Raises: Unreadable."""
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to waits for good.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("is not a regular file")
            content = file.read(most_bytes + 1)
    except Unreadable:
        raise
    except IsADirectoryError as error:
        raise Unreadable("is a folder, expected a file") from error
    except FileNotFoundError as error:
        raise Absent("no such file") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > most_bytes:
        raise Unreadable(f"is larger than {most_bytes // 1024**2} MiB")
    return content


def write_private(path: Path, content: bytes) -> None:
    """The file holds `content`, whole or not at all, and only its owner may read it.

    Raises:
        OSError: nothing was changed.
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
