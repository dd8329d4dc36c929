"""One backup, step by step: look, refuse, copy, prove, name, carry elsewhere.

The law: what has its final name was unpacked from disk and passed every
check; whatever ends a run before that leaves nothing under such a name.
"""

import dataclasses
import os
import platform
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workers import __version__, database
from workers.backup import (
    catalogue,
    codec,
    copies,
    folder,
    names,
    patience,
    prove,
    space,
    stream,
    tables,
)
from workers.backup.manifest import Manifest
from workers.backup.params import Params
from workers.backup.snapshot import Snapshot, snapshot
from workers.backup.stream import Sums
from workers.backup.trouble import Cancelled, Trouble, Unsound, of_system
from workers.database import DatabaseTrouble, Face
from workers.report import Report


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known before anything is written; sizes in bytes."""

    face: Face
    copy_bytes: int
    needs: tuple[space.Need, ...]
    makes_folder: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A verified copy, and what making it took."""

    path: Path
    manifest: Manifest
    packed_after_s: float
    proved_in_s: float
    advice: str
    swept: int


def survey(params: Params, check: Callable[[], None]) -> Survey:
    """What a backup will find; nothing is written.

    check: called while the database is locked; may raise.

    Raises:
        DatabaseTrouble: the source is missing, a folder, no database, damaged.
        Trouble: it has no tables, or the folders are not there.
    """
    face = _source(params, check)
    makes_folder = not os.path.lexists(params.directory)
    folder.existing(params.directory.absolute().parent if makes_folder else params.directory)
    with open(params.database, "rb") as file:
        copy_bytes = stream.estimate(file.fileno(), face.size_bytes, params.level)
    # SQLite keeps the WAL beside the file itself, not beside a link to it.
    source = Path(os.path.realpath(params.database))
    # What lies in the WAL will be in the copy.
    pending = _size_of(Path(f"{source}-wal")) if face.wal else 0
    size = face.size_bytes + pending
    needed = space.needs(source, params.directory, size, copy_bytes + pending, face.wal)
    return Survey(face, copy_bytes, needed, makes_folder)


def lack(params: Params, seen: Survey) -> str:
    """Why the backup does not fit, with the numbers and what may go; empty if it does.

    Raises:
        Trouble, OSError: a folder cannot be read.
    """
    volumes = space.free([need.folder for need in seen.needs])
    known = [] if seen.makes_folder else catalogue.list_backups(params.directory)
    return space.refusal(seen.needs, volumes, catalogue.removable(known, params.directory))


def make(params: Params, report: Report) -> Made:
    """A verified copy in `params.directory`.

    Raises:
        Trouble, DatabaseTrouble, sqlite3.Error, OSError, Cancelled: there is none then.
    """
    began = time.monotonic()
    seen = survey(params, lambda: _step(report, 1)(0))
    directory = folder.made(params.directory)
    with folder.locked(directory):
        swept = len(folder.sweep(directory))
        if lacking := lack(params, seen):
            raise Trouble(f"backup of {params.database} does not fit: {lacking}")
        name = _free_name(directory, names.stem(params.database))
        part = directory / f"{name}{names.PART}"
        try:
            return _made(params, report, part, (seen.face, began, swept))
        except OSError as error:
            raise of_system(f"write {part}", directory, error) from error
        finally:
            if part.exists():
                folder.discard(directory, name, part.name)


def carry(made: Made, params: Params, report: Report) -> None:
    """Second copies in every folder of `params.copies`.

    Raises:
        Trouble: some failed, each named; the others and the first copy stand.
    """
    failed = []
    for target in params.copies:
        try:
            copies.carry(made.path, made.manifest, target, _step(report, made.manifest.size_bytes))
        except Trouble as trouble:
            report.log(f"second copy in {target}: {trouble}", "error")
            failed.append(f"{target}: {trouble}")
    if failed:
        # Permanent: a retry would make, and keep, one more first copy each time.
        raise Trouble(
            f"second copy failed in {'; '.join(failed)}"
            f" (the first copy {made.path} is verified and kept)"
        )


