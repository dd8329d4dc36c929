"""Backup: a copy of a living SQLite database, done when it has been restored.

Here: the job `backup.run`, its plan, and how each trouble ends a run. A copy made:
`work` the steps; `survey` what is found and needed, `space` whether it fits;
`snapshot` holds the database still, `patience` waits for its lock, `tables` asks
it; `stream` packs and unpacks, `codec` is the gzip in it; `prove` restores and
compares, `checks` asks SQLite, `stubs` stands in for what only the owner has,
`newer` reads a newer SQLite's schema; `folder` locks, sweeps, publishes;
`second_copy` carries elsewhere.
On disk: `names` of files, `manifest` its bytes, `records` sidecar and manifest together.
For people: `catalogue` lists, `verify` proves again, `choice` picks by time, `keep`
exempts; `restore` puts back, `living` into a database in use, `unproven`
what has no manifest, with the `ownership` that it had.
Everywhere: `params` from the `with` block, `trouble` in words.
"""

import sqlite3
import time
from collections.abc import Sequence

from workers import database
from workers.backup import folder, names, survey, work
from workers.backup.params import Params
from workers.backup.survey import Survey
from workers.backup.trouble import Cancelled, Trouble, of_system
from workers.backup.work import Made
from workers.database import DatabaseTrouble
from workers.protocol import Scalar
from workers.report import Report, WorkerFailed
from workers.units import format_size

__all__ = ["Params", "plan", "run"]


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Make a copy and prove it; its name, sizes in bytes, rows, seconds.

    Raises:
        WorkerFailed: with the trouble in words; no unproven copy is left.
    """
    try:
        return _planned(params, report) if report.dry_run else _run(params, report)
    except Cancelled as cancelled:
        raise WorkerFailed("cancelled; what was begun is removed") from cancelled
    except (Trouble, DatabaseTrouble) as trouble:
        raise WorkerFailed(str(trouble), trouble.permanent) from trouble
    except sqlite3.Error as error:
        told = database.trouble(params.database, error)
        raise WorkerFailed(str(told), told.permanent) from error
    except OSError as error:
        system = of_system(f"backup of {params.database}", params.directory, error)
        raise WorkerFailed(str(system), system.permanent) from error


def plan(params: Params, seen: Survey, leftovers: Sequence[str], lacking: str) -> tuple[str, ...]:
    """What a run would do, a line each; pure.

    leftovers: names that would be swept. lacking: why it does not fit, or empty.
    """
    name = f"{names.stem(params.database)}-<UTC>{names.ENDING}"
    how = "in WAL mode" if seen.face.wal else "under a rollback journal: writers wait for one copy"
    size, copy = format_size(seen.face.size_bytes), format_size(seen.copy_bytes)
    made = " (to be made)" if seen.makes_folder else ""
    lines = [
        f"copy {params.database} ({size}, {how}) to {params.directory}{made} as {name},"
        f" about {copy} at level {params.level}",
        "prove it: unpack it beside, compare hashes, integrity_check, foreign_key_check, rows",
        *(f"needs {format_size(n.size_bytes)} in {n.folder} for {n.purpose}" for n in seen.needs),
        *(f"sweep {leftover}" for leftover in leftovers),
        *(f"then a second copy in {target}, read back" for target in params.copies),
    ]
    return (*lines, f"it would be refused: {lacking}") if lacking else tuple(lines)


def _planned(wanted: Params, report: Report) -> dict[str, Scalar]:
    seen = survey.look(wanted, lambda: None)
    lacking, leftovers = survey.lack(wanted, seen), folder.leftovers(wanted.directory)
    for line in plan(wanted, seen, leftovers, lacking):
        report.log(line)
    return {
        "database_bytes": seen.face.size_bytes,
        "size_bytes_expected": seen.copy_bytes,
        "fits": not lacking,
        "leftovers": len(leftovers),
    }


def _run(wanted: Params, report: Report) -> dict[str, Scalar]:
    began = time.monotonic()
    made = work.make(wanted, report)
    report.log(_sentence(made))
    work.carry(made, wanted, report)
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
        "copies": len(wanted.copies),
        "method": manifest.method,
        "writers_held_seconds": manifest.writers_held_seconds,
        "pack_seconds": round(made.packed_after_s, 3),
        "verify_seconds": round(made.proved_in_s, 3),
        "seconds": round(time.monotonic() - began, 3),
        "swept": made.swept,
        "sha256": manifest.sha256,
        "advice": made.advice[:300],
        "warnings": len(manifest.unchecked) + len(manifest.findings),
        "unchecked": "; ".join(manifest.unchecked)[:300],
        "findings": "; ".join(manifest.findings)[:300],
    }


def _sentence(made: Made) -> str:
    manifest = made.manifest
    return (
        f"{manifest.name} is verified: {format_size(manifest.database_size_bytes)} in"
        f" {format_size(manifest.size_bytes)}, {sum(manifest.rows.values())} rows,"
        f" writers held {manifest.writers_held_seconds * 1000:.1f} ms"
    )
