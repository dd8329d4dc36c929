"""The proof: rows that nobody said had changed, compared range by range.

After each run the rolling proof goes on from where the last one ended, as far
as its budget of seconds reaches, the longest unproved table first; what
differs is named and healed. The law: a range is proved only by comparing
every row of it, on both sides, in the snapshot of the run.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from workers.replication import bring, keys, merge, source
from workers.replication.bring import Bringing
from workers.replication.carry import Between
from workers.replication.merge import Differences
from workers.replication.shape import Kind, Twin, Typed, quoted
from workers.replication.source import WHOLE, Scope
from workers.replication.state import Proved
from workers.replication.trouble import Trouble

RANGE_ROWS = 5000
_NAMED = 10


def counts_differ(bringing: Bringing, twin: Twin) -> bool:
    """Whether the two sides have not the same number of rows."""
    there = bringing.between.target.count(twin.target)
    return there != source.count_rows(bringing.between.source, twin.table)


def prove_all(bringing: Bringing, twins: Sequence[Twin]) -> None:
    """Compare every row of every table, after the last change; heal what differs, by name.

    Raises:
        Trouble: what differs does not heal, or healing one table changes another.
    """
    before = bringing.tally.healed
    for twin in twins:
        prove(bringing, twin, WHOLE)
    healed = bringing.tally.healed - before
    for twin in twins:
        if healed and merge.differing(bringing.between, twin, WHOLE).count:
            raise _restless(twin)
        merge.refuse_counts(bringing.between, twin)
        bringing.compared.add(twin.number)


def prove(bringing: Bringing, twin: Twin, scope: Scope) -> None:
    """Compare `scope`, and heal what differs, by name.

    Raises:
        Trouble: what differs does not heal.
    """
    found = merge.differing(bringing.between, twin, scope)
    bringing.tally.compared += found.compared
    if not found.count:
        return
    if scope is not WHOLE and (twin.table.index_row or twin.scanned):
        # The range was read by an index, which may be wrong; the table itself decides.
        scope, found = WHOLE, merge.differing(bringing.between, twin, WHOLE)
        if not found.count:
            raise keys.damaged_index(twin)
    bringing.log(told(twin, found, "healed"), "warning")
    tally = bringing.tally
    before = (tally.inserted, tally.updated)
    bring.bring_found(bringing, twin, found)
    bring.refuse_deletions(bringing, [twin])
    bring.take_away(bringing, twin)
    tally.inserted, tally.updated = before
    tally.healed += found.count
    if merge.differing(bringing.between, twin, scope).count:
        raise _restless(twin)


def _restless(twin: Twin) -> Trouble:
    return Trouble(
        f"table {twin.table.name}: rows of {twin.target} do not stay as written; has it a trigger,"
        " a rule or a foreign key that changes them?"
    )


def told(twin: Twin, found: Differences, what: str) -> str:
    """What differs, for people: the number and the first ten keys."""
    more = f" and {found.count - _NAMED} more" if found.count > _NAMED else ""
    return f"table {twin.table.name}: {found.count} rows {what}: {'; '.join(found.names)}{more}"


def rolling(
    bringing: Bringing, twins: Sequence[Twin], proved: dict[str, Proved], now: datetime
) -> None:
    """Prove on within the budget; `proved` is brought up to date by name."""
    deadline = time.monotonic() + bringing.params.proof_budget
    for twin in sorted(twins, key=lambda twin: proved[twin.table.name].proved_since):
        name = twin.table.name
        while time.monotonic() < deadline:
            proved[name] = _one_range(bringing, twin, proved[name], now)
            if proved[name].position is None:
                break


def _one_range(bringing: Bringing, twin: Twin, known: Proved, now: datetime) -> Proved:
    position = _key(known.position, twin)
    if position is None:
        position, known = None, replace(known, position=None, began_at=now)
    end = _key_after(bringing.between, twin, position) if twin.ordered else None
    scope = _between(bringing.between, twin, position, end) if twin.ordered else WHOLE
    prove(bringing, twin, scope)
    if end is None:
        return replace(known, position=None, began_at=None, proved_since=known.began_at or now)
    return replace(known, position=_text(end))


def _key_after(
    between: Between, twin: Twin, start: Sequence[Any] | None
) -> tuple[Any, ...] | None:
    """The last key of the range that begins after `start`; None: the table ends before."""
    keys = ", ".join(typed.column.source for typed in twin.key)
    where, values = ("", {}) if start is None else _source_side(twin, ">", "a", start)
    query = (
        f"SELECT {keys} FROM {twin.table.source} AS t {where and 'WHERE ' + where}"
        f" ORDER BY {keys} LIMIT 1 OFFSET {RANGE_ROWS - 1}"
    )
    found: tuple[Any, ...] | None = between.source.execute(query, values).fetchone()
    return found


def _between(
    between: Between, twin: Twin, start: Sequence[Any] | None, end: Sequence[Any] | None
) -> Scope:
    wheres, values, targets = [], {}, []
    for sign, letter, key in ((">", "a", start), ("<=", "b", end)):
        if key is not None:
            where, more = _source_side(twin, sign, letter, key)
            wheres.append(where)
            values.update(more)
            targets.append(_target_side(between, twin, sign, key))
    if not wheres:
        return WHOLE
    return Scope(f"WHERE {' AND '.join(wheres)}", values, " AND ".join(targets))


def _source_side(
    twin: Twin, sign: str, letter: str, key: Sequence[Any]
) -> tuple[str, dict[str, object]]:
    keys = ", ".join(typed.column.source for typed in twin.key)
    marks = ", ".join(f":{letter}{number}" for number in range(len(key)))
    values = {f"{letter}{number}": value for number, value in enumerate(key)}
    return (f"({keys}) {sign} ({marks})" if len(key) > 1 else f"{keys} {sign} {marks}"), values


def _target_side(between: Between, twin: Twin, sign: str, key: Sequence[Any]) -> str:
    keys = ", ".join(_bytewise(typed) for typed in twin.key)
    values = ", ".join(
        f"{between.target.literal(value)}::{typed.type}"
        for value, typed in zip(key, twin.key, strict=True)
    )
    return f"({keys}) {sign} ({values})"


def _bytewise(typed: Typed) -> str:
    text = typed.type.startswith(("text", "character varying"))
    return f'{quoted(typed.column.name)} COLLATE "C"' if text else quoted(typed.column.name)


def _text(key: Sequence[Any]) -> str:
    # Texts with lone halves of a character cannot be here: they fit nowhere.
    return json.dumps([repr(value) if isinstance(value, float) else value for value in key])


def _key(text: str | None, twin: Twin) -> list[Any] | None:
    """The key that was kept; None: none, or one of another shape."""
    values = [] if text is None else json.loads(text)
    if len(values) != len(twin.key):
        return None
    return [
        float(value) if typed.kind is Kind.REAL else value
        for value, typed in zip(values, twin.key, strict=True)
    ]
