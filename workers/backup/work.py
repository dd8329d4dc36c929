"""One backup, step by step: refuse, copy, prove, name, carry elsewhere.

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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workers import __version__
from workers.backup import (
    codec,
    folder,
    names,
    prove,
    records,
    second_copy,
    stream,
    survey,
)
from workers.backup.folder import Scratch
from workers.backup.manifest import Manifest
from workers.backup.params import Params
from workers.backup.prove import Content
from workers.backup.snapshot import Snapshot, snapshot
from workers.backup.stream import Sums
from workers.backup.trouble import Cancelled, Trouble, Unsound, of_system
from workers.database import DatabaseTrouble, Face
from workers.report import Report


@dataclass(frozen=True, slots=True)
class _Begun:
    """A run that has looked and swept.

    at: monotonic. part: the file to be written. name_is_later: as in a manifest.
    """

    face: Face
    at: float
    swept: int
    part: Path
    name_is_later: bool

    @property
    def name(self) -> str:
        """What the copy will be called."""
        return self.part.name.removesuffix(names.PART)


@dataclass(frozen=True, slots=True)
class Made:
    """A verified copy, and what making it took."""

    path: Path
    manifest: Manifest
    packed_after_s: float
    proved_in_s: float
    advice: str
    swept: int


def make(params: Params, report: Report) -> Made:
    """A verified copy in `params.directory`.

    Raises:
        Trouble, DatabaseTrouble, sqlite3.Error, OSError, Cancelled: there is none then.
    """
    began_at = time.monotonic()
    seen = survey.look(params, lambda: _step(report, 1)(0))
    directory = folder.made(params.directory)
    with folder.locked(directory):
        swept = len(folder.sweep(directory))
        if lacking := survey.lack(params, seen):
            raise Trouble(f"backup of {params.database} does not fit: {lacking}")
        name, is_later = folder.next_name(
            directory, names.stem(params.database), datetime.now(UTC)
        )
        part = directory / f"{name}{names.PART}"
        try:
            return _made(params, report, _Begun(seen.face, began_at, swept, part, is_later))
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
            second_copy.carry(
                made.path, made.manifest, target, _step(report, made.manifest.size_bytes)
            )
        except Trouble as trouble:
            report.log(f"second copy in {target}: {trouble}", "error")
            failed.append(f"{target}: {trouble}")
    if failed:
        # Permanent: a retry would make, and keep, one more first copy each time.
        raise Trouble(
            f"second copy failed in {'; '.join(failed)}"
            f" (the first copy {made.path} is verified and kept)"
        )


def _made(params: Params, report: Report, begun: _Begun) -> Made:
    directory, name, mode = begun.part.parent, begun.name, begun.face.mode & 0o666
    prefix = directory / f"{name}.scratch-"
    step = _step(report, 2 * begun.face.size_bytes)
    with snapshot(params.database, prefix, lambda: step(0)) as shot:
        sums = _packed(begun.part, shot, params.level, mode, step)
        want = prove.Expected(sums, shot.shape, shot.rows.result(), None)
    if shot.advice:
        report.log(shot.advice, "warning")
    packed_after = time.monotonic() - begun.at
    with folder.scratch(directory, prefix.name) as scratch:
        content = _proven(begun, params, scratch, want, lambda done: step(shot.size_bytes + done))
    if content.foreign_key_violations:
        report.log(
            f"{content.foreign_key_violations} foreign key violations stand in the database",
            "warning",
        )
    for warning in content.warnings:
        report.log(warning, "warning")
    took = time.monotonic() - begun.at
    manifest = _manifest(params, begun, shot, sums, content, took)
    folder.publish(directory, name, records.companions(manifest), mode)
    verified_in = took - packed_after
    return Made(directory / name, manifest, packed_after, verified_in, shot.advice, begun.swept)


def _proven(
    begun: _Begun, params: Params, scratch: Scratch, want: prove.Expected, step: stream.Step
) -> Content:
    """What the copy holds, which is what was packed."""
    try:
        return prove.prove(begun.part, begun.part.with_name(begun.name), scratch, want, step)
    except Unsound as unsound:
        raise DatabaseTrouble(
            params.database, f"is damaged itself: its exact copy {unsound.what}", True
        ) from unsound


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
    begun: _Begun,
    shot: Snapshot,
    sums: Sums,
    content: Content,
    took: float,
) -> Manifest:
    owner = os.stat(params.database)
    return Manifest(
        name=begun.name,
        source=os.path.abspath(params.database),
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
        wal=begun.face.wal,
        mode=begun.face.mode,
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
        unchecked=content.unchecked,
        findings=content.findings,
        name_is_later=begun.name_is_later,
    )


def _step(report: Report, total_bytes: int) -> Callable[[int], None]:
    def step(done_bytes: int) -> None:
        if report.cancelled:
            raise Cancelled
        report.progress(min(done_bytes, total_bytes), total_bytes, "bytes")

    return step
