"""Databases as sync makes them, and ways to damage them, for the tests of the daily checks."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.catalogue_folder import a_report, two_sets
from workers import sync

# What may be found in place of a database, and its error message.
no_database = pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is no plain file"),
        (lambda path: path.touch(), "has no tables; is it the right path?"),
        (lambda path: path.write_text("text" * 100), "is no SQLite database"),
    ],
    ids=["missing", "a folder", "empty", "text"],
)


def card_database(folder: Path) -> Path:
    """Create a database of two sets of two cards each, in WAL mode with an empty WAL."""
    path = folder / "cards.db"
    params = sync.Params(str(two_sets(folder / "catalogue").root), path)
    sync.missing_sets(params, a_report())
    sync.missing_cards(params, a_report())
    return path


def with_pages(path: Path, rows: int = 5000) -> Path:
    """Add a table of many pages, `pad`, and an index to the database at `path`."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE pad (id INTEGER PRIMARY KEY, word TEXT)")
        database.execute("CREATE INDEX pad_by_word ON pad (word)")
        database.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO pad SELECT i, hex(randomblob(20)) FROM n",
            (rows,),
        )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def with_a_collation(path: Path) -> Path:
    """Create a database with an index that only the program that made it can read."""
    with closing(sqlite3.connect(path)) as database:
        database.create_collation("ours", lambda a, b: (a > b) - (a < b))
        database.execute("CREATE TABLE names (name TEXT COLLATE ours UNIQUE)")
        database.executemany("INSERT INTO names VALUES (?)", [("a",), ("b",)])
        database.commit()
    return path


def break_pages(path: Path, table: str = "pad", pages: int = 3) -> None:
    """Write noise over pages in the middle of `table`, as a bad disk does."""
    with closing(sqlite3.connect(path)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        (count,) = database.execute("PRAGMA page_count").fetchone()
    first = root + (count - root) // 2
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, b"\xa5" * size * pages, (first - 1) * size)
    finally:
        os.close(descriptor)
