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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workers import database
from workers.backup import checks, newer, stream, tables
from workers.backup.checks import Checked
from workers.backup.folder import Scratch
from workers.backup.manifest import Manifest, Shape
from workers.backup.stream import Step, Sums, Unpacked
from workers.backup.trouble import Damaged, Unsound, of_system

# How long a wish to end may wait while SQLite checks.
_LOOK_EVERY_S = 0.1
_SHOWN = 3


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


@dataclass(frozen=True, slots=True)
class Content:
    """What a database with sound pages holds.

    rows: by table. indexed_rows: what the smallest index of each says of that.
    unchecked: what could not be checked here. findings: what integrity_check
    says against its content. Both a phrase each.
    """

    shape: Shape
    rows: dict[str, int]
    indexed_rows: dict[str, int]
    foreign_key_violations: int
    unchecked: tuple[str, ...]
    findings: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The size of the database."""
        return self.shape.page_size * self.shape.page_count

    @property
    def warnings(self) -> list[str]:
        """Both, as sentences that stand alone."""
        said = [f"integrity_check of the source says: {one}" for one in self.findings]
        return [*(f"unchecked: {one}" for one in self.unchecked), *said]


def prove(copy: Path, name: Path, scratch: Scratch, want: Expected, step: Step) -> Content:
    """What the copy holds, when it is what was written and its pages are sound.

    copy: the file to read, whatever it is called yet; `name`: how to call it.
    scratch: empty, holds the proven database afterwards.

    Raises:
        Damaged: the copy is not what was written.
        Unsound: it is, but the pages of the database in it are damaged.
        Trouble, sqlite3.Error: reading or writing failed.
    """
    found = unpacked(copy, name, scratch, want.sums.database_size_bytes, step)
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
        raise Damaged(name, f"is not what was written: it {what} {have}, expected {must}")


def unpacked(copy: Path, name: Path, scratch: Scratch, most_bytes: int, step: Step) -> Unpacked:
    """The copy's hash and sizes; `scratch` holds what is in it.

    Raises:
        Damaged: it is no whole gzip file, or holds more than `most_bytes`.
        Trouble: reading or writing failed.
    """
    try:
        descriptor = os.open(copy, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # What was just written lies in memory; the proof is about the disk.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            return stream.unpack(descriptor, scratch.descriptor, most_bytes, step)
        finally:
            os.close(descriptor)
    except stream.BadCopy as error:
        raise Damaged(name, str(error)) from error
    except OSError as error:
        raise of_system(f"unpack {name}", scratch.path.parent, error) from error


def checked(scratch: Scratch, name: Path, sha256: str, check: Callable[[], None]) -> Content:
    """What the database in `scratch` holds; sha256: what its hash must be, empty if not known.

    Raises:
        Damaged: it has another hash.
        Unsound: its pages are damaged.
        sqlite3.Error: it cannot be read, for a reason that says nothing about it.
    """
    with (
        closing(newer.private(scratch.path)) as one,
        closing(newer.private(scratch.path)) as other,
        ThreadPoolExecutor(2, "check") as lanes,
    ):
        running: list[Future[Any]] = [problems := lanes.submit(checks.integrity, one)]
        try:
            if sha256:
                # Here, where integrity_check leaves a core free, and not while unpacking.
                os.lseek(scratch.descriptor, 0, os.SEEK_SET)
                found, _ = stream.digest(scratch.descriptor, lambda _: check())
                _judge(name, "unpacks to SHA-256", found, sha256)
            # Not before: integrity_check takes longest, and would have to share its core.
            running.append(contents := lanes.submit(_contents, other))
            _await(running, check)
        except BaseException:
            _end(running, one, other)
            raise
        content = _sound(name, problems.result(), contents)
        if newer.is_lenient(other):
            unread = newer.unreadable(scratch.path)
            content = replace(content, unchecked=(*unread, *content.unchecked))
        if content.warnings:
            # Indexes are not to be trusted then.
            content = replace(content, rows=_attended(lanes, other, check))
        return content


def _await(checks: Sequence[Future[Any]], check: Callable[[], None]) -> None:
    while wait(checks, timeout=_LOOK_EVERY_S).not_done:
        check()


def _attended(
    lanes: ThreadPoolExecutor, connection: sqlite3.Connection, check: Callable[[], None]
) -> dict[str, int]:
    counting = lanes.submit(tables.rows_not_indexed, connection)
    try:
        _await([counting], check)
    except BaseException:
        _end([counting], connection)
        raise
    return counting.result()


def _end(running: Sequence[Future[Any]], *connections: sqlite3.Connection) -> None:
    # Again and again: an interrupt between two statements is lost.
    while wait(running, timeout=_LOOK_EVERY_S).not_done:
        for connection in connections:
            connection.interrupt()


def _contents(connection: sqlite3.Connection) -> Content:
    violations, unchecked = checks.foreign_keys(connection)
    rows = tables.rows(connection)
    unchecked += checks.uncounted(connection, len(rows))
    return Content(tables.shape(connection), rows, rows, violations, unchecked)


def _sound(name: Path, found: Checked, contents: Future[Content]) -> Content:
    if found.damage:
        raise Unsound(name, f"fails integrity_check: {found.damage}"[:500])
    try:
        content = contents.result()
    except sqlite3.DatabaseError as error:
        if not database.is_damage(error):
            raise
        raise Unsound(name, f"holds a database that cannot be read: {error}") from error
    unchecked = (*found.unchecked, *content.unchecked)
    return replace(content, unchecked=unchecked, findings=found.findings)


def _compare(name: Path, have: Content, want: Expected) -> None:
    if have.shape != want.shape:
        raise Damaged(
            name, f"holds a database of another shape: {have.shape}, expected {want.shape}"
        )
    # A snapshot is counted by index, before anything is known of them.
    if want.rows not in (have.rows, have.indexed_rows):
        raise Damaged(
            name, f"holds other rows than its snapshot: {_differences(have.rows, want.rows)}"
        )
    violations = have.foreign_key_violations
    if want.foreign_key_violations not in (None, violations):
        raise Damaged(
            name,
            f"has {violations} foreign key violations, expected {want.foreign_key_violations}",
        )


def _differences(have: dict[str, int], want: dict[str, int]) -> str:
    names = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    shown = [f"{name} {have.get(name)}, expected {want.get(name)}" for name in names[:_SHOWN]]
    return "; ".join(shown)
