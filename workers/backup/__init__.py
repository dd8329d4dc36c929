"""Backup: copy a SQLite database in use; a backup succeeds once the copy was restored.

This module holds the job `backup.run` and its plan. Creating: `preflight` and `disk_space`
check first, `create` leads, `lock_wait` and `snapshot` read the database, `stream` and
`gzip_codec` pack, `verify` unpacks and compares, `sqlite_checks`, `stub_functions` and
`newer_schema` query the copy, `repository` locks, sweeps and publishes, `secondary_copy`
makes second copies. Files: `filenames`, `manifest`, `marks`. Using: `listing`, `selection`,
`verify_all`, `restore`, `restore_live` (database in use), `unproven` (no manifest), `ownership`.
`restore_drill` restores for practice.
Places beyond the folder: `places`. Shared: `params`, `settings`, `errors`, `introspection`.
"""

import sqlite3
import time
from collections.abc import Sequence

from workers import sqlite
from workers.backup import create, filenames, preflight, repository
from workers.backup.create import CreatedBackup
from workers.backup.errors import BackupCancelledError, BackupError, from_os_error
from workers.backup.params import Params
from workers.backup.places.place import Place, Verify
from workers.backup.preflight import Preflight
from workers.backup.restore_drill import DrillParams, drill
from workers.backup.settings import Settings, resolve
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError
from workers.units import format_count, format_size

__all__ = ["DrillParams", "Params", "drill", "plan", "run"]

_LONGEST_PROBLEM = 1000


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Make and verify a copy; return its name, sizes in bytes, rows and seconds.

    `problem` in the result names the second copies that were not made; the service opens
    an incident for it.

    Raises:
        WorkerError: with the reason; no unverified copy remains.
    """
    try:
        settings = resolve(params)
        return _planned(settings, report) if report.dry_run else _run(settings, report)
    except BackupCancelledError as cancelled:
        raise WorkerError("cancelled; what was begun is removed") from cancelled
    except (BackupError, DatabaseError) as problem:
        raise WorkerError(str(problem), problem.permanent) from problem
    except sqlite3.Error as error:
        failure = sqlite.error_of(params.database, error)
        raise WorkerError(str(failure), failure.permanent) from error
    except OSError as error:
        system = from_os_error(f"backup of {params.database}", params.directory, error)
        raise WorkerError(str(system), system.permanent) from error


def plan(
    settings: Settings, seen: Preflight, leftovers: Sequence[str], lacking: str
) -> tuple[str, ...]:
    """Return what a run would do, one line each; pure.

    leftovers: names that would be swept. lacking: why it does not fit, or empty.
    """
    source, destination = settings.source, settings.destination
    name = f"{source.stem}-<UTC>{filenames.ENDING}"
    how = "in WAL mode" if seen.info.wal else "under a rollback journal: writers wait for one copy"
    size, copy = format_size(seen.info.size_bytes), format_size(seen.copy_bytes)
    made = " (to be made)" if seen.makes_folder else ""
    lines = [
        f"copy {source.path} ({size}, {how}) to {destination.directory}{made} as {name},"
        f" about {copy} at level {destination.level}",
        "prove it: unpack it beside, compare hashes, integrity_check, foreign_key_check, rows",
        *(f"needs {format_size(n.size_bytes)} in {n.folder} for {n.purpose}" for n in seen.needs),
        *(f"sweep {leftover}" for leftover in leftovers),
        *(f"then a second copy in {_planned_place(one)}" for one in settings.second_copies),
    ]
    return (*lines, f"it would be refused: {lacking}") if lacking else tuple(lines)


def _planned_place(place: Place) -> str:
    sealed = f" encrypted to {len(place.age)} recipients," if place.age else ""
    proof = "proven by the sums of its parts" if place.verify == Verify.PARTS else "read back"
    return f"{place.to},{sealed} {proof}"


def _planned(settings: Settings, report: Report) -> dict[str, Scalar]:
    directory = settings.destination.directory
    seen = preflight.check_source(settings.source, settings.destination, lambda: None)
    lacking = preflight.why_not_enough_space(directory, seen)
    leftovers = repository.leftovers(directory)
    for line in plan(settings, seen, leftovers, lacking):
        report.log(line)
    return {
        "database_bytes": seen.info.size_bytes,
        "size_bytes_expected": seen.copy_bytes,
        "fits": not lacking,
        "leftovers": len(leftovers),
    }


def _run(settings: Settings, report: Report) -> dict[str, Scalar]:
    began = time.monotonic()
    made = create.create_backup(settings.source, settings.destination, report)
    report.log(_sentence(made))
    failed = create.carry(made, settings.second_copies, report)
    manifest = made.manifest
    return {
        "file": manifest.name,
        "state": "verified",
        "size_bytes": manifest.size_bytes,
        "database_bytes": manifest.database_size_bytes,
        "ratio": round(manifest.database_size_bytes / manifest.size_bytes, 2),
        "rows": sum(manifest.rows.values()),
        "tables": len(manifest.rows),
        "foreign_key_violations": manifest.foreign_key_violations,
        "copies": len(settings.second_copies) - len(failed),
        "failed_copies": len(failed),
        "problem": _problem(made, failed),
        "method": manifest.method,
        "writers_held_seconds": manifest.writers_held_seconds,
        "pack_seconds": round(made.packed_after_s, 3),
        "verify_seconds": round(made.proved_in_s, 3),
        "seconds": round(time.monotonic() - began, 3),
        "swept": made.swept,
        "sha256": manifest.sha256,
        "advice": made.advice[:300],
        "warnings": len(manifest.unchecked) + len(manifest.findings) + len(failed),
        "unchecked": "; ".join(manifest.unchecked)[:300],
        "findings": "; ".join(manifest.findings)[:300],
    }


def _problem(made: CreatedBackup, failed: Sequence[str]) -> str:
    if not failed:
        return ""
    said = "; ".join(failed)[:_LONGEST_PROBLEM]
    return f"second copy failed in {said} (the first copy {made.path} is verified and kept)"


def _sentence(made: CreatedBackup) -> str:
    manifest = made.manifest
    return (
        f"{manifest.name} is verified: {format_size(manifest.database_size_bytes)} in"
        f" {format_size(manifest.size_bytes)}, {format_count(sum(manifest.rows.values()), 'row')},"
        f" writers held {manifest.writers_held_seconds * 1000:.1f} ms"
    )
