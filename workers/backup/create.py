"""Make one backup: check, copy, verify, publish, make second copies.

Invariant: a file with a final name was unpacked from disk and passed every check. A run that
ends before that leaves no file with such a name.
"""

import dataclasses
import os
import platform
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workers import __version__
from workers.backup import (
    filenames,
    gzip_codec,
    preflight,
    repository,
    secondary_copy,
    stream,
    verify,
)
from workers.backup.errors import (
    BackupCancelledError,
    BackupError,
    SourceDamagedError,
    from_os_error,
)
from workers.backup.manifest import Manifest, companions
from workers.backup.places.place import Place
from workers.backup.places.send import send
from workers.backup.repository import ScratchFile
from workers.backup.settings import Destination, Source
from workers.backup.snapshot import Snapshot, snapshot
from workers.backup.stream import Sums
from workers.backup.verify import Content
from workers.report import Report
from workers.sqlite import DatabaseError, DatabaseInfo
from workers.units import format_count


@dataclass(frozen=True, slots=True)
class _Begun:
    """A run after its preflight check and sweep.

    database: the source. at: monotonic. part: the file to write. name_is_later: see Manifest.
    """

    database: Path
    info: DatabaseInfo
    at: float
    swept: int
    part: Path
    name_is_later: bool

    @property
    def name(self) -> str:
        """Return the final name of the copy."""
        return self.part.name.removesuffix(filenames.PART)


@dataclass(frozen=True, slots=True)
class CreatedBackup:
    """A verified copy and how long making it took."""

    path: Path
    manifest: Manifest
    packed_after_s: float
    proved_in_s: float
    advice: str
    swept: int


def create_backup(source: Source, destination: Destination, report: Report) -> CreatedBackup:
    """Make a verified copy of the source in the destination's directory and return it.

    Raises:
        BackupError, DatabaseError, sqlite3.Error, OSError, BackupCancelledError: no copy
            was made.
    """
    began_at = time.monotonic()
    seen = preflight.check_source(source, destination, lambda: _step(report, 1)(0))
    directory = repository.made(destination.directory)
    with repository.locked(directory):
        swept = len(repository.sweep(directory))
        if lacking := preflight.why_not_enough_space(directory, seen):
            raise BackupError(f"backup of {source.path} does not fit: {lacking}")
        name, is_later = repository.next_name(directory, source.stem, datetime.now(UTC))
        part = directory / f"{name}{filenames.PART}"
        try:
            begun = _Begun(source.path, seen.info, began_at, swept, part, is_later)
            return _made(begun, destination.level, report)
        except OSError as error:
            raise from_os_error(f"write {part}", directory, error) from error
        finally:
            if part.exists():
                repository.discard(directory, name, part.name)


def carry(made: CreatedBackup, places: Sequence[Place], report: Report) -> tuple[str, ...]:
    """Make a second copy in each of these places; return a sentence for each that failed.

    A failure is no error of the run: the first copy is verified, what depends on it may
    run, and a retry would only make and keep another first copy.

    Raises:
        BackupCancelledError: the copies so far are kept.
    """
    failed = []
    step = _step(report, made.manifest.size_bytes)
    for place in places:
        try:
            if place.is_plain_folder:
                secondary_copy.carry(made.path, made.manifest, place.folder, step)
            else:
                send(made.path, made.manifest, place, step)
        except BackupError as problem:
            said = str(problem).removeprefix(f"{place.to}: ")
            report.log(f"second copy in {place.to}: {said}", "error")
            failed.append(f"{place.to}: {said}")
    return tuple(failed)


def _made(begun: _Begun, level: int, report: Report) -> CreatedBackup:
    directory, name, mode = begun.part.parent, begun.name, begun.info.mode & 0o666
    prefix = directory / f"{name}.scratch-"
    step = _step(report, 2 * begun.info.size_bytes)
    with snapshot(begun.database, prefix, lambda: step(0)) as shot:
        sums = _packed(begun.part, shot, level, mode, step)
        want = verify.Expected(sums, shot.shape, shot.rows.result(), None)
    if shot.advice:
        report.log(shot.advice, "warning")
    packed_after = time.monotonic() - begun.at
    with repository.scratch(directory, prefix.name) as scratch:
        content = _proven(begun, scratch, want, lambda done: step(shot.size_bytes + done))
    if content.foreign_key_violations:
        violations = format_count(content.foreign_key_violations, "foreign key violation")
        report.log(f"{violations} in the database", "warning")
    for warning in content.warnings:
        report.log(warning, "warning")
    took = time.monotonic() - begun.at
    manifest = _manifest(begun, shot, level, sums, content, took)
    repository.publish(directory, name, companions(manifest), mode)
    verified_in = took - packed_after
    return CreatedBackup(
        directory / name, manifest, packed_after, verified_in, shot.advice, begun.swept
    )


def _proven(
    begun: _Begun, scratch: ScratchFile, want: verify.Expected, step: stream.Step
) -> Content:
    """Verify the copy and return its content."""
    try:
        return verify.prove(begun.part, begun.part.with_name(begun.name), scratch, want, step)
    except SourceDamagedError as unsound:
        raise DatabaseError(
            begun.database, f"is damaged itself: its exact copy {unsound.what}", True
        ) from unsound


def _packed(part: Path, shot: Snapshot, level: int, mode: int, step: stream.Step) -> Sums:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    target = os.open(part, flags, mode)
    try:
        sums = stream.pack(shot.descriptor, shot.size_bytes, target, level, shot.taken_at, step)
        os.fsync(target)
    except EOFError as error:
        raise BackupError(
            f"the database {error} of {shot.size_bytes}; is its disk sound?"
        ) from error
    finally:
        os.close(target)
    return sums


def _manifest(
    begun: _Begun,
    shot: Snapshot,
    level: int,
    sums: Sums,
    content: Content,
    took: float,
) -> Manifest:
    owner = os.stat(begun.database)
    return Manifest(
        name=begun.name,
        source=os.path.abspath(begun.database),
        host=socket.gethostname(),
        taken_at=datetime.fromtimestamp(shot.taken_at, UTC).isoformat(timespec="milliseconds"),
        verified_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        sha256=sums.sha256,
        size_bytes=sums.size_bytes,
        database_sha256=sums.database_sha256,
        database_size_bytes=sums.database_size_bytes,
        **dataclasses.asdict(shot.shape),
        rows=content.rows,
        foreign_key_violations=content.foreign_key_violations,
        wal=begun.info.wal,
        mode=begun.info.mode,
        uid=owner.st_uid,
        gid=owner.st_gid,
        method=shot.method,
        writers_held_seconds=round(shot.writers_held_seconds, 6),
        duration_seconds=round(took, 3),
        versions={
            "nightshift": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "codec": gzip_codec.name(level),
        },
        unchecked=content.unchecked,
        findings=content.findings,
        name_is_later=begun.name_is_later,
    )


def _step(report: Report, total_bytes: int) -> Callable[[int], None]:
    def step(done_bytes: int) -> None:
        if report.cancelled:
            raise BackupCancelledError
        report.progress(min(done_bytes, total_bytes), total_bytes, "bytes")

    return step
