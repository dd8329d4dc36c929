"""Compare every row of both sides and change nothing: `verify_only`.

Large databases are compared by several processes, a table at a time each, in one state of
both sides (`shared_snapshot.py`); all others by this one.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from workers import parallel, sqlite
from workers.parallel import Child, Lost
from workers.protocol import Scalar
from workers.replication import session, shared_snapshot, source, table_selection, watermark
from workers.replication.compare_table import Compared, compare_table
from workers.replication.copy_rows import Connections
from workers.replication.errors import ReplicationError
from workers.replication.row_counter import RowCounter
from workers.replication.row_encoding import Marks
from workers.replication.session import Pair
from workers.replication.settings import Settings
from workers.replication.shared_snapshot import Compare, Failed, TableComparer
from workers.replication.target import connected
from workers.replication.watermark import SavedState
from workers.report import Report
from workers.sqlite import DatabaseError

# Below this size, forking, importing and connecting take longer than they gain.
WORTH_BYTES = 16 << 20


def verify(
    settings: Settings, report: Report, worth_bytes: int = WORTH_BYTES
) -> dict[str, Scalar]:
    """Compare every row without any change; return counts and seconds.

    worth_bytes: a smaller database is compared without other processes.

    Raises:
        ReplicationError: rows differ; the message has their number and the first keys.
    """
    began = time.monotonic()
    count = processes(settings, worth_bytes)
    with parallel.children(count if count > 1 else 0, TableComparer(settings)) as group:
        found = list(_compared(settings, report, group))
    wrong = [compared.wrong for compared in found if compared.wrong]
    for line in wrong:
        report.log(line, "error")
    if wrong:
        raise ReplicationError(f"not equal: {'; '.join(wrong)[:1000]}")
    rows, seconds = sum(one.rows for one in found), round(time.monotonic() - began, 3)
    return {"compared": rows, "tables": len(found), "differing": 0, "seconds": seconds}


def processes(settings: Settings, worth_bytes: int) -> int:
    """Return how many processes are worth while: at most one for each table and processor."""
    database = settings.source.database
    most = parallel.cores()
    try:
        if most < 2 or os.stat(database).st_size < worth_bytes:
            return 1
        with closing(sqlite.open_existing(database, read_only=True)) as connection:
            return min(most, len(table_selection.selected(connection, settings.source.tables)))
    except (OSError, sqlite3.Error, DatabaseError):
        return 1  # the comparison itself meets it again, and says what it is


@dataclass(frozen=True, slots=True)
class _Work:
    """The tables to compare, by this process or by the group."""

    between: Connections
    pairs: Sequence[Pair]
    remembered: SavedState


def _compared(settings: Settings, report: Report, group: Sequence[Child]) -> Iterator[Compared]:
    """Yield what the comparison of each table found, in order."""
    counter = RowCounter(report)
    check = partial(counter, 0)
    database = settings.source.database
    with (
        connected(settings.destination, lambda: report.cancelled) as target,
        source.snapshot(database, lambda: report.cancelled) as connection,
    ):
        shares = shared_snapshot.joined(group, connection, target, database, check)
        names = table_selection.chosen(connection, settings.source, report)
        remembered = watermark.recall(target)
        pairs = session.beside(connection, target, names, settings.source.columns)
        between = Connections(connection, target, Marks(), settings.widens, counter)
        work = _Work(between, pairs, remembered)
        yield from _by_group(group, work, counter) if shares else _by_itself(work)


def _by_itself(work: _Work) -> Iterator[Compared]:
    for number, pair in enumerate(work.pairs):
        yield compare_table(work.between, pair, number, work.remembered.brought(pair.table.name))


def _by_group(group: Sequence[Child], work: _Work, counter: RowCounter) -> Iterator[Compared]:
    items = [
        Compare(pair.table.name, number, work.remembered.brought(pair.table.name))
        for number, pair in enumerate(work.pairs)
    ]
    found = parallel.answers(group, items, partial(counter, 0), counter)
    for item, answer in zip(items, found, strict=True):
        match answer:
            case Lost(reason):
                raise ReplicationError(f"table {item.table}: not compared: {reason}", False)
            case Failed(text, permanent):
                raise ReplicationError(text, permanent)
            case Compared():
                yield answer
