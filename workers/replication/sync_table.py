"""Synchronise one table with the snapshot, by the cheapest safe method.

Enter at `sync_table`. FULL fills a new table or compares all rows; CHANGES processes the
keys of the change log; NOTHING does nothing. If a value does not fit, its column's type may
be changed, and the table begins again with FULL.
Invariant: deletions are only noted here, and applied by `apply_deletes` after every table
has its rows, because of the target's foreign keys.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from workers.replication import (
    change_log,
    deletion_guard,
    deletions,
    key_index,
    keys,
    merge,
    source,
    target_schema,
    type_mapping,
)
from workers.replication.copy_rows import Connections, MisfitError, refuse_misfits
from workers.replication.settings import DeletionLimit, Proof
from workers.replication.tables import ROWID, Affinity, MappedColumn, Table, TablePair

# If more than this part of a table has changed, comparing all rows is cheaper.
_LARGEST_PART = 0.25
_ALWAYS_FEW = 1000
# The types that a run chooses; a column of one may be retyped freely while it is all NULL.
_OURS = ("bigint", "double precision", "numeric", "text", "bytea")


class SyncMethod(StrEnum):
    """How a table's changes were found; the values appear in the result."""

    FULL = "full"
    CHANGES = "changes"
    NOTHING = "nothing"


@dataclass(slots=True)
class Tally:
    """Counts of a run; healed: rows that a proof found different and repaired."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    healed: int = 0
    compared: int = 0
    paths: set[SyncMethod] = field(default_factory=set)

    @property
    def path(self) -> str:
        """Return the most expensive method that a table used."""
        return str(next((way for way in SyncMethod if way in self.paths), SyncMethod.NOTHING))


@dataclass(slots=True)
class TableSync:
    """The context for synchronising tables, with the run's tally.

    adopted: tables without a limit on deletions. noted: for each table number with pending
    deletions, the rows that the table had before. compared: numbers of the tables whose rows
    are all known to be equal.
    """

    between: Connections
    proof: Proof
    deletion_limit: DeletionLimit
    tally: Tally
    log: Callable[[str, str], None]
    adopted: Collection[str] = ()
    noted: dict[int, int] = field(default_factory=dict)
    compared: set[int] = field(default_factory=set)


def new_pair(bringing: TableSync, table: Table) -> TablePair:
    """Create the missing target table, empty and without its key; return the pair.

    Raises:
        ReplicationError: the key's type is not possible in PostgreSQL.
    """
    undecided = [c for c in table.columns if is_undecided(c.affinity, c.declared)]
    found = source.found_in(bringing.between.source, table, undecided)
    columns = []
    for column in table.columns:
        target_schema.refuse_key_type(
            column, type_mapping.long_word(column.wanted or "text"), table.name
        )
        chosen = type_mapping.choose(column, found.get(column.name, type_mapping.Found()))
        columns.append(MappedColumn(column, chosen.type))
    target = bringing.between.target
    planned = TablePair(table, tuple(columns), target.named(table.name))
    target_schema.make(target, planned)
    if table.rowid:
        bringing.log(f"table {table.name}: keyed by its row numbers ({ROWID})", "info")
    # Read the types back, because a requested type may be an alias.
    return target_schema.pair_of(target, table, target_schema.columns_of(target, table.name))


def is_undecided(affinity: Affinity, declared: str) -> bool:
    """Return whether a column's values decide its type, because SQLite stores any class there."""
    return affinity is Affinity.NUMERIC or not declared


def with_new_columns(bringing: TableSync, pair: TablePair) -> TablePair:
    """Add the columns that the source has gained to the target; return the pair with them."""
    have = {typed.column.name for typed in pair.columns}
    added = [column for column in pair.table.columns if column.name not in have]
    if not added:
        return pair
    target, table = bringing.between.target, pair.table
    undecided = [c for c in added if is_undecided(c.affinity, c.declared)]
    found = source.found_in(bringing.between.source, table, undecided)
    for column in added:
        chosen = type_mapping.choose(column, found.get(column.name, type_mapping.Found()))
        target_schema.add_column(target, pair, MappedColumn(column, chosen.type))
        bringing.log(f"table {table.name}: added column {column.name} {chosen.type}", "info")
    return target_schema.pair_of(target, table, target_schema.columns_of(target, table.name))


def sync_table(bringing: TableSync, pair: TablePair, path: SyncMethod, is_new: bool) -> TablePair:
    """Synchronise a table except for its deletions; return the pair, whose types may have changed.

    Raises:
        ReplicationError: a value fits no column type.
    """
    while True:
        try:
            with key_index.readable(bringing.between.source, pair.table.name):
                _bring(bringing, pair, path, is_new)
            return pair
        except MisfitError as misfit:
            pair = _with_new_type(bringing, pair, misfit)
            path = SyncMethod.FULL


