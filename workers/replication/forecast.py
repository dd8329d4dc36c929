"""What a run would delete in the target, for a dry run; nothing is written.

Only keys are compared: whether the values of a row fit is said by `survey.py`. All is
done in a transaction that is rolled back.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from workers.replication import deletions, guard, keys, merge, sight, source, state, twins
from workers.replication.carry import Between
from workers.replication.encode import Marks
from workers.replication.params import Params
from workers.replication.sight import Pair
from workers.replication.target import Target, connected
from workers.replication.trouble import Trouble
from workers.report import Report

# A dry run lists more than an error message does.
_NAMED = 100


def tell(params: Params, names: Sequence[str], report: Report) -> dict[str, int]:
    """Log what would be deleted or refused; the number of rows, none if it is not known.

    names: of the tables to replicate.

    A server that cannot be reached is a warning: the plan of the source is still right.
    """
    try:
        with (
            connected(params.postgres, params.schema, lambda: report.cancelled) as target,
            source.snapshot(params, lambda: report.cancelled) as connection,
        ):
            between = Between(
                connection, target, Marks(), params.on_misfit == "text", lambda _: None
            )
            pairs = sight.beside(connection, target, names, params)
            return {"to_delete": sum(_tables(between, pairs, params, report))}
    except Trouble as trouble:
        report.log(f"what would be deleted in PostgreSQL is not known: {trouble}", "warning")
        return {}


def _tables(between: Between, pairs: list[Pair], params: Params, report: Report) -> Iterator[int]:
    """Log each table of the target that would lose rows; give how many."""
    target = between.target
    remembered = state.recall(target)
    foreign = guard.foreign_tables(
        target, {pair.table.name: pair.relation for pair in pairs}, remembered
    )
    planned = []
    for number, pair in enumerate(pairs):
        if not pair.present:
            continue
        try:
            found = _deletion(between, pair, number)
        except Trouble as trouble:
            report.log(f"a run would fail: {trouble}", "warning")
            continue
        if found.deleted:
            report.log(_line(found))
            yield found.deleted
        if pair.table.name not in foreign:
            planned.append(found)
    _tell_refusals(target, foreign, planned, params, report)


def _tell_refusals(
    target: Target,
    foreign: list[str],
    planned: list[guard.Deletion],
    params: Params,
    report: Report,
) -> None:
    refusals: list[Callable[[], None]] = [
        partial(guard.refuse_foreign, target, foreign, params.adopt),
        partial(guard.refuse_deletions, planned, params),
    ]
    for refuse in refusals:
        try:
            refuse()
        except Trouble as trouble:
            report.log(f"a run would fail: {trouble}", "warning")


def _deletion(between: Between, pair: Pair, number: int) -> guard.Deletion:
    """Return what would go of a table: the rows whose key the source does not have."""
    target, table = between.target, pair.table
    twin = keys.settled(between, twins.twin_of(target, table, pair.present), number)
    only_keys = replace(twin, columns=twin.key)
    found = merge.differing(between, only_keys, source.WHOLE)
    rows = target.count(twin.target)
    if not found.to_delete:
        return guard.Deletion(table.name, rows, 0)
    names = deletions.names_to_delete(between, only_keys, _NAMED)
    return guard.Deletion(table.name, rows, found.to_delete, names)


def _line(found: guard.Deletion) -> str:
    more = found.deleted - len(found.names)
    return (
        f"table {found.table}: would delete {found.deleted} of {found.rows} rows:"
        f" {', '.join(found.names)}{f' and {more} more' if more else ''}"
    )
