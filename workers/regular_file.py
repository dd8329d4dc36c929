"""Read a small file that may be missing, a folder, a pipe or endless.

Standard library only, so that small child processes can import it.
"""

import os
import stat


class UnreadableFileError(OSError):
    """A file that cannot be read, with the reason as a sentence without its subject."""


class MissingFileError(UnreadableFileError):
    """The file does not exist."""


class UnsuitableFileError(UnreadableFileError):
    """It is not a regular file, or it is larger than expected."""


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Return the content of a regular file of at most `most_bytes`.

    Raises:
        UnreadableFileError: it cannot be read, is not a regular file or is larger.
    """
    try:
        # Without O_NONBLOCK, open() of a FIFO without a writer blocks for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _content(descriptor, most_bytes)
        finally:
            os.close(descriptor)
    except UnreadableFileError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError("no such file") from error
    except (OSError, ValueError) as error:
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UnreadableFileError(reason) from error


def _content(descriptor: int, most_bytes: int) -> bytes:
    found = os.fstat(descriptor)
    # Before `open`, which does not close the descriptor of a folder.
    if stat.S_ISDIR(found.st_mode):
        raise UnsuitableFileError("is a folder, expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise UnsuitableFileError("is not a regular file")
    content = b""
    if found.st_size <= most_bytes:
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(found.st_size + 1)
            # It has grown, or its size is not known beforehand, as in /proc.
            if len(content) > found.st_size:
                content += file.read(most_bytes + 1 - len(content))
    if max(found.st_size, len(content)) > most_bytes:
        raise UnsuitableFileError(f"is larger than {_limit(most_bytes)}")
    return content


def _limit(most_bytes: int) -> str:
    mib, rest = divmod(most_bytes, 1024**2)
    return f"{mib} MiB" if mib and not rest else f"{most_bytes} bytes"
