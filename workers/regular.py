"""Reading a file that may be missing, a folder, a pipe, or without end.

Standard library only: it is also read in a lean child.
"""

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
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Unreadable("is not a regular file")
            content = file.read(most_bytes + 1) if found.st_size <= most_bytes else None
    except Unreadable:
        raise
    except IsADirectoryError as error:
        raise Unreadable("is a folder, expected a file") from error
    except FileNotFoundError as error:
        raise Absent("no such file") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if content is None or len(content) > most_bytes:
        raise Unreadable(f"is larger than {most_bytes // 1024**2} MiB")
    return content
