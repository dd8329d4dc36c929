"""The upkeep of a database's pages: statistics, log, free pages.

`wants_vacuum` and `needs` are pure; the rest are single steps over a
connection. The law: a step that finds the database in use is no failure; it
is left out and said.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers import sqlite
from workers.backup.disk_space import Need

# Writers wait while ANALYZE reads: so many rows of each index are enough for
# the planner, and take milliseconds where all of them take seconds a gigabyte.
_ANALYZED_ROWS = 1000
# While a checkpoint waits for a reader, writers wait for it.
_CHECKPOINT_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Pages:
    """All pages of the main file, those that hold nothing, and how large one is."""

    count: int
    free: int
    size_bytes: int

    @property
    def free_ratio(self) -> float:
        """The part that holds nothing, 0 to 1."""
        return self.free / self.count if self.count else 0.0


def pages(connection: sqlite3.Connection) -> Pages:
    """The pages as of now."""

    def pragma(name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

    return Pages(pragma("page_count"), pragma("freelist_count"), pragma("page_size"))


def wants_vacuum(found: Pages, ratio: float) -> bool:
    """Whether so many pages are free that writing the file anew pays."""
    return found.free > 0 and found.free_ratio >= ratio


def needs(path: Path, found: Pages, wal: bool) -> tuple[Need, ...]:
    """What VACUUM takes until it is done."""
    content = (found.count - found.free) * found.size_bytes
    # Under a rollback journal all pages that change are kept there first.
    beside = content if wal else found.count * found.size_bytes
    scratch = Path(os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir())
    return (
        Need(scratch, content, "the database rebuilt by VACUUM"),
        Need(Path(os.path.realpath(path)).parent, beside, "its WAL" if wal else "its journal"),
    )


def analyze(connection: sqlite3.Connection) -> None:
    """Bring the planner's statistics up to date.

    Raises:
        sqlite3.Error: they could not be written; see `left_out`.
    """
    connection.execute(f"PRAGMA analysis_limit = {_ANALYZED_ROWS}")
    connection.execute("ANALYZE")


def checkpoint(connection: sqlite3.Connection, patience_s: float) -> str:
    """Bring the log into the main file and empty it: `done`, `busy`, or `none` without a log.

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
    """Write the file anew, without its free pages.

    Raises:
        sqlite3.Error: it is as before; see `left_out`.
    """
    connection.execute("VACUUM")


def left_out(step: str, work: Callable[[], None]) -> str:
    """Why `step` could not be done this time, in words; empty if it was.

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
