"""Read a file that may be missing, a folder, a pipe or endless.

Standard library only, so that small child processes can import it.
"""

import os
import stat
from pathlib import Path


class UnreadableFileError(OSError):
    """A file that cannot be read, with the reason."""


class MissingFileError(UnreadableFileError):
    """The file does not exist."""


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file of at most `most_bytes`.

    Raises:
        UnreadableFileError: it cannot be read, is not a regular file or is larger.
    """
    try:
        # Without O_NONBLOCK, open() of a FIFO without a writer blocks for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableFileError("is not a regular file")
            content = file.read(most_bytes + 1) if found.st_size <= most_bytes else None
    except UnreadableFileError:
        raise
    except IsADirectoryError as error:
        raise UnreadableFileError("is a folder, expected a file") from error
    except FileNotFoundError as error:
        raise MissingFileError("no such file") from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if content is None or len(content) > most_bytes:
        raise UnreadableFileError(f"is larger than {most_bytes // 1024**2} MiB")
    return content
