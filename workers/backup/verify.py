"""Verify a copy: read all of it, unpack, check and count.

A negative result is recorded beside the copy (`<copy>.damaged`), because rotation must not
rely on a copy known to be damaged and cannot afford to read all copies.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from workers import sqlite
from workers.backup import (
    disk_space,
    introspection,
    newer_schema,
    repository,
    sqlite_checks,
    stream,
)
from workers.backup.errors import DamagedBackupError, SourceDamagedError, from_os_error
from workers.backup.manifest import Manifest, Shape, read
from workers.backup.marks import mark_path, write_mark
from workers.backup.repository import ScratchFile
from workers.backup.sqlite_checks import Checked
from workers.backup.stream import Step, Sums, Unpacked
from workers.units import format_count

# Longest delay before a cancellation is noticed while SQLite checks.
_LOOK_EVERY_S = 0.1
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected properties of a copy; `foreign_key_violations` None: not known."""

    sums: Sums
    shape: Shape
    rows: dict[str, int]
    foreign_key_violations: int | None


def expected(manifest: Manifest) -> Expected:
    """Return what a manifest says about its copy."""
    sums = Sums(
        manifest.sha256,
        manifest.size_bytes,
        manifest.database_sha256,
        manifest.database_size_bytes,
    )
    return Expected(sums, manifest.shape, manifest.rows, manifest.foreign_key_violations)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a database with sound pages.

    rows: by table. indexed_rows: the same, counted in the smallest index of each table.
    unchecked: what could not be checked here. findings: faults of the content that
    integrity_check found. Each is a list of phrases.
    """

    shape: Shape
    rows: dict[str, int]
    indexed_rows: dict[str, int]
    foreign_key_violations: int
    unchecked: tuple[str, ...]
    findings: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Return the size of the database."""
        return self.shape.page_size * self.shape.page_count

    @property
    def warnings(self) -> list[str]:
        """Return `unchecked` and `findings` as complete sentences."""
        said = [f"integrity_check of the source says: {one}" for one in self.findings]
        return [*(f"unchecked: {one}" for one in self.unchecked), *said]


def prove(copy: Path, name: Path, scratch: ScratchFile, want: Expected, step: Step) -> Content:
    """Return the content of the copy if it is what was written and its pages are sound.

    copy: the file to read; name: its final path, for messages.
    scratch: empty; holds the verified database afterwards.

    Raises:
        DamagedBackupError: the copy is not what was written.
        SourceDamagedError: it is, but the pages of its database are damaged.
        BackupError, sqlite3.Error: reading or writing failed.
    """
    sums = want.sums
    found = unpacked(copy, name, scratch, sums.database_size_bytes, step, sums.block_sizes)
    for what, have, must in (
        ("has SHA-256", found.sha256, want.sums.sha256),
        ("has a size of", found.size_bytes, want.sums.size_bytes),
        ("unpacks to a size of", found.database_size_bytes, want.sums.database_size_bytes),
    ):
        _judge(name, what, have, must)
    sha256 = want.sums.database_sha256
    content = checked(scratch, name, sha256, lambda: step(found.database_size_bytes))
    _compare(name, content, want)
    return content


def _judge(name: Path, what: str, have: object, must: object) -> None:
    if have != must:
        raise DamagedBackupError(
            name, f"is not what was written: it {what} {have}, expected {must}"
        )


