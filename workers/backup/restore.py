"""Restore a copy to a new path or into a database in use.

The copy is verified first, unpacked beside the target; a copy that differs from what was
written is not restored. A database in use is never replaced by a rename: its writers would
continue in the old file, and its old log would be replayed into the new one. SQLite writes
into it under its own locks, in one transaction.
"""

import errno
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workers import sqlite
from workers.backup import (
    disk_space,
    filenames,
    listing,
    ownership,
    repository,
    restore_live,
    selection,
    unproven,
    verify,
)
from workers.backup.errors import (
    BackupCancelledError,
    BackupError,
    DamagedBackupError,
    UnprovenError,
    from_os_error,
)
from workers.backup.manifest import Manifest, Shape, read
from workers.backup.repository import ANY_AGE_S, ScratchFile
from workers.backup.stream import Step
from workers.backup.verify import Content, no_cancel
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError
from workers.units import format_count

# Files of a former database; replayed into a new file they would corrupt it.
_BESIDE = ("-wal", "-journal")
_PROVEN = "both SHA-256, sizes and row counts of its manifest, integrity_check, foreign_key_check"
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored database. aside: where the previous one is kept, None if there was none.

    writers_held_seconds: how long a database in use was locked, 0 for a new path.
    manifest: None if the copy had none. content: what was just found in the copy.
    checked: the checks that passed, as text.
    """

    target: Path
    file: str
    manifest: Manifest | None
    content: Content
    checked: str
    aside: Path | None
    writers_held_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `restore.run`.

    file: `latest`, a path, or a copy's name in `directory`. at: instead, the
    newest verified copy of that time (`Tue 08:00`). database: which one, where
    `directory` holds copies of several. force: write into a living database.
    unproven: also a gzip file that has no manifest beside it.
    """

    target: Path
    file: str = "latest"
    at: str = ""
    directory: Path | None = None
    database: Path | None = None
    force: bool = False
    unproven: bool = False


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Restore as a job; return the copy, where the previous database is kept, rows and seconds.

    Raises:
        WorkerError: with the reason; the target is unchanged.
    """

    def step(done_bytes: int) -> None:
        if report.cancelled:
            raise BackupCancelledError
        report.progress(done_bytes, None, "bytes")

    try:
        copy = _wanted(params, report)
        if report.dry_run:
            is_there = os.path.lexists(params.target)
            kind = "the living database" if is_there else "a new file"
            report.log(f"prove {copy}, then restore it into {kind} {params.target}")
            return {"file": copy.name, "target": str(params.target)}
        put = restore_unproven if params.unproven else restore
        done = put(copy, params.target, params.force, step)
    except BackupCancelledError as cancelled:
        raise WorkerError(f"cancelled; {params.target} is as it was") from cancelled
    except (BackupError, DatabaseError) as problem:
        raise WorkerError(str(problem), problem.permanent) from problem
    for warning in done.content.warnings:
        report.log(warning, "warning")
    report.log(f"checked: {done.checked}")
    return {
        "file": done.file,
        "target": str(done.target),
        "aside": str(done.aside or ""),
        "rows": sum(done.content.rows.values()),
        "database_bytes": done.content.size_bytes,
        "writers_held_seconds": round(done.writers_held_seconds, 6),
        "seconds": done.seconds,
        "warnings": len(done.content.warnings) + (done.manifest is None),
        "checked": done.checked,
    }


def restore(copy: Path, target: Path, force: bool, step: Step = no_cancel) -> Restored:
    """Restore the verified `copy` to `target`.

    force: `target` may be a database in use; its content is kept aside.
    step: called with the bytes done so far; may raise to cancel.

    Raises:
        DamagedBackupError, UnprovenError: the copy is not what was written; nothing was changed.
        BackupError, DatabaseError: the target cannot be written and is unchanged.
    """
    try:
        manifest = read(copy)
        about = _About(manifest.name, manifest.mode, manifest, manifest.shape, _PROVEN)
    except BackupError as problem:
        if not os.path.isfile(copy):
            raise
        raise unproven.with_a_way_out(problem, copy, target) from problem

    def prove_it(scratch: ScratchFile) -> Content:
        return verify.prove(copy, copy, scratch, verify.expected(manifest), step)

    try:
        return _restored(about, prove_it, target, force, step)
    except DamagedBackupError as damaged:
        raise unproven.with_a_way_out(damaged, copy, target) from damaged


def restore_unproven(copy: Path, target: Path, force: bool, step: Step = no_cancel) -> Restored:
    """Restore like `restore`, also from a gzip file of any name without a manifest.

    It must be a complete gzip file with a valid trailer, of a database with sound pages,
    and have the SHA-256 of its sidecar if there is one.

    Raises:
        DamagedBackupError: it is not such a file; nothing was changed.
        BackupError, DatabaseError: the target cannot be written and is unchanged.
    """
    copy = Path(os.path.realpath(copy))
    if filenames.parse(copy.name):
        with suppress(UnprovenError):
            return restore(copy, target, force, step)
    mode, sha256 = unproven.look(copy), unproven.known_hash(copy)
    about = _About(copy.name, mode, None, None, unproven.checked(sha256))

    def examine(scratch: ScratchFile) -> Content:
        return unproven.examine(copy, sha256, scratch, step)

    try:
        return _restored(about, examine, target, force, step)
    except DamagedBackupError as damaged:
        raise unproven.with_a_way_out(damaged, copy, target) from damaged


@dataclass(frozen=True, slots=True)
class _About:
    """What is known of a copy before it is unpacked; shape: None if unknown."""

    file: str
    mode: int
    manifest: Manifest | None
    shape: Shape | None
    checked: str


def _restored(
    about: _About,
    prove_it: Callable[[ScratchFile], Content],
    target: Path,
    force: bool,
    step: Step,
) -> Restored:
    """Unpack beside the target, verify, then write; on failure the target is unchanged."""
    began = time.monotonic()
    aside, held, is_living = None, 0.0, False
    prefix = f".{target.name}.restore-"
    try:
        # Before unpacking if the shape is known, otherwise after it.
        if about.shape:
            is_living = _refuse(about.file, about.shape, target, force)
        directory = repository.existing(target.absolute().parent)
        _sweep(target)
        with repository.scratch(directory, prefix) as scratch:
            content = prove_it(scratch)
            if about.shape is None:
                is_living = _refuse(about.file, content.shape, target, force, unpacked=True)
            if is_living:
                aside = _aside(target)
                held = restore_live.write_into(target, scratch, aside, prefix, step)
            else:
                _put(scratch, target, about)
    except sqlite3.Error as error:
        raise sqlite.error_of(target, error) from error
    except OSError as error:
        raise from_os_error(f"restore {target}", target.absolute().parent, error) from error
    took = round(time.monotonic() - began, 3)
    rows, tables = format_count(sum(content.rows.values()), "row"), len(content.rows)
    said = f"{about.checked}, {rows} in {format_count(tables, 'table')}"
    return Restored(target, about.file, about.manifest, content, said, aside, held, took)


def _refuse(file: str, shape: Shape, target: Path, force: bool, unpacked: bool = False) -> bool:
    """Return whether `target` is a database in use into which the copy can be written.

    Raises:
        BackupError: a copy of this shape cannot be restored there.
    """
    directory = repository.existing(target.absolute().parent)
    present, is_living = 0, os.path.lexists(target)
    if is_living:
        if not force:
            raise BackupError(
                f"target {target} exists; name a new path, or write into it with --force"
                " (it is kept aside first)"
            )
        present = restore_live.refuse_misfit(target, shape.page_size, shape.page_count)
    else:
        for ending in _BESIDE:
            if os.path.lexists(f"{target}{ending}"):
                raise BackupError(
                    f"target {target} is not there, but {target.name}{ending} is: SQLite would"
                    " read it into the restored file; move it away first"
                )
    # Space beside the unpacked copy: for the one kept aside and the log of the change.
    size = shape.page_size * shape.page_count
    need = size * (is_living + (not unpacked)) + present
    disk_space.require(directory, need, f"to restore {file}")
    return is_living


def _put(scratch: ScratchFile, target: Path, about: _About) -> None:
    """Link the verified file to its name, unless another program has created that meanwhile."""
    if about.manifest is not None:
        uid, gid = about.manifest.uid, about.manifest.gid
        ownership.give(scratch.descriptor, about.mode, uid, gid)
    else:
        os.fchmod(scratch.descriptor, about.mode)
    os.fsync(scratch.descriptor)
    try:
        os.link(scratch.path, target)
    except FileExistsError as error:
        raise BackupError(f"target {target} was made by another program meanwhile") from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(scratch.path, target)
    repository.synced(target.absolute().parent)


def _aside(target: Path) -> Path:
    stamp = datetime.now(UTC)
    while True:
        aside = target.with_name(f"{target.name}.before-restore-{stamp:%Y-%m-%dT%H-%M-%SZ}")
        if not os.path.lexists(aside):
            return aside
        stamp += timedelta(seconds=1)


def leftovers(target: Path, older_than_s: float = ANY_AGE_S) -> tuple[str, ...]:
    """Return the names of files beside `target` from killed restores, if not modified since."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.restore-[a-z0-9_]{{8}}")
    directory = target.absolute().parent
    found = sorted(name for name in os.listdir(directory) if ours.fullmatch(name))
    return tuple(name for name in found if repository.is_abandoned(directory / name, older_than_s))


def _sweep(target: Path) -> None:
    """Remove the files of killed restores to the same target."""
    for name in leftovers(target):
        # A file that cannot be removed must not prevent a restore.
        with suppress(OSError):
            target.with_name(name).unlink(missing_ok=True)


def _wanted(params: Params, report: Report) -> Path:
    if not params.at and params.file != "latest":
        named = Path(params.file)
        inside = params.directory is not None and named.name == params.file
        return params.directory / named if inside and params.directory else named
    if params.directory is None:
        raise BackupError("restore: expected a directory in which to look for the copy")
    known = selection.of_database(listing.list_backups(params.directory), params.database)
    wanted = params.at or params.file
    return selection.choose(known, wanted, datetime.now(UTC), report.timezone).path
