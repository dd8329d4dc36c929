"""What a run would delete in the target, for a dry run; nothing is written.

Only keys are compared; whether the values fit is checked by `dry_run.py` and
`trial_load.py`. The transaction is rolled back. Enter at `log_forecast`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from workers.replication import (
    deletion_guard,
    deletions,
    keys,
    merge,
    session,
    source,
    target_schema,
    watermark,
)
from workers.replication.copy_rows import Connections
from workers.replication.errors import ReplicationError
from workers.replication.row_encoding import Marks
from workers.replication.session import Pair
from workers.replication.settings import Settings
from workers.replication.target import connected
from workers.report import Report
from workers.units import format_count

# A dry run lists more keys than an error message.
_NAMED = 100


def log_forecast(settings: Settings, names: Sequence[str], report: Report) -> dict[str, int]:
    """Log what would be deleted or refused; return the number of rows, or nothing if unknown.

    names: the tables to replicate. If the server cannot be reached, a warning is logged, because
    the plan for the source is still valid.
    """
    try:
        with (
            connected(settings.destination, lambda: report.cancelled) as target,
            source.snapshot(settings.source.database, lambda: report.cancelled) as connection,
        ):
            between = Connections(connection, target, Marks(), settings.widens, lambda _: None)
            pairs = session.beside(connection, target, names, settings.source.columns)
            return {"to_delete": sum(_tables(between, pairs, settings, report))}
    except ReplicationError as problem:
        report.log(f"what would be deleted in PostgreSQL is not known: {problem}", "warning")
        return {}


def _tables(
    between: Connections, pairs: list[Pair], settings: Settings, report: Report
) -> Iterator[int]:
    """Log each target table that would lose rows; yield how many."""
    target = between.target
    remembered = watermark.recall(target)
    foreign = deletion_guard.foreign_tables(
        target, {candidate.table.name: candidate.relation for candidate in pairs}, remembered
    )
    planned = []
    for number, candidate in enumerate(pairs):
        if not candidate.present:
            continue
        try:
            found = _deletion(between, candidate, number)
        except ReplicationError as problem:
            report.log(f"a run would fail: {problem}", "warning")
            continue
        if found.deleted:
            report.log(_line(found))
            yield found.deleted
        if candidate.table.name not in foreign:
            planned.append(found)
    adopt, limit = settings.source.tables.adopt, settings.deletion_limit
    refusals: list[Callable[[], None]] = [
        partial(deletion_guard.refuse_foreign, target, foreign, adopt),
        partial(deletion_guard.refuse_deletions, planned, limit),
    ]
    _log_refusals(refusals, report)


def _log_refusals(refusals: Sequence[Callable[[], None]], report: Report) -> None:
    for refuse in refusals:
        try:
            refuse()
        except ReplicationError as problem:
            report.log(f"a run would fail: {problem}", "warning")


def _deletion(between: Connections, candidate: Pair, number: int) -> deletion_guard.Deletion:
    """Return the rows of a table that would be deleted: those whose key the source lacks."""
    target, table = between.target, candidate.table
    pair = keys.settled(between, target_schema.pair_of(target, table, candidate.present), number)
    only_keys = replace(pair, columns=pair.key)
    found = merge.differing(between, only_keys, source.WHOLE)
    rows = target.count(pair.target)
    if not found.to_delete:
        return deletion_guard.Deletion(table.name, rows, 0)
    names = deletions.names_to_delete(between, only_keys, _NAMED)
    return deletion_guard.Deletion(table.name, rows, found.to_delete, names)


def _line(found: deletion_guard.Deletion) -> str:
    more = found.deleted - len(found.names)
    return (
        f"table {found.table}: would delete {found.deleted} of {format_count(found.rows, 'row')}:"
        f" {', '.join(found.names)}{f' and {more} more' if more else ''}"
    )