def unpacked(
    copy: Path,
    name: Path,
    scratch: ScratchFile,
    most_bytes: int,
    step: Step,
    block_sizes: Sequence[int] = (),
) -> Unpacked:
    """Unpack the copy into `scratch` and return its hash and sizes.

    block_sizes: see Sums; if known, several blocks are unpacked at once.

    Raises:
        DamagedBackupError: not a complete gzip file, or more than `most_bytes`.
        BackupError: reading or writing failed.
    """
    try:
        descriptor = os.open(copy, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # Drop the page cache of a file just written, so that the disk is read.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            unpack = partial(stream.unpack_blocks, block_sizes) if block_sizes else stream.unpack
            return unpack(descriptor, scratch.descriptor, most_bytes, step)
        finally:
            os.close(descriptor)
            stream.release_memory()
    except stream.BadCopyError as error:
        raise DamagedBackupError(name, str(error)) from error
    except OSError as error:
        raise from_os_error(f"unpack {name}", scratch.path.parent, error) from error


def checked(scratch: ScratchFile, name: Path, sha256: str, check: Callable[[], None]) -> Content:
    """Return the content of the database in `scratch`; sha256: its hash, empty if unknown.

    Raises:
        DamagedBackupError: it has another hash.
        SourceDamagedError: its pages are damaged.
        sqlite3.Error: it cannot be read, for a reason unrelated to its content.
    """
    with (
        closing(newer_schema.private(scratch.path)) as one,
        closing(newer_schema.private(scratch.path)) as other,
        ThreadPoolExecutor(2, "check") as lanes,
    ):
        running: list[Future[Any]] = [problems := lanes.submit(sqlite_checks.integrity, one)]
        try:
            if sha256:
                # Here, while integrity_check leaves a core free, rather than while unpacking.
                os.lseek(scratch.descriptor, 0, os.SEEK_SET)
                found, _ = stream.digest(scratch.descriptor, lambda _: check())
                _judge(name, "unpacks to SHA-256", found, sha256)
            # Not earlier: integrity_check takes longest and would have to share its core.
            running.append(contents := lanes.submit(_contents, other))
            _await(running, check)
        except BaseException:
            _end(running, one, other)
            raise
        content = _sound(name, problems.result(), contents)
        if newer_schema.is_lenient(other):
            unread = newer_schema.unreadable(scratch.path)
            content = replace(content, unchecked=(*unread, *content.unchecked))
        if content.warnings:
            # The indexes cannot be trusted.
            content = replace(content, rows=_attended(lanes, other, check))
        return content


def _await(checks: Sequence[Future[Any]], check: Callable[[], None]) -> None:
    while wait(checks, timeout=_LOOK_EVERY_S).not_done:
        check()


def _attended(
    lanes: ThreadPoolExecutor, connection: sqlite3.Connection, check: Callable[[], None]
) -> dict[str, int]:
    counting = lanes.submit(introspection.rows_not_indexed, connection)
    try:
        _await([counting], check)
    except BaseException:
        _end([counting], connection)
        raise
    return counting.result()


def _end(running: Sequence[Future[Any]], *connections: sqlite3.Connection) -> None:
    # Repeatedly, because an interrupt between two statements has no effect.
    while wait(running, timeout=_LOOK_EVERY_S).not_done:
        for connection in connections:
            connection.interrupt()


def _contents(connection: sqlite3.Connection) -> Content:
    violations, unchecked = sqlite_checks.foreign_keys(connection)
    rows = introspection.rows(connection)
    unchecked += sqlite_checks.uncounted(connection, len(rows))
    return Content(introspection.shape(connection), rows, rows, violations, unchecked)


def _sound(name: Path, found: Checked, contents: Future[Content]) -> Content:
    if found.damage:
        raise SourceDamagedError(name, f"fails integrity_check: {found.damage}"[:500])
    try:
        content = contents.result()
    except sqlite3.DatabaseError as error:
        if not sqlite.is_damage(error):
            raise
        raise SourceDamagedError(name, f"holds a database that cannot be read: {error}") from error
    unchecked = (*found.unchecked, *content.unchecked)
    return replace(content, unchecked=unchecked, findings=found.findings)


def _compare(name: Path, have: Content, want: Expected) -> None:
    if have.shape != want.shape:
        raise DamagedBackupError(
            name, f"holds a database of another shape: {have.shape}, expected {want.shape}"
        )
    # A snapshot counts rows through indexes, which have not been checked yet.
    if want.rows not in (have.rows, have.indexed_rows):
        raise DamagedBackupError(
            name, f"holds other rows than its snapshot: {_differences(have.rows, want.rows)}"
        )
    if want.foreign_key_violations not in (None, have.foreign_key_violations):
        violations = format_count(have.foreign_key_violations, "foreign key violation")
        text = f"has {violations}, expected {want.foreign_key_violations}"
        raise DamagedBackupError(name, text)


def _differences(have: dict[str, int], want: dict[str, int]) -> str:
    names = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    shown = [f"{name} {have.get(name)}, expected {want.get(name)}" for name in names[:_SHOWN]]
    return "; ".join(shown)


@dataclass(frozen=True, slots=True)
class Verified:
    """A copy that was just verified, its content and how long that took."""

    path: Path
    manifest: Manifest
    content: Content
    seconds: float


def no_cancel(_done_bytes: int) -> None:
    """Ignore the progress and never cancel."""


def verify(path: Path, step: Step = no_cancel) -> Verified:
    """Verify the copy at `path` again and return the result.

    A scratch file is created beside it, or in the folder for temporary files ($TMPDIR) if
    the copy's folder is read-only.
    step: called with the bytes unpacked so far; may raise to cancel.

    Raises:
        DamagedBackupError: the copy, its sidecar or its manifest (the text names which)
            is not what was written. Recorded beside the copy.
        UnprovenError: the sidecar or the manifest is missing.
        BackupError: it is not a copy, it cannot be read, or there is no room.
    """
    began = time.monotonic()
    try:
        manifest = read(path)
        # Do not find out by filling the volume, which other programs use.
        place = repository.writable(path.parent)
        disk_space.require(place, manifest.database_size_bytes, f"to prove {path.name}")
        with repository.scratch(place, f"{path.name}.scratch-") as scratch:
            content = prove(path, path, scratch, expected(manifest), step)
    except DamagedBackupError as damaged:
        write_mark(path, damaged.what)
        raise
    # Verified: the earlier finding was repaired, or was a temporary read error.
    with suppress(OSError):
        mark_path(path).unlink(missing_ok=True)
    return Verified(path, manifest, content, round(time.monotonic() - began, 3))
