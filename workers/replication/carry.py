"""Rows on their way: COPY from one side to the other, and what it refuses.

Here every row passes, whole or as a hash, and every value that does not fit
gets its name: table, key, column. The law: memory does not grow with the
rows, and a refusal names the very value, since the same query gives the same
rows again in a snapshot.
"""

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg
from psycopg.errors import ProgramLimitExceeded

from workers.connection import text_of
from workers.replication import encode, fit, limits, lines, source
from workers.replication.encode import Marks
from workers.replication.fit import Misfit
from workers.replication.shape import Affinity, Twin, Typed, key_text, listed
from workers.replication.source import Scope
from workers.replication.target import Target
from workers.replication.trouble import Trouble, without_values

# The hash of a row, in a column beside those of a user.
HASH = "nightshift_hash"
# What is found of a value that its type takes and keeps as another one.
LOSS = "loss"
REFUSED = "refused"
# So many rows PostgreSQL writes at once, at most.
_PACKED_ROWS = 1000
_PLACE = re.compile(r"^COPY .*?, line (\d+)(?:, column (.*))?$", re.MULTILINE)


@dataclass(slots=True)
class Between:
    """The two sides of one run, and what it says while it works.

    widen: text columns take every class. advance: told how many rows went by.
    """

    source: sqlite3.Connection
    target: Target
    marks: Marks
    widen: bool
    advance: Callable[[int], None]


class MisfitFound(Trouble):
    """A value that its column cannot hold; where it is, and what would pass."""

    def __init__(self, twin: Twin, misfit: Misfit) -> None:
        typed = next(t for t in twin.columns if t.column.name == misfit.column)
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
        self.twin, self.misfit = twin, misfit


def _advice(typed: Typed, place: str, found: str) -> str:
    """What lets the row through; only what works."""
    if typed.column.key and found in ("null", LOSS, REFUSED):
        return "mend the value or exclude the table"
    if typed.type == "bytea" or (found == "blob" and typed.column.affinity is Affinity.TEXT):
        fitting = f"types: {{{place}: bytea}}"
    elif found == "blob" or typed.type == "text":
        fitting = f"types: {{{place}: text}} with on_misfit: escape"
    else:
        fitting = f"types: {{{place}: text}}"
    ways = [fitting, "exclude the table" if typed.column.key else f"exclude: [{place}]"]
    if not typed.column.wanted and found != REFUSED:
        ways.insert(1, "on_misfit: text, which widens it")
    return f"mend the value, or set {', or '.join(ways)}"


def refuse_misfits(between: Between, twin: Twin, scope: Scope) -> None:
    """Nothing, if every value in `scope` can be held by its column.

    Raises:
        Trouble: the first that cannot, with table, key, column and value.
    """
    found = fit.first_misfit(between.source, twin, scope, between.widen)
    if found is not None:
        raise MisfitFound(twin, found)


def copy_rows(between: Between, twin: Twin, scope: Scope, into: str) -> int:
    """Whole rows of `scope` into the table written `into`; how many.

    Raises:
        Trouble: a value does not fit, or PostgreSQL refused it; which one.
    """
    # Whether all fits is asked on the way, by which a second look at every row is saved.
    unfit = fit.unfit_sql_beside_array(twin, between.widen)
    row = lines.array_sql(twin.columns, between.widen)
    query = f"SELECT iif({unfit}, NULL, {row}) {source.from_wanted(twin, scope)}"
    try:
        # What does not fit may get another column, after which all is sent again.
        with (
            between.target.savepoint(),
            closing(source.rows(between.source, query, scope.values or {})) as cursor,
        ):
            told = _advancing(between, lines.whole_rows(cursor))
            return between.target.copy_in(copy_sql(into, twin.names), told)
    except (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded) as error:
        raise _refused(between, twin, error, query, scope.values or {}) from None
    except sqlite3.DataError:
        raise _too_long(between, twin, scope) from None
    except (lines.Unfit, sqlite3.OperationalError):
        refuse_misfits(between, twin, scope)
        raise


def copy_hashes(between: Between, twin: Twin, scope: Scope, into: str) -> int:
    """Key, cast columns and HASH of the rows of `scope`; how many.

    Raises:
        Trouble: PostgreSQL refused a value; which one.
    """
    columns = (*twin.key, *encode.cast_columns(twin))
    head = lines.array_sql(columns, between.widen)
    body = encode.body_sql(twin, between.widen)
    query = f"SELECT {head}, {body} {source.from_wanted(twin, scope)}"
    values = {**between.marks.values, **(scope.values or {})}
    names = f"{listed(columns)}, {HASH}"
    try:
        with closing(source.rows(between.source, query, values)) as cursor:
            told = _advancing(between, lines.hashed_rows(cursor, between.marks.salt))
            return between.target.copy_in(copy_sql(into, names), told)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        twin = replace(twin, columns=columns, target=into)
        raise _refused(between, twin, error, query, values) from None


