"""Converts frozen values to rows of the ledger and back, by the names of their fields.

No SQL is executed here. `TABLES` maps each type to its table and key. The converters
follow from the annotations, so a new field is stored as soon as it is in core/model.py
and schema.sql (a test compares the two).
"""

import types
import typing
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.dependencies import MOST_RECENT
from supervisor.core.model import (
    Attempt,
    AuditEntry,
    JobRecord,
    MissedRange,
    Peer,
    ReloadEntry,
    Run,
)

Convert = Callable[[Any], Any]


class RowError(ValueError):
    """A row with an unexpected value: damage, or a change by another program."""


class Table(Struct, frozen=True):
    """One type of value: its table, columns, key and converters.

    key: returns what a value replaces an earlier one by; None: each is a row of its own.
    encoders: by position, only for columns that are not stored unchanged.
    """

    name: str
    kind: type
    columns: tuple[str, ...]
    key: Callable[[object], object] | None
    fields: Callable[[object], tuple[Any, ...]]
    encoders: tuple[tuple[int, Convert], ...]
    decoders: tuple[Convert, ...]
    may_be_null: tuple[bool, ...]
    upsert: str

    def encode(self, value: object) -> list[Any]:
        """Return the row of a value, in the order of the columns."""
        row = list(self.fields(value))
        for place, encode in self.encoders:
            item = row[place]
            if item is not None:
                row[place] = encode(item)
        return row

    def decode(self, row: typing.Sequence[Any]) -> Any:
        """Return the value of a row that was read with `select`. Raises: RowError.

        SQLite keeps any type of value in any column, so each value is checked.
        """
        values: list[Any] = []
        try:
            for decode, nullable, item in zip(self.decoders, self.may_be_null, row, strict=True):
                if item is None and nullable:
                    values.append(None)
                else:
                    values.append(decode(item))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            column = self.columns[len(values)]
            raise RowError(f"{self.name} {row[0]!r}: {column}: {error}") from error
        return self.kind(*values)

    def select(self, rest: str = "") -> str:
        """Return a SELECT of all columns, in their order."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name} {rest}"


def _table(kind: type, name: str, *key: str, fixed: tuple[str, ...] = ()) -> Table:
    """Return the table of a type.

    fixed: columns that never change; SQLite rewrites each index of a column that is set.
    """
    hints = typing.get_type_hints(kind)
    columns = tuple(hints)
    marks = ", ".join("?" * len(columns))
    upsert = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})"
    if key:
        changes = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in (*key, *fixed))
        upsert += f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    codecs = [_codec(hints[column]) for column in columns]
    return Table(
        name,
        kind,
        columns,
        attrgetter(*key) if key else None,
        attrgetter(*columns),
        tuple((n, encode) for n, (encode, _) in enumerate(codecs) if encode is not None),
        tuple(
            _json_object if column.endswith("_json") else decode
            for column, (_, decode) in zip(columns, codecs, strict=True)
        ),
        tuple(isinstance(hints[column], types.UnionType) for column in columns),
        upsert,
    )


def _codec(hint: Any) -> tuple[Convert | None, Convert]:
    """Return how a field is encoded (None: unchanged) and decoded."""
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in hint.__args__ if arg is not type(None))
    if hint is datetime:
        return _to_text, _instant
    if isinstance(hint, type) and issubclass(hint, Enum):
        return str, hint
    if hint is bool:
        return int, _flag
    if hint in _PLAIN:
        return None, _PLAIN[hint]
    if hint is Peer:
        return _peer_to_text, _peer
    return _to_json, _from_json(hint)


@lru_cache(maxsize=256)
def _to_text(instant: datetime) -> str:
    # The rows of a turn share a few instants, and formatting one costs a microsecond.
    return instant.isoformat()


def _to_json(value: Any) -> str:
    return "[]" if value == () else msgspec.json.encode(value).decode()


def _peer_to_text(peer: Peer) -> str:
    return f"{peer.uid} {peer.pid} {peer.user}".rstrip()


def _peer(item: Any) -> Peer:
    uid, pid, *user = _text(item).split(" ", 2)
    return Peer(int(uid), int(pid), *user)


def _text(item: Any) -> str:
    if type(item) is not str:
        raise TypeError(f"{item!r} is no text")
    return item


def _whole(item: Any) -> int:
    if type(item) is not int:
        raise TypeError(f"{item!r} is no whole number")
    return item


def _number(item: Any) -> float:
    if type(item) is not float and type(item) is not int:
        raise TypeError(f"{item!r} is no number")
    return item


def _flag(item: Any) -> bool:
    if item not in (0, 1):
        raise TypeError(f"{item!r} is neither 0 nor 1")
    return bool(item)


def _instant(item: Any) -> datetime:
    instant = datetime.fromisoformat(item)
    if instant.tzinfo is None:
        raise ValueError(f"{item!r} has no offset")
    return instant


def _json_object(item: Any) -> str:
    if not isinstance(msgspec.json.decode(item), dict):
        raise ValueError(f"{item[:40]!r} is no JSON object")
    return _text(item)


_PLAIN: dict[type, Convert] = {str: _text, int: _whole, float: _number}


@cache
def _from_json(hint: Any) -> Convert:
    decode = msgspec.json.Decoder(hint).decode
    return lambda text: () if text == "[]" else decode(text)


RUNS = _table(
    Run,
    "runs",
    "id",
    fixed=("job", "due", "slot", "trigger", "place", "batch", "opened_at", "on_host"),
)
ATTEMPTS = _table(Attempt, "attempts", "run", "number")
GAPS = _table(MissedRange, "gaps", "job", "since")
MARKS = _table(JobRecord, "jobs", "job")
INCIDENTS = _table(Incident, "incidents", "id")
OUTBOX = _table(Alert, "outbox", "id")
ACTIONS = _table(AuditEntry, "actions")
RELOADS = _table(ReloadEntry, "reloads")

TABLES: dict[type, Table] = {
    table.kind: table
    for table in (RUNS, ATTEMPTS, GAPS, MARKS, INCIDENTS, OUTBOX, ACTIONS, RELOADS)
}

# What the partial indexes of schema.sql are of: SQLite uses one only for the same words.
# Not IN: for that SQLite makes a table of the texts at each write, for each index.
OF_OPEN = "(state = 'pending' OR state = 'running' OR state = 'retrying')"
IN_VAIN = (
    "(state = 'failed' OR state = 'skipped' OR state = 'missed'"
    " OR state = 'cancelled' OR state = 'interrupted')"
)

# Open runs, and for each job the newest few and the newest success, oldest first.
# By look-ups in the indexes: it must not take longer the more runs there are.
TO_REMEMBER = RUNS.select(
    f"""WHERE id IN (
    WITH RECURSIVE names (job) AS (
        SELECT min(job) FROM runs
        UNION ALL
        SELECT (SELECT min(runs.job) FROM runs WHERE runs.job > names.job)
        FROM names WHERE names.job IS NOT NULL
    )
    SELECT newest.id FROM names JOIN runs AS newest ON newest.id IN (
        SELECT id FROM runs WHERE runs.job = names.job AND reason IS NOT 'overlap'
        ORDER BY id DESC LIMIT {MOST_RECENT}
    )
    UNION SELECT (
        SELECT max(id) FROM runs WHERE runs.job = names.job AND state = 'success'
    ) FROM names
    UNION SELECT id FROM runs WHERE {OF_OPEN}
) ORDER BY id"""
)
