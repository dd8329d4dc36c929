"""The proof: compare rows that are not known to have changed, range by range.

After each run, `rolling` continues where the last run stopped, until its budget of seconds
is spent. The table that was not proved for the longest time comes first. Rows that differ
are logged and healed.
Invariant: a range is proved only by a comparison of all of its rows on both sides, in the
run's snapshot.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from workers.replication import keys, merge, source, sync_table
from workers.replication.copy_rows import Connections
from workers.replication.errors import ReplicationError
from workers.replication.merge import Differences
from workers.replication.source import WHOLE, Scope
from workers.replication.sync_table import TableSync
from workers.replication.tables import Kind, MappedColumn, TablePair, quoted
from workers.replication.watermark import TableProof
from workers.units import format_count

RANGE_ROWS = 5000
_NAMED = 10


def counts_differ(bringing: TableSync, pair: TablePair) -> bool:
    """Return whether the two sides have different numbers of rows."""
    there = bringing.between.target.count(pair.target)
    return there != source.count_rows(bringing.between.source, pair.table)


def prove_all(bringing: TableSync, twins: Sequence[TablePair]) -> None:
    """Compare every row of every table after the last change; log and heal those that differ.

    Raises:
        ReplicationError: rows do not heal, or healing one table changes another.
    """
    before = bringing.tally.healed
    for pair in twins:
        prove(bringing, pair, WHOLE)
    healed = bringing.tally.healed - before
    for pair in twins:
        if healed and merge.differing(bringing.between, pair, WHOLE).count:
            raise _restless(pair)
        merge.refuse_counts(bringing.between, pair)
        bringing.compared.add(pair.number)


def prove(bringing: TableSync, pair: TablePair, scope: Scope) -> None:
    """Compare `scope`; log and heal the rows that differ.

    Raises:
        ReplicationError: rows do not heal.
    """
    found = merge.differing(bringing.between, pair, scope)
    bringing.tally.compared += found.compared
    if not found.count:
        return
    if scope is not WHOLE and (pair.table.index_row or pair.scanned):
        # The range was read by an index, which may be damaged; only the table itself decides.
        scope, found = WHOLE, merge.differing(bringing.between, pair, WHOLE)
        if not found.count:
            raise keys.damaged_index(pair)
    bringing.log(describe(pair, found, "row healed", "rows healed"), "warning")
    tally = bringing.tally
    before = (tally.inserted, tally.updated)
    sync_table.sync_found(bringing, pair, found)
    sync_table.refuse_deletions(bringing, [pair])
    sync_table.apply_deletes(bringing, pair)
    tally.inserted, tally.updated = before
    tally.healed += found.count
    if merge.differing(bringing.between, pair, scope).count:
        raise _restless(pair)


def _restless(pair: TablePair) -> ReplicationError:
    return ReplicationError(
        f"table {pair.table.name}: rows of {pair.target} do not stay as written; has it a trigger,"
        " a rule or a foreign key that changes them?"
    )


def describe(pair: TablePair, found: Differences, one: str, many: str) -> str:
    """Return the number and the first ten keys of differing rows, for a message.

    one, many: what is said of them, such as `row differs` and `rows differ`.
    """
    more = f" and {found.count - _NAMED} more" if found.count > _NAMED else ""
    rows = format_count(found.count, one, many)
    return f"table {pair.table.name}: {rows}: {'; '.join(found.names)}{more}"


def rolling(
    bringing: TableSync, twins: Sequence[TablePair], proved: dict[str, TableProof], now: datetime
) -> None:
    """Continue the proof within the budget; updates `proved` by name."""
    deadline = time.monotonic() + bringing.proof.budget_s
    for pair in sorted(twins, key=lambda pair: proved[pair.table.name].proved_since):
        name = pair.table.name
        while time.monotonic() < deadline:
            proved[name] = _one_range(bringing, pair, proved[name], now)
            if proved[name].position is None:
                break


def _one_range(
    bringing: TableSync, pair: TablePair, known: TableProof, now: datetime
) -> TableProof:
    position = _key(known.position, pair)
    if position is None:
        position, known = None, replace(known, position=None, began_at=now)
    end = _key_after(bringing.between, pair, position) if pair.ordered else None
    scope = _between(bringing.between, pair, position, end) if pair.ordered else WHOLE
    prove(bringing, pair, scope)
    if end is None:
        return replace(known, position=None, began_at=None, proved_since=known.began_at or now)
    return replace(known, position=_text(end))


def _key_after(
    between: Connections, pair: TablePair, start: Sequence[Any] | None
) -> tuple[Any, ...] | None:
    """Return the last key of the range that begins after `start`; None: the table ends first."""
    keys = ", ".join(typed.column.source for typed in pair.key)
    where, values = ("", {}) if start is None else _source_side(pair, ">", "a", start)
    query = (
        f"SELECT {keys} FROM {pair.table.source} AS t {where and 'WHERE ' + where}"
        f" ORDER BY {keys} LIMIT 1 OFFSET {RANGE_ROWS - 1}"
    )
    found: tuple[Any, ...] | None = between.source.execute(query, values).fetchone()
    return found


def _between(
    between: Connections, pair: TablePair, start: Sequence[Any] | None, end: Sequence[Any] | None
) -> Scope:
    wheres, values, targets = [], {}, []
    for sign, letter, key in ((">", "a", start), ("<=", "b", end)):
        if key is not None:
            where, more = _source_side(pair, sign, letter, key)
            wheres.append(where)
            values.update(more)
            targets.append(_target_side(between, pair, sign, key))
    if not wheres:
        return WHOLE
    return Scope(f"WHERE {' AND '.join(wheres)}", values, " AND ".join(targets))


def _source_side(
    pair: TablePair, sign: str, letter: str, key: Sequence[Any]
) -> tuple[str, dict[str, object]]:
    keys = ", ".join(typed.column.source for typed in pair.key)
    marks = ", ".join(f":{letter}{number}" for number in range(len(key)))
    values = {f"{letter}{number}": value for number, value in enumerate(key)}
    return (f"({keys}) {sign} ({marks})" if len(key) > 1 else f"{keys} {sign} {marks}"), values


def _target_side(between: Connections, pair: TablePair, sign: str, key: Sequence[Any]) -> str:
    keys = ", ".join(_bytewise(typed) for typed in pair.key)
    values = ", ".join(
        f"{between.target.literal(value)}::{typed.type}"
        for value, typed in zip(key, pair.key, strict=True)
    )
    return f"({keys}) {sign} ({values})"


def _bytewise(typed: MappedColumn) -> str:
    text = typed.type.startswith(("text", "character varying"))
    return f'{quoted(typed.column.name)} COLLATE "C"' if text else quoted(typed.column.name)


def _text(key: Sequence[Any]) -> str:
    # Texts with lone surrogates cannot occur here, because no column holds them.
    return json.dumps([repr(value) if isinstance(value, float) else value for value in key])


def _key(text: str | None, pair: TablePair) -> list[Any] | None:
    """Return the saved key, or None if there is none or it does not match the table's key."""
    values = [] if text is None else json.loads(text)
    if len(values) != len(pair.key):
        return None
    return [
        float(value) if typed.kind is Kind.REAL else value
        for value, typed in zip(values, pair.key, strict=True)
    ]