def copy_texts(between: Between, twin: Twin, scope: Scope, into: str) -> int:
    """The columns of `twin` of the rows of `scope`, as they are; how many.

    Raises:
        Trouble: PostgreSQL refused a value; which one.
    """
    row = lines.array_sql(twin.columns, between.widen)
    query = f"SELECT {row} {source.from_wanted(twin, scope)}"
    try:
        with closing(source.rows(between.source, query, scope.values or {})) as cursor:
            return between.target.copy_in(copy_sql(into, twin.names), lines.whole_rows(cursor))
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _refused(between, twin, error, query, scope.values or {}) from None


def _refused(
    between: Between, twin: Twin, error: psycopg.Error, query: str, values: Mapping[str, object]
) -> Trouble:
    """The value that PostgreSQL refused: the same query gives the same rows in a snapshot."""
    context = error.diag.context or ""
    place = _PLACE.search(context)
    primary = " ".join(str(error.diag.message_primary or error).split())
    if place is None:
        return Trouble(f"table {twin.table.name}: {primary}")
    # PostgreSQL counts line ends in quotes, too: those of the kind it has seen, CR until then.
    last, ending = 0, b"\r"
    seen: deque[bytes] = deque(maxlen=_PACKED_ROWS)
    with closing(source.rows(between.source, query, values)) as cursor:
        for row, *_ in cursor:
            seen.append(row)
            last += 1 + lines.line_of(row)[:-1].count(ending)
            if last >= int(place[1]):
                break
            ending = b"\n"
    fields = lines.fields_of(seen[-1])
    if isinstance(error, ProgramLimitExceeded) and not place[2]:
        # Said of a whole pack of rows, with the line of the last.
        fields = max(map(lines.fields_of, seen), key=_inline_bytes)
    return _told(twin, fields, place[2] or "", primary)


def _inline_bytes(fields: Sequence[bytes | None]) -> int:
    """About what a row takes in its page: of a long value only where it lies."""
    return sum(8 if len(value) < 8 else min(len(value) + 1, 18) for value in fields if value)


def _told(twin: Twin, fields: Sequence[bytes | None], column: str, primary: str) -> Trouble:
    by_name = dict(zip([t.column.name for t in twin.columns], fields, strict=True))
    bad = [name for name, value in by_name.items() if value and _unreadable(value)]
    named = [name for name in by_name if column.startswith((f"{name}:", f"{name},"))]
    name = (bad or sorted(named, key=len, reverse=True) or [""])[0]
    key = tuple(text_of(by_name[t.column.name] or b"") for t in twin.key)
    where = f"table {twin.table.name}, key ({key_text(key)})"
    typed = next((t for t in twin.columns if t.column.name == name), None)
    if typed is None:
        return Trouble(f"{where}: {without_values(primary)}; {limits.advice(twin)}")
    place = f"{twin.table.name}.{typed.column.called}"
    if bad:
        what = "a NUL" if b"\0" in (by_name[name] or b"") else "bytes that are not UTF-8"
        reason = f"holds {what}, which no {typed.type} of PostgreSQL can"
        advice = (
            f"set types: {{{place}: bytea}}, types: {{{place}: text}} with on_misfit: escape, or"
            f" {'exclude the table' if typed.column.key else f'exclude: [{place}]'}"
        )
    else:
        reason, advice = f"is refused: {without_values(primary)}", _advice(typed, place, REFUSED)
    return Trouble(f"{where}: column {typed.column.called} {reason}; {advice}", column=name)


def _too_long(between: Between, twin: Twin, scope: Scope) -> Trouble:
    """The row of which SQLite itself cannot make a text."""
    column, size, key = fit.longest(between.source, twin, scope)
    place = f"{twin.table.name}.{column.called}"
    return Trouble(
        f"table {twin.table.name}, key ({key_text(key)}): the row is too long to be sent, column"
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
    between: Between, batches: Iterator[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    for count, batch in batches:
        between.advance(count)
        yield count, batch


def copy_sql(into: str, names: str) -> str:
    """The COPY statement that reads our lines."""
    return f"COPY {into} ({names}) FROM STDIN {lines.OPTIONS}"
