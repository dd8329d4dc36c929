"""Cleanup: remove temporary files of killed runs and maintain a database.

This module holds the job `cleanup.run` and its plan. `leftovers.py` removes files,
`maintenance.py` runs ANALYZE, checkpoint and VACUUM. `row_numbers.py` can object to VACUUM
(`workers.virtual_tables` reads what indexes hold). Invariant: a database in use is not a
failure; a step that was skipped is a warning.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path

from workers import sqlite
from workers.backup import disk_space, introspection
from workers.backup.errors import BackupError, from_os_error
from workers.cleanup import leftovers, maintenance, row_numbers
from workers.cleanup.maintenance import Pages
from workers.file_length import refuse_cut_short
from workers.params import Duration
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError
from workers.units import format_duration, format_size

__all__ = ["Params", "plan", "run"]

_LONGEST_PATIENCE_S = 3600.0
_LONGEST_REASON = 300
_PATIENCE = Duration(sqlite.BUSY_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `cleanup.run`.

    database: the SQLite file, which may be in use.
    directories: folders of copies, where killed runs may have left files.
    vacuum_free_ratio: the part of free pages, 0 to 1, from which VACUUM pays.
    vacuum_rowids: whether VACUUM may give new row numbers to the rows of tables
        without an INTEGER PRIMARY KEY, since no program keeps the old ones.
    busy_timeout: how long a step waits for another program.
    """

    database: Path
    directories: tuple[Path, ...] = ()
    vacuum_free_ratio: float = 0.2
    vacuum_rowids: bool = False
    busy_timeout: Duration = _PATIENCE

    def __post_init__(self) -> None:
        ratio = self.vacuum_free_ratio
        if not (isfinite(ratio) and 0 <= ratio <= 1):
            raise ValueError(f"vacuum_free_ratio: expected 0 to 1, got {ratio}")
        if self.busy_timeout > _LONGEST_PATIENCE_S:
            given, most = format_duration(self.busy_timeout), format_duration(_LONGEST_PATIENCE_S)
            raise ValueError(f"busy_timeout: expected at most {most}, got {given}")


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What was done to the database; `warnings`: what was skipped, and why.

    left_out: why VACUUM was skipped although it would pay, or empty.
    """

    found: Pages
    checkpoint: str
    vacuum: str
    left_out: str
    freed_bytes: int
    warnings: tuple[str, ...]


class CleanupCancelledError(Exception):
    """SIGTERM was received."""


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Clean up; return counts, bytes freed, steps done, warnings and seconds.

    Raises:
        WorkerError: a path is wrong, or the database is damaged or cannot be written.
    """
    began = time.monotonic()
    try:
        left = leftovers.found(params.database, params.directories)
        with closing(_opened(params)) as connection:
            if report.dry_run:
                return _planned(params, connection, left, report)
            removed = leftovers.removed(params.database, left)
            for path in removed.paths:
                report.log(f"removed, left by a killed run: {path}")
            done = _kept_in_shape(params, connection, report)
    except CleanupCancelledError as cancelled:
        raise WorkerError("cancelled between two steps; what was done stays") from cancelled
    except (BackupError, DatabaseError) as problem:
        raise WorkerError(str(problem), problem.permanent) from problem
    except sqlite3.Error as error:
        failure = sqlite.error_of(params.database, error)
        raise WorkerError(str(failure), failure.permanent) from error
    except OSError as error:
        system = from_os_error(f"clean up {params.database}", params.database.parent, error)
        raise WorkerError(str(system), system.permanent) from error
    warnings = (*removed.hindrances, *done.warnings)
    for warning in warnings:
        report.log(warning, "warning")
    freed_bytes = removed.freed_bytes + done.freed_bytes
    report.metric("cleanup_freed_bytes", freed_bytes)
    return {
        "leftovers": len(removed.paths),
        "freed_bytes": freed_bytes,
        "free_ratio": round(done.found.free_ratio, 4),
        "checkpoint": done.checkpoint,
        "vacuum": done.vacuum,
        "vacuum_left_out": done.left_out[:_LONGEST_REASON],
        "warnings": len(warnings),
        "seconds": round(time.monotonic() - began, 3),
    }


