"""One table brought to what the snapshot says, by the cheapest way that is right.

Three ways: FULL fills an empty target or compares all; CHANGES takes the keys
of the log; NOTHING has none to take. A value that does not fit may change the
column's type and begin again. The law: deletions are only noted here, and
made after every table has its rows, for the sake of foreign keys.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from workers.replication import (
    deletions,
    guard,
    key_index,
    keys,
    merge,
    source,
    triggers,
    twins,
    types,
)
from workers.replication.carry import Between, MisfitFound, refuse_misfits
from workers.replication.params import Params
from workers.replication.shape import ROWID, Affinity, Table, Twin, Typed

# With more of a table changed than this, comparing all of it is cheaper.
_LARGEST_PART = 0.25
_ALWAYS_FEW = 1000
# The types that a run chooses: while a column of one is empty, another may be chosen.
_OURS = ("bigint", "double precision", "numeric", "text", "bytea")


class Way(StrEnum):
    """How a table's changes were found; the words of the result."""

    FULL = "full"
    CHANGES = "changes"
    NOTHING = "nothing"


@dataclass(slots=True)
class Tally:
    """What a run did; `named`: rows that a proof found and healed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    healed: int = 0
    compared: int = 0
    paths: set[Way] = field(default_factory=set)

    @property
    def path(self) -> str:
        """The dearest way that a table took."""
        return str(next((way for way in Way if way in self.paths), Way.NOTHING))


@dataclass(slots=True)
class Bringing:
    """What bringing needs to know, and its tally.

    adopted: tables whose rows may all go. noted: by the number of a table with deletions
    to make, the rows that it had before. compared: the numbers of those of which every row
    is known to be alike.
    """

    between: Between
    params: Params
    tally: Tally
    log: Callable[[str, str], None]
    adopted: Collection[str] = ()
    noted: dict[int, int] = field(default_factory=dict)
    compared: set[int] = field(default_factory=set)

    @property
    def proves(self) -> bool:
        """Whether what was sent is looked at again."""
        return self.params.proof_budget > 0


def new_twin(bringing: Bringing, table: Table) -> Twin:
    """The twin of a table that the target does not have, made there, empty.

    Raises:
        Trouble: a key that PostgreSQL cannot have.
    """
    undecided = [c for c in table.columns if is_undecided(c.affinity, c.declared)]
    found = source.found_in(bringing.between.source, table, undecided)
    columns = []
    for column in table.columns:
        twins.refuse_key_type(column, types.long_word(column.wanted or "text"), table.name)
        chosen = types.choose(column, found.get(column.name, types.Found()))
        columns.append(Typed(column, chosen.type))
    target = bringing.between.target
    planned = Twin(table, tuple(columns), target.named(table.name))
    twins.make(target, planned)
    if table.rowid:
        bringing.log(f"table {table.name}: keyed by its row numbers ({ROWID})", "info")
    # As PostgreSQL spells the types: what was asked for may be an alias.
    return twins.twin_of(target, table, twins.columns_of(target, table.name))


def is_undecided(affinity: Affinity, declared: str) -> bool:
    """Whether SQLite takes anything in such a column, so that what is there decides."""
    return affinity is Affinity.NUMERIC or not declared


def with_new_columns(bringing: Bringing, twin: Twin) -> Twin:
    """The twin with every column that the source has got since, added there."""
    have = {typed.column.name for typed in twin.columns}
    added = [column for column in twin.table.columns if column.name not in have]
    if not added:
        return twin
    target, table = bringing.between.target, twin.table
    undecided = [c for c in added if is_undecided(c.affinity, c.declared)]
    found = source.found_in(bringing.between.source, table, undecided)
    for column in added:
        chosen = types.choose(column, found.get(column.name, types.Found()))
        twins.add_column(target, twin, Typed(column, chosen.type))
        bringing.log(f"table {table.name}: added column {column.name} {chosen.type}", "info")
    return twins.twin_of(target, table, twins.columns_of(target, table.name))


def bring(bringing: Bringing, twin: Twin, path: Way, is_new: bool) -> Twin:
    """The table as the snapshot has it, all but its deletions; perhaps with other types.

    Raises:
        Trouble: a value that no column can hold.
    """
    while True:
        try:
            with key_index.readable(bringing.between.source, twin.table.name):
                _bring(bringing, twin, path, is_new)
            return twin
        except MisfitFound as misfit:
            twin = _mended(bringing, twin, misfit)
            path = Way.FULL


def refuse_deletions(bringing: Bringing, twins: Sequence[Twin]) -> None:
    """Nothing, if the deletions that were noted are not too many.

    Raises:
        Trouble: they are; of which tables, and what allows them.
    """
    planned = [
        guard.Deletion(
            twin.table.name,
            bringing.noted[twin.number],
            deletions.deletions(bringing.between, twin),
            deletions.names_to_delete(bringing.between, twin),
        )
        for twin in twins
        if twin.number in bringing.noted and twin.table.name not in bringing.adopted
    ]
    guard.refuse_deletions(planned, bringing.params)


def take_away(bringing: Bringing, twin: Twin) -> int:
    """Make the deletions that were noted; how many."""
    if twin.number not in bringing.noted:
        return 0
    del bringing.noted[twin.number]
    return deletions.delete(bringing.between, twin)


def _bring(bringing: Bringing, twin: Twin, path: Way, is_new: bool) -> None:
    between, tally = bringing.between, bringing.tally
    if path is Way.CHANGES:
        wanted = source.want_from(between.source, twin, triggers.log_of(twin.table.name))
        if not keys.log_fits(between.source, twin):
            path = Way.FULL
        elif wanted > _ALWAYS_FEW:
            total = source.count(between.source, twin.table)
            path = Way.FULL if wanted > total * _LARGEST_PART else path
        if source.wants_null(between.source, twin):
            refuse_misfits(between, twin, source.WHOLE)
    tally.paths.add(path)
    if path is Way.NOTHING:
        return
    if path is Way.CHANGES:
        done = _upsert_wanted(bringing, twin)
        # A key has one row at most: as many rows as keys, and no key is gone.
        if done.sent < wanted:
            keys.refuse_hidden(between, twin)
            if deletions.note_gone(between, twin):
                bringing.noted[twin.number] = between.target.count(twin.target) - done.inserted
    elif is_new:
        tally.inserted += merge.load(between, twin)
        twins.add_key(between.target, twin)
    else:
        found = merge.differing(between, twin, source.WHOLE)
        tally.compared += found.compared
        bring_found(bringing, twin, found)
        if bringing.proves or not found.count:
            bringing.compared.add(twin.number)


def bring_found(bringing: Bringing, twin: Twin, found: merge.Differences) -> None:
    """The rows that `differing` has just found missing or different; the others are noted."""
    between = bringing.between
    if found.to_delete:
        bringing.noted[twin.number] = between.target.count(twin.target)
    if found.to_bring:
        source.want(between.source, twin, merge.keys_to_bring(between, twin))
        done = _upsert_wanted(bringing, twin)
        keys.refuse_lost(between, twin, found.to_bring, done.sent)


def _upsert_wanted(bringing: Bringing, twin: Twin) -> merge.Upserted:
    """Bring the wanted keys that have a row; what that changed."""
    between, tally = bringing.between, bringing.tally
    scope = source.wanted_scope(twin)
    done = merge.upsert(between, twin, scope)
    tally.inserted += done.inserted
    tally.updated += done.updated
    if bringing.proves:
        unlike = merge.unlike_after(between, twin, scope)
        if unlike:
            raise merge.not_as_sent(twin, unlike)
    return done


def _mended(bringing: Bringing, twin: Twin, misfit: MisfitFound) -> Twin:
    """The twin whose column can hold the value, if that may be; else the misfit is raised."""
    between, table = bringing.between, twin.table
    name = misfit.misfit.column
    column = next(column for column in table.columns if column.name == name)
    if column.wanted or misfit.misfit.found == "null":
        raise misfit
    held = next(typed.type for typed in twin.columns if typed.column is column)
    found = source.found_in(between.source, table, [column])[name]
    suggested = types.wider(column, held, found)
    # Another type than we would choose is the choice of the target's owner.
    ours = _OURS if is_undecided(column.affinity, column.declared) else (types.declared(column),)
    if held in ours and twins.is_blank(between.target, twin, name):
        chosen = types.choose(column, found)
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
    twins.retype(between.target, twin, name, suggested, key)
    present = twins.columns_of(between.target, table.name)
    return keys.settled(between, twins.twin_of(between.target, table, present), twin.number)
