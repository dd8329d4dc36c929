"""Worker that lists folders of copies, run in a child of the service: a mount may hang.

Each folder and each copy is one log message with a JSON text, so that no message grows
with the number of copies.
"""

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from supervisor.backups.model import (
    COPY,
    FOLDER,
    LIMIT_S,
    MOST_COPIES,
    BackupCopy,
    BackupFolder,
    Folder,
)
from workers.backup import listing
from workers.backup.errors import BackupError
from workers.backup.listing import Backup
from workers.params import ParamsError, parse
from workers.report import Report
from workers.rotation import params as rotation_params
from workers.rotation.retention import plan


def run(params: dict[str, Any], report: Report) -> None:
    """Report the copies in `folders`; an alarm ends the process after LIMIT_S."""
    signal.alarm(LIMIT_S)
    for folder in msgspec.convert(params["folders"], list[Folder]):
        error, left_out = "", 0
        try:
            copies = read(folder, datetime.now(UTC))
            left_out = max(0, len(copies) - MOST_COPIES)
            for copy in copies[:MOST_COPIES]:
                report.log(f"{COPY} {msgspec.json.encode(copy).decode()}")
        except BackupError as problem:
            error = str(problem)
        found = BackupFolder(folder.path, folder.jobs, error, left_out)
        report.log(f"{FOLDER} {msgspec.json.encode(found).decode()}")


def read(folder: Folder, now: datetime) -> list[BackupCopy]:
    """Return the copies in a folder, newest first. Raises: BackupError."""
    found = listing.list_backups(Path(folder.path))
    decided = _decisions(folder, found, now)
    return [_copy(folder.path, one, *decided.get(one.path, (None, ""))) for one in found]


def _decisions(folder: Folder, found: list[Backup], now: datetime) -> dict[Path, tuple[bool, str]]:
    """Return what the next rotation will decide; {} if nothing rotates the folder."""
    if folder.rotation is None:
        return {}
    try:
        policy = parse(rotation_params.Params, folder.rotation).policy
    except ParamsError:  # jobs.yaml is checked when it is read; the installation has changed since
        return {}
    decided = plan(found, policy, now, ZoneInfo(folder.timezone))
    return {one.backup.path: (one.keep, one.reason) for one in decided}


def _copy(folder: str, one: Backup, stays: bool | None, reason: str) -> BackupCopy:
    return BackupCopy(
        path=str(one.path),
        folder=folder,
        database=one.source,
        taken_at=one.taken_at,
        size_bytes=one.size_bytes,
        database_size_bytes=one.database_size_bytes,
        state=str(one.state),
        why=one.why,
        kept_by_hand=one.kept,
        stays=stays,
        reason=reason,
    )
