"""The proof of a copy: unpacked from disk, hashed, checked, counted.

The law: only what was read back from the disk counts. Both forms' hashes are
judged first, so that what the checks find is known to stand in the database
that was copied and not in the copy.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.backup import stream, tables
from workers.backup.folder import Scratch
from workers.backup.manifest import Manifest, Shape
from workers.backup.stream import Step, Sums, Unpacked
from workers.backup.trouble import Damaged, Unsound, of_system

# How long a wish to end may wait while SQLite checks.
_LOOK_EVERY_S = 0.1
_SHOWN = 3
# integrity_check looks each row up in each index: with SQLite's usual 2 MB it
# took twice as long on 1 GB. More would not fit into the 64 MB of a run.
_CACHE_KIB = 20 * 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """What a copy must turn out to be; `foreign_key_violations` None: to be found out."""

    sums: Sums
    shape: Shape
    rows: dict[str, int]
    foreign_key_violations: int | None


def expected(manifest: Manifest) -> Expected:
    """What a manifest promises."""
    sums = Sums(
        manifest.sha256,
        manifest.size_bytes,
        manifest.database_sha256,
        manifest.database_size_bytes,
    )
    return Expected(sums, manifest.shape, manifest.rows, manifest.foreign_key_violations)


def prove(copy: Path, name: Path, scratch: Scratch, want: Expected, step: Step) -> int:
    """The copy's foreign key violations, when all else is as it must be.

    copy: the file to read, whatever it is called yet; `name`: how to call it.
    scratch: empty, holds the proven database afterwards.

    Raises:
        Damaged: the copy is not what was written.
        Unsound: it is, but the database in it fails integrity_check.
        Trouble: reading or writing failed.
    """
    try:
        found = _unpacked(copy, scratch, want.sums.database_size_bytes, step)
    except stream.BadCopy as error:
        raise Damaged(name, str(error)) from error
    except OSError as error:
        raise of_system(f"unpack {name}", scratch.path.parent, error) from error
    for what, have, must in (
        ("has SHA-256", found.sha256, want.sums.sha256),
        ("has a size of", found.size_bytes, want.sums.size_bytes),
        ("unpacks to a size of", found.database_size_bytes, want.sums.database_size_bytes),
    ):
        _judge(name, what, have, must)
    return _checked(scratch, name, want, lambda: step(found.database_size_bytes))


def _judge(name: Path, what: str, have: object, must: object) -> None:
    if have != must:
        raise Damaged(name, f"is not what was written: it {what} {have}, expected {must}")


def _unpacked(copy: Path, scratch: Scratch, most_bytes: int, step: Step) -> Unpacked:
    descriptor = os.open(copy, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # What was just written lies in memory; the proof is about the disk.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return stream.unpack(descriptor, scratch.descriptor, most_bytes, step)
    finally:
        os.close(descriptor)


def _checked(scratch: Scratch, name: Path, want: Expected, check: Callable[[], None]) -> int:
    with (
        closing(tables.private(scratch.path)) as one,
        closing(tables.private(scratch.path)) as other,
        ThreadPoolExecutor(2, "check") as lanes,
    ):
        problems = lanes.submit(_integrity, one)
        try:
            # Here, where integrity_check leaves a core free, and not while unpacking.
            os.lseek(scratch.descriptor, 0, os.SEEK_SET)
            sha256, _ = stream.digest(scratch.descriptor, lambda _: check())
            _judge(name, "unpacks to SHA-256", sha256, want.sums.database_sha256)
            # Not before: integrity_check takes longest, and would have to share its core.
            contents = lanes.submit(_contents, other)
            _await((problems, contents), check)
        except BaseException:
            one.interrupt()
            other.interrupt()
            raise
        _judge_integrity(name, problems.result())
        try:
            shape, rows, violations = contents.result()
        except sqlite3.DatabaseError as error:
            raise Unsound(name, f"holds a database that cannot be read: {error}") from error
    if shape != want.shape:
        raise Damaged(name, f"holds a database of another shape: {shape}, expected {want.shape}")
    if rows != want.rows:
        raise Damaged(name, f"holds other rows than its snapshot: {_differences(rows, want.rows)}")
    if want.foreign_key_violations not in (None, violations):
        raise Damaged(
            name,
            f"has {violations} foreign key violations, expected {want.foreign_key_violations}",
        )
    return violations


def _await(checks: Sequence[Future[Any]], check: Callable[[], None]) -> None:
    while wait(checks, timeout=_LOOK_EVERY_S).not_done:
        check()


def _integrity(connection: sqlite3.Connection) -> list[str]:
    """All that integrity_check says against the database."""
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    try:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if said == ["ok"] else said


def _contents(connection: sqlite3.Connection) -> tuple[Shape, dict[str, int], int]:
    violations = tables.foreign_key_violations(connection)
    return tables.shape(connection), tables.rows(connection), violations


def _judge_integrity(name: Path, problems: list[str]) -> None:
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise Unsound(name, f"fails integrity_check: {'; '.join(problems[:_SHOWN])}{more}"[:500])


def _differences(have: dict[str, int], want: dict[str, int]) -> str:
    names = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    shown = [f"{name} {have.get(name)}, expected {want.get(name)}" for name in names[:_SHOWN]]
    return "; ".join(shown)