def plan(params: Params, left: Sequence[Path], found: Pages, against: str) -> tuple[str, ...]:
    """Return what a run would do, one line each; pure.

    against: why VACUUM is skipped, or empty.
    """
    share = f"{found.free_ratio:.1%} of its pages are free ({format_size(_free_bytes(found))})"
    if not maintenance.wants_vacuum(found, params.vacuum_free_ratio):
        vacuum = f"no VACUUM: {share}, it pays from {params.vacuum_free_ratio:.0%}"
    else:
        vacuum = against or f"VACUUM: {share}"
    steps = (f"ANALYZE {params.database}", "checkpoint its WAL, if it has one", vacuum)
    return (*(f"remove {path}" for path in left), *steps)


def _planned(
    params: Params, connection: sqlite3.Connection, left: Sequence[Path], report: Report
) -> dict[str, Scalar]:
    found = maintenance.pages(connection)
    for line in plan(params, left, found, _against(params, connection, found)):
        report.log(line)
    return {
        "leftovers": len(left),
        "free_ratio": round(found.free_ratio, 4),
        "free_bytes": _free_bytes(found),
    }


def _kept_in_shape(
    params: Params, connection: sqlite3.Connection, report: Report
) -> CleanupResult:
    def check() -> None:
        if report.cancelled:
            raise CleanupCancelledError

    def attended(step: Callable[[], str]) -> str:
        return sqlite.with_progress(connection, step, check)

    path, before = params.database, _size(params.database)
    warnings = [
        attended(
            partial(maintenance.left_out, "ANALYZE", partial(maintenance.analyze, connection))
        )
    ]
    emptied = attended(partial(maintenance.checkpoint, connection, params.busy_timeout))
    found = maintenance.pages(connection)
    vacuum, why = _vacuum(params, connection, found, emptied, attended)
    warnings.append(why)
    if vacuum == "done":
        report.log(f"VACUUM: {found.free_ratio:.1%} of the pages were free")
        emptied = attended(partial(maintenance.checkpoint, connection, params.busy_timeout))
    if emptied == "busy":
        warnings.append("the WAL stays: a program reads or writes the database all the time")
    freed = max(0, before - _size(path))
    return CleanupResult(
        found, emptied, vacuum, why, freed, tuple(text for text in warnings if text)
    )


def _vacuum(
    params: Params,
    connection: sqlite3.Connection,
    found: Pages,
    emptied: str,
    attended: Callable[[Callable[[], str]], str],
) -> tuple[str, str]:
    """Run VACUUM if it pays; return `done`, `not needed` or `left out`, and why it was skipped."""
    if not maintenance.wants_vacuum(found, params.vacuum_free_ratio):
        return "not needed", ""
    if emptied == "busy":
        # VACUUM would write the whole database into a log that cannot be emptied.
        return "left out", "VACUUM is left out while the WAL cannot be emptied"
    if against := _against(params, connection, found):
        return "left out", against
    why = attended(
        partial(maintenance.left_out, "VACUUM", partial(maintenance.vacuum, connection))
    )
    return ("left out" if why else "done"), why


def _against(params: Params, connection: sqlite3.Connection, found: Pages) -> str:
    """Return why VACUUM is skipped although it would pay, or an empty string."""
    objection = row_numbers.objection(row_numbers.schema(connection), params.vacuum_rowids)
    return objection or _lack(params.database, connection, found)


def _lack(path: Path, connection: sqlite3.Connection, found: Pages) -> str:
    """Return why VACUUM has no room, with the numbers, or an empty string."""
    wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    needed = maintenance.needs(path, found, wal)
    volumes = disk_space.free([need.folder for need in needed])
    return disk_space.refusal(needed, volumes, "VACUUM is left out")


def _opened(params: Params) -> sqlite3.Connection:
    path = params.database
    connection = sqlite.open_existing(path, busy_timeout_s=params.busy_timeout)
    try:
        if not introspection.count(connection):
            raise DatabaseError(path, "has no tables; is it the right path?", permanent=True)
        # VACUUM would make the loss part of the content.
        refuse_cut_short(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _free_bytes(found: Pages) -> int:
    return found.free * found.size_bytes


def _size(path: Path) -> int:
    """Return the size of the main file and its log in bytes."""
    sizes = 0
    # SQLite keeps the log beside the file itself, not beside a link to it.
    for file in (path, Path(f"{os.path.realpath(path)}-wal")):
        try:
            sizes += file.stat().st_size
        except OSError:  # no log, or removed meanwhile
            continue
    return sizes