def refuse_deletions(bringing: TableSync, twins: Sequence[TablePair]) -> None:
    """Refuse the noted deletions if they exceed `max_delete`.

    Raises:
        ReplicationError: they do; the message has the tables and the value that allows them.
    """
    planned = [
        deletion_guard.Deletion(
            pair.table.name,
            bringing.noted[pair.number],
            deletions.deletions(bringing.between, pair),
            deletions.names_to_delete(bringing.between, pair),
        )
        for pair in twins
        if pair.number in bringing.noted and pair.table.name not in bringing.adopted
    ]
    deletion_guard.refuse_deletions(planned, bringing.deletion_limit)


def apply_deletes(bringing: TableSync, pair: TablePair) -> int:
    """Apply the noted deletions of a table; return how many rows were deleted."""
    if pair.number not in bringing.noted:
        return 0
    del bringing.noted[pair.number]
    return deletions.delete(bringing.between, pair)


def _bring(bringing: TableSync, pair: TablePair, path: SyncMethod, is_new: bool) -> None:
    between, tally = bringing.between, bringing.tally
    if path is SyncMethod.CHANGES:
        wanted = source.stage_keys_from(between.source, pair, change_log.log_of(pair.table.name))
        if not keys.log_fits(between.source, pair):
            path = SyncMethod.FULL
        elif wanted > _ALWAYS_FEW:
            total = source.count(between.source, pair.table)
            path = SyncMethod.FULL if wanted > total * _LARGEST_PART else path
        if source.wants_null(between.source, pair):
            refuse_misfits(between, pair, source.WHOLE)
    tally.paths.add(path)
    if path is SyncMethod.NOTHING:
        return
    if path is SyncMethod.CHANGES:
        done = _upsert_wanted(bringing, pair)
        # A key has at most one row: if as many rows as keys were sent, no key is deleted.
        if done.sent < wanted:
            keys.refuse_hidden(between, pair)
            if deletions.stage_deletes(between, pair):
                bringing.noted[pair.number] = between.target.count(pair.target) - done.inserted
    elif is_new:
        tally.inserted += merge.load(between, pair)
        target_schema.add_key(between.target, pair)
    else:
        found = merge.differing(between, pair, source.WHOLE)
        tally.compared += found.compared
        sync_found(bringing, pair, found)
        if bringing.proof.verifies_sent or not found.count:
            bringing.compared.add(pair.number)


def sync_found(bringing: TableSync, pair: TablePair, found: merge.Differences) -> None:
    """Write the missing and different rows that `differing` has found; note the deletions."""
    between = bringing.between
    if found.to_delete:
        bringing.noted[pair.number] = between.target.count(pair.target)
    if found.to_bring:
        source.stage_keys(between.source, pair, merge.keys_to_bring(between, pair))
        done = _upsert_wanted(bringing, pair)
        keys.refuse_lost(between, pair, found.to_bring, done.sent)


def _upsert_wanted(bringing: TableSync, pair: TablePair) -> merge.Upserted:
    """Upsert the rows with a staged key; return the counts."""
    between, tally = bringing.between, bringing.tally
    scope = source.wanted_scope(pair)
    done = merge.upsert(between, pair, scope)
    tally.inserted += done.inserted
    tally.updated += done.updated
    if bringing.proof.verifies_sent:
        unlike = merge.unlike_after(between, pair, scope)
        if unlike:
            raise merge.not_as_sent(pair, unlike)
    return done


def _with_new_type(bringing: TableSync, pair: TablePair, misfit: MisfitError) -> TablePair:
    """Retype the column so that it holds the value; raise the misfit if that is not possible."""
    between, table = bringing.between, pair.table
    name = misfit.misfit.column
    column = next(column for column in table.columns if column.name == name)
    if column.wanted or misfit.misfit.found == "null":
        raise misfit
    held = next(typed.type for typed in pair.columns if typed.column is column)
    found = source.found_in(between.source, table, [column])[name]
    suggested = type_mapping.wider(column, held, found)
    # A type that a run would not choose is the choice of the target's owner.
    ours = (
        _OURS
        if is_undecided(column.affinity, column.declared)
        else (type_mapping.declared(column),)
    )
    if held in ours and target_schema.is_all_null(between.target, pair, name):
        chosen = type_mapping.choose(column, found)
        suggested = chosen.type if chosen.fits else ""
    if not suggested:
        if not between.widen:
            raise misfit
        suggested = "text"
    bringing.log(
        f"table {table.name}: column {name} becomes {suggested}, it was {held}: {misfit.reason}",
        "warning",
    )
    key = 'COLLATE "C"' if column.key and suggested == "text" else ""
    target_schema.retype(between.target, pair, name, suggested, key)
    present = target_schema.columns_of(between.target, table.name)
    return keys.settled(
        between, target_schema.pair_of(between.target, table, present), pair.number
    )
