"""Compare one table on both sides, without any change."""

from collections.abc import Collection
from dataclasses import dataclass

from workers.replication import key_index, keys, merge, proof, source, target_schema
from workers.replication.copy_rows import Connections
from workers.replication.session import Pair


@dataclass(frozen=True, slots=True)
class Compared:
    """How many rows were compared, and what is wrong with the table; empty: all are equal."""

    rows: int
    wrong: str = ""


def compare_table(
    between: Connections, candidate: Pair, number: int, brought: Collection[str]
) -> Compared:
    """Compare every row of a table; brought: the columns that an earlier run replicated.

    Raises:
        ReplicationError: the two cannot be compared.
    """
    target, table, present = between.target, candidate.table, candidate.present
    missing = [column.name for column in table.columns if column.name not in present]
    if missing:
        listed = ", ".join(missing)[:200]
        return Compared(0, f"table {table.name}: {target.named(table.name)} has no {listed}")
    target_schema.refuse_dropped(target, table, present, brought)
    pair = keys.settled(between, target_schema.pair_of(target, table, present), number)
    with key_index.readable(between.source, table.name):
        found = merge.differing(between, pair, source.WHOLE)
    return Compared(
        found.compared,
        proof.describe(pair, found, "row differs", "rows differ") if found.count else "",
    )
