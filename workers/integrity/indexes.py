"""Check that full-text and R*Tree indexes match their tables.

PRAGMA integrity_check reads the pages of such indexes, but their content only from SQLite
3.44 on. R*Tree has a read-only check function. FTS checks itself with an INSERT, which
SQLite treats as writing, so the check runs in a private copy: a temporary database that
SQLite removes by itself.
Invariant: nothing is written to the database, and an index that could not be checked is
reported.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from workers import sqlite, virtual_tables
from workers.backup import disk_space, introspection
from workers.integrity import sqlite_checks
from workers.integrity.findings import SHOWN, Finding, Severity, merged
from workers.sqlite_connection import connect, kind_of
from workers.units import format_size
from workers.virtual_tables import Virtual

NAME = "full-text and R*Tree indexes"
_COPY_STEP_BYTES = 16 << 20
_WRONG = "indexes that do not hold what their tables hold and have to be rebuilt"
_NO_CHECK = "virtual tables for which there is no check here"

Check = Callable[[], None]


def findings(connection: sqlite3.Connection, copy_limit_bytes: int, check: Check) -> list[Finding]:
    """Check every index in the connection's snapshot; return an empty list if there is none.

    copy_limit_bytes: a larger database is not copied. check: called regularly; an
    exception from it ends the checks.
    """
    found = virtual_tables.tables(connection)
    rtrees = [one for one in found if one.is_rtree]
    texts = [one for one in found if one.is_fts and not _is_beyond_check(one)]
    others = [one for one in found if one not in rtrees and one not in texts]
    results = [_unchecked(others)] if others else []
    if rtrees or texts:
        results.append(Finding("index_damage", Severity.FAILURE, 0, _WRONG))
    for one in rtrees:
        results += sqlite.with_progress(connection, partial(_made, one, connection), check)
    if texts:
        results += _of_texts(connection, texts, copy_limit_bytes, check)
    return merged(results)


def checked(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the indexes that `findings` checks, each with its module."""
    found = virtual_tables.tables(connection)
    return tuple(
        _called(one) for one in found if one.is_rtree or (one.is_fts and not _is_beyond_check(one))
    )


def _of_texts(
    connection: sqlite3.Connection, texts: Sequence[Virtual], limit_bytes: int, check: Check
) -> list[Finding]:
    shape = introspection.shape(connection)
    if lacking := _lack(shape.page_size * shape.page_count, limit_bytes):
        return [_not_copied(texts, lacking)]
    results = list[Finding]()
    # With an empty name SQLite unlinks the file as soon as it has opened it.
    with closing(connect("", 0)) as copy:
        copy.execute("PRAGMA synchronous = OFF")
        pages = max(1, _COPY_STEP_BYTES // shape.page_size)
        try:
            connection.backup(copy, pages=pages, progress=lambda *_: check())
        except sqlite3.OperationalError as error:
            if kind_of(error) != "SQLITE_FULL":
                raise
            return [_not_copied(texts, f"no room for the copy in {_scratch()}")]
        # The copied header says WAL, and a temporary database cannot use WAL.
        copy.execute("PRAGMA journal_mode = OFF")
        for one in texts:
            results += sqlite.with_progress(copy, partial(_made, one, copy), check)
    return results


def _not_copied(texts: Sequence[Virtual], why: str) -> Finding:
    names = ", ".join(_called(one) for one in texts[:SHOWN])
    what = sqlite_checks.NOT_MADE
    return Finding("checks_not_made", Severity.WARNING, len(texts), what, (f"{names}: {why}",))


def _made(one: Virtual, connection: sqlite3.Connection) -> list[Finding]:
    what = _called(one)
    return sqlite_checks.made(what, lambda: [_of_one(one, what, connection)])


def _of_one(one: Virtual, what: str, connection: sqlite3.Connection) -> Finding:
    problem = _rtree(one, connection) if one.is_rtree else _text(one, connection)
    if not problem:
        return Finding("index_damage", Severity.FAILURE, 0, _WRONG)
    return Finding("index_damage", Severity.FAILURE, 1, _WRONG, (f"{what}: {problem}",))


def _called(one: Virtual) -> str:
    return f"{one.module} {one.name}"


def _rtree(one: Virtual, connection: sqlite3.Connection) -> str:
    (said,) = connection.execute("SELECT rtreecheck('main', ?)", (one.name,)).fetchone()
    return "" if said == "ok" else str(said).splitlines()[0]


def _text(one: Virtual, connection: sqlite3.Connection) -> str:
    name = f'"{introspection.quoted(one.name)}"'
    # With external content, FTS5 compares the content only if rank is 1.
    rank, value = (", rank", ", 1") if one.module == "fts5" else ("", "")
    statement = f"INSERT INTO {name} ({name}{rank}) VALUES ('integrity-check'{value})"
    try:
        connection.execute(statement)
    except sqlite3.DatabaseError as error:
        if not sqlite.is_damage(error):
            raise
        return str(error)
    return ""


def _is_beyond_check(one: Virtual) -> bool:
    """Return whether it is an FTS4 index without content, which has nothing to compare with."""
    return one.module == "fts4" and not one.content and one.holds_row_numbers


def _unchecked(others: Sequence[Virtual]) -> Finding:
    names = tuple(f"{one.name} ({one.module})" for one in others[:SHOWN])
    return Finding("no_check_here", Severity.NOTE, len(others), _NO_CHECK, names)


def _lack(size_bytes: int, limit_bytes: int) -> str:
    """Return why no copy is made, or an empty string."""
    if size_bytes > limit_bytes:
        size, limit = format_size(size_bytes), format_size(limit_bytes)
        return f"the database has {size}, and a copy is made up to {limit} (copy_limit)"
    needed = (disk_space.Need(_scratch(), size_bytes, "the copy in which they are checked"),)
    return disk_space.refusal(needed, disk_space.free([_scratch()]), "make room there")


def _scratch() -> Path:
    """Return the folder in which SQLite creates temporary databases."""
    return Path(os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir())
