"""Processes that compare tables in one state of both databases.

PostgreSQL: the parent exports the snapshot of its transaction, and each child's transaction
takes it over. SQLite has no such thing, so every process begins to read, and a connection
that is in no transaction then says whether anything was committed since before the first
of them began (PRAGMA data_version); if so, all begin anew.
Enter at `joined`. The children are forked before any connection is open.
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from workers import parallel, sqlite
from workers.parallel import Child, Tell
from workers.replication import session, source
from workers.replication.compare_table import Compared, compare_table
from workers.replication.copy_rows import Connections
from workers.replication.errors import ReplicationError
from workers.replication.row_encoding import Marks
from workers.replication.settings import Settings
from workers.replication.target import Target, sharing, translated
from workers.sqlite import DatabaseError

# Against a writer that commits again and again; then one process does all.
_TRIES = 20
_TELL_EVERY_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Join:
    """Connect to both databases, with this snapshot of PostgreSQL."""

    snapshot: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin to read the source anew."""


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare a table; see `compare_table`."""

    table: str
    number: int
    brought: Collection[str]


@dataclass(frozen=True, slots=True)
class Failed:
    """An error in a child, as the parent raises it."""

    text: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """A child has done what it was asked."""


class TableComparer:
    """What a child does; it keeps its two connections from `Join` on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = ExitStack()
        self._source: sqlite3.Connection
        self._target: Target

    def __call__(self, item: Join | Begin | Compare, tell: Tell) -> Ready | Compared | Failed:
        """Do what `item` says."""
        database = self._settings.source.database
        try:
            match item:
                case Join(snapshot):
                    self._join(snapshot)
                case Begin():
                    source.begin(self._source)
                case Compare():
                    return self._compare(item, tell)
        except (ReplicationError, DatabaseError) as problem:
            return Failed(str(problem), problem.permanent)
        except sqlite3.Error as error:
            found = sqlite.error_of(database, error)
            return Failed(str(found), found.permanent)
        return Ready()

    def _join(self, snapshot: str) -> None:
        self._target = self._open.enter_context(sharing(self._settings.destination, snapshot))
        database = self._settings.source.database
        # The parent kills a child whose run was cancelled.
        self._source = self._open.enter_context(source.snapshot(database, lambda: False))

    def _compare(self, item: Compare, tell: Tell) -> Compared:
        counter = _Batches(tell)
        between = Connections(
            self._source, self._target, Marks(), self._settings.widens, counter.add
        )
        with translated(self._target.connection):
            columns = self._settings.source.columns
            (pair,) = session.beside(self._source, self._target, [item.table], columns)
            found = compare_table(between, pair, item.number, item.brought)
        counter.flush()
        return found


class _Batches:
    """Count rows, and tell them in batches."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._rows = tell, 0

    def add(self, rows: int) -> None:
        self._rows += rows
        if self._rows >= _TELL_EVERY_ROWS:
            self.flush()

    def flush(self) -> None:
        self._tell(self._rows)
        self._rows = 0


def joined(
    group: Sequence[Child],
    connection: sqlite3.Connection,
    target: Target,
    database: Path,
    check: Callable[[], None],
) -> bool:
    """Return whether all children read the same state as `connection` and `target`.

    connection: the parent's snapshot of the source; it may be begun anew. Not all join if the
    server has no more connections, or if the source is written to without a pause.
    check: called ten times a second; may raise.
    """
    if not group:
        return False
    exported = str(target.one("SELECT pg_catalog.pg_export_snapshot()")[0])
    if not _all_ready(group, Join(exported), check):
        return False
    with closing(sqlite.open_beside(database, read_only=True)) as outside:
        for _ in range(_TRIES):
            before = _version(outside)
            source.begin(connection)
            if not _all_ready(group, Begin(), check):
                return False
            if _version(outside) == before:
                return True
    return False


def _all_ready(group: Sequence[Child], item: Join | Begin, check: Callable[[], None]) -> bool:
    return all(isinstance(found, Ready) for found in parallel.each(group, item, check))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
