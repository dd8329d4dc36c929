"""Files that are read within limits, and files that are written whole or not at all."""

import os
from pathlib import Path

from workers.regular import Absent as Absent
from workers.regular import Unreadable as Unreadable
from workers.regular import read_regular as read_regular


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
