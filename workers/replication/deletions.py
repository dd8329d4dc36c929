"""Count, name and delete the rows of the target that are not in the source."""

from contextlib import closing
from dataclasses import replace
from itertools import chain

from workers.replication import copy_format, copy_rows, source, value_fit
from workers.replication.copy_rows import Connections
from workers.replication.merge import EXTRA, MOST_NAMED, key_words
from workers.replication.tables import MappedColumn, TablePair
from workers.replication.temporary_tables import make_temporary, temporary


def deletions(between: Connections, pair: TablePair) -> int:
    """Return how many rows of the target `delete` would remove."""
    same = " AND ".join(f"g.{t.name} = t.{t.name}" for t in pair.key)
    query = f"SELECT count(*) FROM {pair.target} t JOIN {temporary(pair, 'gap')} g ON {same}"
    return int(between.target.one(f"{query} WHERE g.{EXTRA}")[0])


def names_to_delete(
    between: Connections, pair: TablePair, most: int = MOST_NAMED
) -> tuple[str, ...]:
    """Return the first keys that `delete` would remove, for messages."""
    query = f"SELECT {pair.key_names} FROM {temporary(pair, 'gap')} WHERE {EXTRA}"
    found = between.target.execute(f"{query} ORDER BY {pair.key_names} LIMIT {most}")
    return tuple(key_words(tuple(key)) for key in found)


def delete(between: Connections, pair: TablePair) -> int:
    """Delete the extra rows found by `differing` or `stage_deletes`; return how many."""
    gap = temporary(pair, "gap")
    same = " AND ".join(f"g.{t.name} = t.{t.name}" for t in pair.key)
    query = f"DELETE FROM {pair.target} t USING {gap} g WHERE g.{EXTRA} AND {same}"
    return int(between.target.execute(query).rowcount)


def stage_deletes(between: Connections, pair: TablePair) -> int:
    """Stage the wanted keys that are not in the source for `delete`; return how many."""
    target, gap = between.target, temporary(pair, "gap")
    # A key that is found by its text is also staged as text.
    wanted = [
        MappedColumn(
            replace(typed.column, source=f"w.k{number}", wanted="", escaped=False),
            "text" if typed.as_text else typed.type,
        )
        for number, typed in enumerate(pair.key)
    ]
    # A key that its column cannot hold was never written there.
    unfit = value_fit.unfit_sql(replace(pair, columns=tuple(wanted)), between.widen)
    row = copy_format.array_sql(wanted, between.widen)
    query = f"SELECT {row} {source.from_gone(pair)} AND NOT ({unfit})"
    with closing(source.rows(between.source, query, {})) as cursor:
        batches = copy_format.whole_rows(cursor)
        first = next(batches, None)
        if first is None:
            return 0
        make_temporary(target, pair, gap, pair.key, f"{EXTRA} boolean")
        statement = copy_rows.copy_sql(gap, pair.key_names)
        count = target.copy_in(statement, chain((first,), batches))
    target.execute(f"UPDATE {gap} SET {EXTRA} = true")
    return count
