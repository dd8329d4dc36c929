"""Lock an open file, and leave in it which process holds the lock.

A `flock` is released by the kernel however its process ends. The text is for messages
only; the lock alone decides. Standard library only.
"""

import fcntl
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime

from workers.text import readable

_LONGEST_OWNER_BYTES = 300
_SIGNATURE = "pid "


class HeldError(Exception):
    """The lock is held; `owner` is what its holder wrote: `pid 12 on host, since ...`."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"held by {owner}")
        self.owner = owner


def acquire(descriptor: int) -> None:
    """Lock the file without waiting.

    Raises:
        HeldError: another open file description holds the lock.
        OSError: the file system has no such locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HeldError(_owner(descriptor)) from error


def acquire_and_sign(descriptor: int) -> None:
    """Lock the file as `acquire` does, and replace its content with this process and the time.

    A full disk is no reason to fail; the file is then empty.
    """
    acquire(descriptor)
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    owner = f"{_SIGNATURE}{os.getpid()} on {readable(socket.gethostname())}, since {since}\n"
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode(), 0)


def is_signed(path: str | os.PathLike[str]) -> bool:
    """Return whether a process has once locked and signed the file."""
    try:
        # Without O_NONBLOCK, open() of a FIFO without a writer blocks for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(_SIGNATURE)) == _SIGNATURE.encode()
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    with suppress(OSError):
        said = os.pread(descriptor, _LONGEST_OWNER_BYTES, 0).decode(errors="replace")
        if line := said.partition("\n")[0].strip():
            return line
    return "another process"
