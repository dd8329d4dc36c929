"""A look at jobs.yaml, by content: what a child of the service says of the file.

The file may lie on a mount that does not answer, so only a child opens it. It is
forked from a lean process and imports next to nothing.
"""

import hashlib
import signal
from pathlib import Path
from typing import Any

from workers.regular import Unreadable, read_regular
from workers.report import Report

WORKER = "supervisor.look:run"
LIMIT_S = 10
LARGEST_BYTES = 16 * 1024**2


def run(params: dict[str, Any], report: Report) -> dict[str, str]:
    """Look at the file at `path`; ended by an alarm after LIMIT_S."""
    signal.alarm(LIMIT_S)
    return {"found": fingerprint(Path(params["path"]))}


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content, or why it cannot be read."""
    try:
        return hashlib.sha256(read_regular(path, LARGEST_BYTES)).hexdigest()
    except Unreadable as error:
        return str(error)
