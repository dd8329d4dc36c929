"""Worker that fingerprints jobs.yaml by content, run in a child of the service.

Only a child opens the file, because its mount may hang. The child is forked from a
lean process, so this module imports as little as possible.
"""

import hashlib
import signal
from pathlib import Path
from typing import Any

from workers.regular_file import UnreadableFileError, read_regular
from workers.report import Report

WORKER = "supervisor.config.fingerprint:run"
LIMIT_S = 10
LARGEST_BYTES = 16 * 1024**2


def run(params: dict[str, Any], report: Report) -> dict[str, str]:
    """Fingerprint the file at `path`; an alarm ends the process after LIMIT_S."""
    signal.alarm(LIMIT_S)
    return {"found": fingerprint(Path(params["path"]))}


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex, or the reason it cannot be read."""
    try:
        return hashlib.sha256(read_regular(path, LARGEST_BYTES)).hexdigest()
    except UnreadableFileError as error:
        return str(error)