def _source(params: Params, check: Callable[[], None]) -> Face:
    """The database's face, when it is one with tables."""
    path = params.database
    try:
        face = database.look(path)
    except DatabaseTrouble as trouble:
        if "is no SQLite database" not in trouble.reason:
            raise
        reason = f"{trouble.reason}: no header of one (encrypted, damaged, or another file)"
        raise DatabaseTrouble(path, reason, permanent=True) from trouble
    # Not read-only: the last reader of a log would leave -wal and -shm behind.
    with closing(patience.opened(path, check)) as opened:
        try:
            patience.begin_reading(opened, check)
            empty = tables.count(opened) == 0
        except sqlite3.Error as error:
            raise database.trouble(path, error) from error
    if empty and not params.allow_empty:
        raise Trouble(
            f"database {path} has no tables ({face.size_bytes} bytes); is it the right path?"
            " To back it up all the same: allow_empty: true"
        )
    return face


def _made(params: Params, report: Report, part: Path, start: tuple[Face, float, int]) -> Made:
    face, began, swept = start
    name = part.name.removesuffix(names.PART)
    directory, mode = part.parent, face.mode & 0o666
    prefix = directory / f"{name}.scratch-"
    step = _step(report, 2 * face.size_bytes)
    with snapshot(params.database, prefix, lambda: step(0)) as shot:
        sums = _packed(part, shot, params.level, mode, step)
        rows = shot.rows.result()
    if shot.advice:
        report.log(shot.advice, "warning")
    packed_after = time.monotonic() - began
    want = prove.Expected(sums, shot.shape, rows, None)
    with folder.scratch(directory, prefix.name) as scratch:
        try:
            violations = prove.prove(
                part, directory / name, scratch, want, lambda done: step(shot.size_bytes + done)
            )
        except Unsound as unsound:
            raise DatabaseTrouble(
                params.database, f"is damaged itself: its exact copy {unsound.what}", True
            ) from unsound
    if violations:
        report.log(f"{violations} foreign key violations stand in the database", "warning")
    took = time.monotonic() - began
    manifest = _manifest(params, name, face, (shot, sums, rows, violations), took)
    folder.publish(directory, name, copies.companions(manifest), mode)
    return Made(directory / name, manifest, packed_after, took - packed_after, shot.advice, swept)


def _packed(part: Path, shot: Snapshot, level: int, mode: int, step: stream.Step) -> Sums:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    target = os.open(part, flags, mode)
    try:
        sums = stream.pack(shot.descriptor, shot.size_bytes, target, level, shot.taken_at, step)
        os.fsync(target)
    except EOFError as error:
        raise Trouble(f"the database {error} of {shot.size_bytes}; is its disk sound?") from error
    finally:
        os.close(target)
    return sums


def _manifest(
    params: Params,
    name: str,
    face: Face,
    found: tuple[Snapshot, Sums, dict[str, int], int],
    took: float,
) -> Manifest:
    shot, sums, rows, violations = found
    owner = os.stat(params.database)
    return Manifest(
        name=name,
        source=os.path.abspath(params.database),
        host=socket.gethostname(),
        taken_at=datetime.fromtimestamp(shot.taken_at, UTC).isoformat(timespec="milliseconds"),
        verified_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        sha256=sums.sha256,
        size_bytes=sums.size_bytes,
        database_sha256=sums.database_sha256,
        database_size_bytes=sums.database_size_bytes,
        **dataclasses.asdict(shot.shape),
        rows=rows,
        foreign_key_violations=violations,
        wal=face.wal,
        mode=face.mode,
        uid=owner.st_uid,
        gid=owner.st_gid,
        method=shot.method,
        writers_held_seconds=round(shot.writers_held_seconds, 6),
        duration_seconds=round(took, 3),
        versions={
            "nightshift": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "codec": codec.name(params.level),
        },
    )


def _free_name(directory: Path, stem: str) -> str:
    """The name of a copy made now; of the next free second, if this one is taken."""
    moment = datetime.now(UTC)
    while os.path.lexists(directory / (name := names.copy_name(stem, moment))):
        moment += timedelta(seconds=1)
    return name


def _step(report: Report, total_bytes: int) -> Callable[[int], None]:
    def step(done_bytes: int) -> None:
        if report.cancelled:
            raise Cancelled
        report.progress(min(done_bytes, total_bytes), total_bytes, "bytes")

    return step


def _size_of(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
