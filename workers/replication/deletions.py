"""Rows of the target that are not in the source: counted, named, removed."""

from contextlib import closing
from dataclasses import replace
from itertools import chain

from workers.replication import carry, fit, lines, source
from workers.replication.carry import Between
from workers.replication.merge import EXTRA, MOST_NAMED, key_words
from workers.replication.shape import Twin, Typed
from workers.replication.temporary_tables import make_temporary, temporary


def deletions(between: Between, twin: Twin) -> int:
    """Return how many rows of the target `delete` would remove."""
    same = " AND ".join(f"g.{t.name} = t.{t.name}" for t in twin.key)
    query = f"SELECT count(*) FROM {twin.target} t JOIN {temporary(twin, 'gap')} g ON {same}"
    return int(between.target.one(f"{query} WHERE g.{EXTRA}")[0])


def names_to_delete(between: Between, twin: Twin, most: int = MOST_NAMED) -> tuple[str, ...]:
    """Return the first keys that `delete` would remove, for people."""
    query = f"SELECT {twin.key_names} FROM {temporary(twin, 'gap')} WHERE {EXTRA}"
    found = between.target.execute(f"{query} ORDER BY {twin.key_names} LIMIT {most}")
    return tuple(key_words(tuple(key)) for key in found)


def delete(between: Between, twin: Twin) -> int:
    """Delete the rows that `differing` found too many; return how many."""
    gap = temporary(twin, "gap")
    same = " AND ".join(f"g.{t.name} = t.{t.name}" for t in twin.key)
    query = f"DELETE FROM {twin.target} t USING {gap} g WHERE g.{EXTRA} AND {same}"
    return int(between.target.execute(query).rowcount)


def note_gone(between: Between, twin: Twin) -> int:
    """Stage the wanted keys that are not in the source for `delete`; return how many."""
    target, gap = between.target, temporary(twin, "gap")
    # What is found by its text is wanted by it, too.
    wanted = [
        Typed(
            replace(typed.column, source=f"w.k{number}", wanted="", escaped=False),
            "text" if typed.as_text else typed.type,
        )
        for number, typed in enumerate(twin.key)
    ]
    # A key that its column cannot hold never came there.
    unfit = fit.unfit_sql(replace(twin, columns=tuple(wanted)), between.widen)
    row = lines.array_sql(wanted, between.widen)
    query = f"SELECT {row} {source.from_gone(twin)} AND NOT ({unfit})"
    with closing(source.rows(between.source, query, {})) as cursor:
        batches = lines.whole_rows(cursor)
        first = next(batches, None)
        if first is None:
            return 0
        make_temporary(target, twin, gap, twin.key, f"{EXTRA} boolean")
        statement = carry.copy_sql(gap, twin.key_names)
        count = target.copy_in(statement, chain((first,), batches))
    target.execute(f"UPDATE {gap} SET {EXTRA} = true")
    return count
