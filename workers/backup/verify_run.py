"""Verify one copy again as a run: what `nightshift backups verify FILE` does, in the ledger."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from workers.backup.errors import BackupCancelledError, BackupError
from workers.backup.verify import verify
from workers.protocol import Scalar
from workers.report import Report, WorkerError


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `verify_run.run`. file: the copy."""

    file: Path


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Verify the copy; return its path, rows, bytes and seconds.

    Raises:
        WorkerError: it is not what was written, it cannot be read, or there is no room.
    """

    def step(done_bytes: int) -> None:
        if report.cancelled:
            raise BackupCancelledError
        report.progress(done_bytes, None, "bytes")

    if report.dry_run:
        report.log(f"read {params.file}, unpack, check and count it")
        return {"file": str(params.file)}
    try:
        done = verify(params.file, step)
    except BackupCancelledError as cancelled:
        raise WorkerError(f"cancelled; {params.file} is as it was") from cancelled
    except BackupError as problem:
        raise WorkerError(str(problem), problem.permanent) from problem
    except (OSError, sqlite3.Error) as error:
        raise WorkerError(f"verify {params.file}: {error}") from error
    for warning in done.content.warnings:
        report.log(warning, "warning")
    return {
        "file": str(done.path),
        "rows": sum(done.content.rows.values()),
        "database_bytes": done.content.size_bytes,
        "seconds": done.seconds,
        "warnings": len(done.content.warnings),
    }
