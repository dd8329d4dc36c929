"""Copy rows from SQLite to PostgreSQL with COPY, and explain every refused value.

All rows pass through here, whole or as a hash. An error names table, key and column of the
value.
Invariant: memory does not grow with the number of rows. The same query returns the same
rows again within the snapshot, so that the refused row can be found by its position.
"""

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg
from psycopg.errors import ProgramLimitExceeded

from workers.replication import copy_format, row_encoding, row_limits, source, value_fit
from workers.replication.errors import ReplicationError, without_values
from workers.replication.row_encoding import Marks
from workers.replication.source import Scope
from workers.replication.tables import Affinity, MappedColumn, TablePair, key_text, listed
from workers.replication.target import Target
from workers.replication.value_fit import Misfit
from workers.sqlite_connection import text_of

# The column for a row's hash, added to those of the table.
HASH = "nightshift_hash"
# `Misfit.found` of a value that its type accepts but stores as another value.
LOSS = "loss"
REFUSED = "refused"
# PostgreSQL inserts at most this many rows of a COPY at once.
_PACKED_ROWS = 1000
_PLACE = re.compile(r"^COPY .*?, line (\d+)(?:, column (.*))?$", re.MULTILINE)


@dataclass(slots=True)
class Connections:
    """The two sides of a run, and its progress callback.

    widen: text columns take every storage class. advance: called with the number of rows.
    """

    source: sqlite3.Connection
    target: Target
    marks: Marks
    widen: bool
    advance: Callable[[int], None]


class MisfitError(ReplicationError):
    """A value that its column cannot hold: where it is, and how to let it pass."""

    def __init__(self, pair: TablePair, misfit: Misfit) -> None:
        typed = next(t for t in pair.columns if t.column.name == misfit.column)
        place = f"{misfit.table}.{typed.column.called}"
        if misfit.found == "null":
            what = "is NULL, which no key of PostgreSQL may be"
        elif misfit.found == LOSS:
            what = f"does not come back from {typed.type} as the same value"
        else:
            what = f"is {misfit.found}, which {typed.type} cannot hold exactly"
        key = key_text(misfit.key)
        self.reason = f"table {misfit.table}, key ({key}): column {typed.column.called} {what}"
        super().__init__(
            f"{self.reason}; {_advice(typed, place, misfit.found)}", column=misfit.column
        )
        self.pair, self.misfit = pair, misfit


def _advice(typed: MappedColumn, place: str, found: str) -> str:
    """Return the ways to let the row pass; only those that work."""
    if typed.column.key and found in ("null", LOSS, REFUSED):
        return "correct the value or exclude the table"
    if typed.type == "bytea" or (found == "blob" and typed.column.affinity is Affinity.TEXT):
        fitting = f"types: {{{place}: bytea}}"
    elif found == "blob" or typed.type == "text":
        fitting = f"types: {{{place}: text}} with on_misfit: escape"
    else:
        fitting = f"types: {{{place}: text}}"
    ways = [fitting, "exclude the table" if typed.column.key else f"exclude: [{place}]"]
    if not typed.column.wanted and found != REFUSED:
        ways.insert(1, "on_misfit: text, which widens it")
    return f"correct the value, or set {', or '.join(ways)}"


def refuse_misfits(between: Connections, pair: TablePair, scope: Scope) -> None:
    """Refuse the first value in `scope` that its column cannot hold.

    Raises:
        MisfitError: there is one; the message has its table, key and column.
    """
    found = value_fit.first_misfit(between.source, pair, scope, between.widen)
    if found is not None:
        raise MisfitError(pair, found)


def copy_rows(between: Connections, pair: TablePair, scope: Scope, into: str) -> int:
    """Copy whole rows of `scope` into the table with the quoted name `into`; return how many.

    Raises:
        ReplicationError: a value does not fit, or PostgreSQL refused it; the message names it.
    """
    # The check for misfits is part of the query, which saves a second scan.
    unfit = value_fit.unfit_sql_beside_array(pair, between.widen)
    row = copy_format.array_sql(pair.columns, between.widen)
    query = f"SELECT iif({unfit}, NULL, {row}) {source.from_wanted(pair, scope)}"
    try:
        # After a misfit the column may be retyped and everything sent again.
        with (
            between.target.savepoint(),
            closing(source.rows(between.source, query, scope.values or {})) as cursor,
        ):
            rows = _advancing(between, copy_format.whole_rows(cursor))
            return between.target.copy_in(copy_sql(into, pair.names), rows)
    except (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded) as error:
        raise _refused(between, pair, error, query, scope.values or {}) from None
    except sqlite3.DataError:
        raise _too_long(between, pair, scope) from None
    except (copy_format.UnfitValueError, sqlite3.OperationalError):
        refuse_misfits(between, pair, scope)
        raise


