"""Maintain the pages of a database: statistics, log and free pages.

`wants_vacuum` and `needs` are pure; the other functions are single steps over a connection.
Invariant: a step that finds the database in use does not fail; it is skipped and reported.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers import sqlite
from workers.backup.disk_space import Need

# Writers wait while ANALYZE reads. This many rows of each index are enough for the
# planner and take milliseconds; all rows would take seconds per gigabyte.
_ANALYZED_ROWS = 1000
# While a checkpoint waits for a reader, writers wait for the checkpoint.
_CHECKPOINT_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Pages:
    """The number of pages of the main file, of free pages, and the size of a page in bytes."""

    count: int
    free: int
    size_bytes: int

    @property
    def free_ratio(self) -> float:
        """Return the free part, 0 to 1."""
        return self.free / self.count if self.count else 0.0


def pages(connection: sqlite3.Connection) -> Pages:
    """Return the current page counts of the database."""

    def pragma(name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

    return Pages(pragma("page_count"), pragma("freelist_count"), pragma("page_size"))


def wants_vacuum(found: Pages, ratio: float) -> bool:
    """Return whether enough pages are free to rewrite the file."""
    return found.free > 0 and found.free_ratio >= ratio


def needs(path: Path, found: Pages, wal: bool) -> tuple[Need, ...]:
    """Return the disk space that VACUUM needs while it runs."""
    content = (found.count - found.free) * found.size_bytes
    # A rollback journal first stores all pages that change.
    beside = content if wal else found.count * found.size_bytes
    scratch = Path(os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir())
    return (
        Need(scratch, content, "the database rebuilt by VACUUM"),
        Need(Path(os.path.realpath(path)).parent, beside, "its WAL" if wal else "its journal"),
    )


def analyze(connection: sqlite3.Connection) -> None:
    """Update the planner's statistics.

    Raises:
        sqlite3.Error: they could not be written; see `left_out`.
    """
    connection.execute(f"PRAGMA analysis_limit = {_ANALYZED_ROWS}")
    connection.execute("ANALYZE")


def checkpoint(connection: sqlite3.Connection, patience_s: float) -> str:
    """Move the log into the main file; return `done`, `busy`, or `none` without a log.

    patience_s: the connection's busy timeout, of which a part is used here.

    Raises:
        sqlite3.Error: reading or writing failed.
    """
    connection.execute(f"PRAGMA busy_timeout = {_ms(min(patience_s, _CHECKPOINT_PATIENCE_S))}")
    try:
        said = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        if not _is_busy(error):
            raise
        said = (1, 0, 0)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_ms(patience_s)}")
    busy, pages_in_log, _ = said
    if busy:
        return "busy"
    return "none" if pages_in_log < 0 else "done"


def vacuum(connection: sqlite3.Connection) -> None:
    """Rewrite the file without its free pages.

    Raises:
        sqlite3.Error: the file is unchanged; see `left_out`.
    """
    connection.execute("VACUUM")


def left_out(step: str, work: Callable[[], None]) -> str:
    """Run `work` and return why `step` was skipped, or an empty string if it was done.

    Raises:
        sqlite3.Error: for reasons that need a person, such as damage.
    """
    try:
        work()
    except sqlite3.OperationalError as error:
        if _is_busy(error):
            return f"{step} is left out: another program holds the database"
        if sqlite.is_foreign(error):
            return f"{step} is left out: {error}"
        raise
    return ""


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