def copy_hashes(between: Connections, pair: TablePair, scope: Scope, into: str) -> int:
    """Copy key, cast columns and HASH of the rows of `scope`; return how many.

    Raises:
        ReplicationError: PostgreSQL refused a value; the message names it.
    """
    columns = (*pair.key, *row_encoding.cast_columns(pair))
    head = copy_format.array_sql(columns, between.widen)
    body = row_encoding.body_sql(pair, between.widen)
    query = f"SELECT {head}, {body} {source.from_wanted(pair, scope)}"
    values = {**between.marks.values, **(scope.values or {})}
    names = f"{listed(columns)}, {HASH}"
    try:
        with closing(source.rows(between.source, query, values)) as cursor:
            rows = _advancing(between, copy_format.hashed_rows(cursor, between.marks.salt))
            return between.target.copy_in(copy_sql(into, names), rows)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        pair = replace(pair, columns=columns, target=into)
        raise _refused(between, pair, error, query, values) from None


def copy_texts(between: Connections, pair: TablePair, scope: Scope, into: str) -> int:
    """Copy the columns of `pair` for the rows of `scope`, without a check; return how many.

    Raises:
        ReplicationError: PostgreSQL refused a value; the message names it.
    """
    row = copy_format.array_sql(pair.columns, between.widen)
    query = f"SELECT {row} {source.from_wanted(pair, scope)}"
    try:
        with closing(source.rows(between.source, query, scope.values or {})) as cursor:
            return between.target.copy_in(
                copy_sql(into, pair.names), copy_format.whole_rows(cursor)
            )
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _refused(between, pair, error, query, scope.values or {}) from None


def _refused(
    between: Connections,
    pair: TablePair,
    error: psycopg.Error,
    query: str,
    values: Mapping[str, object],
) -> ReplicationError:
    """Find the value that PostgreSQL refused, by the line number in its error context."""
    context = error.diag.context or ""
    place = _PLACE.search(context)
    primary = " ".join(str(error.diag.message_primary or error).split())
    if place is None:
        return ReplicationError(f"table {pair.table.name}: {primary}")
    # PostgreSQL counts line ends inside quotes, too: of the kind it has detected, CR until then.
    last, ending = 0, b"\r"
    seen: deque[bytes] = deque(maxlen=_PACKED_ROWS)
    with closing(source.rows(between.source, query, values)) as cursor:
        for row, *_ in cursor:
            seen.append(row)
            last += 1 + copy_format.line_of(row)[:-1].count(ending)
            if last >= int(place[1]):
                break
            ending = b"\n"
    fields = copy_format.fields_of(seen[-1])
    if isinstance(error, ProgramLimitExceeded) and not place[2]:
        # The error is about a batch of rows and has the line of the last one.
        fields = max(map(copy_format.fields_of, seen), key=_inline_bytes)
    return _misfit_error(pair, fields, place[2] or "", primary)


def _inline_bytes(fields: Sequence[bytes | None]) -> int:
    """Estimate the bytes of a row in its page; a long value counts as its TOAST pointer."""
    return sum(8 if len(value) < 8 else min(len(value) + 1, 18) for value in fields if value)


def _misfit_error(
    pair: TablePair, fields: Sequence[bytes | None], column: str, primary: str
) -> ReplicationError:
    by_name = dict(zip([t.column.name for t in pair.columns], fields, strict=True))
    bad = [name for name, value in by_name.items() if value and _unreadable(value)]
    named = [name for name in by_name if column.startswith((f"{name}:", f"{name},"))]
    name = (bad or sorted(named, key=len, reverse=True) or [""])[0]
    key = tuple(text_of(by_name[t.column.name] or b"") for t in pair.key)
    where = f"table {pair.table.name}, key ({key_text(key)})"
    typed = next((t for t in pair.columns if t.column.name == name), None)
    if typed is None:
        return ReplicationError(f"{where}: {without_values(primary)}; {row_limits.advice(pair)}")
    place = f"{pair.table.name}.{typed.column.called}"
    if bad:
        what = "a NUL" if b"\0" in (by_name[name] or b"") else "bytes that are not UTF-8"
        reason = f"holds {what}, which no {typed.type} of PostgreSQL can"
        advice = (
            f"set types: {{{place}: bytea}}, types: {{{place}: text}} with on_misfit: escape, or"
            f" {'exclude the table' if typed.column.key else f'exclude: [{place}]'}"
        )
    else:
        reason, advice = f"is refused: {without_values(primary)}", _advice(typed, place, REFUSED)
    return ReplicationError(
        f"{where}: column {typed.column.called} {reason}; {advice}", column=name
    )


def _too_long(between: Connections, pair: TablePair, scope: Scope) -> ReplicationError:
    """Return the error for a row that exceeds SQLite's own limit on the length of a text."""
    column, size, key = value_fit.longest(between.source, pair, scope)
    place = f"{pair.table.name}.{column.called}"
    return ReplicationError(
        f"table {pair.table.name}, key ({key_text(key)}): the row is too long to be sent, column"
        f" {column.called} alone has {size} bytes; exclude: [{place}], or the table",
        column="" if column.key else column.name,
    )


def _unreadable(value: bytes) -> bool:
    return b"\0" in value or isinstance(_decoded(value), bytes)


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _advancing(
    between: Connections, batches: Iterator[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    for count, batch in batches:
        between.advance(count)
        yield count, batch


def copy_sql(into: str, names: str) -> str:
    """Return the COPY statement that reads the lines of `copy_format`."""
    return f"COPY {into} ({names}) FROM STDIN {copy_format.OPTIONS}"
