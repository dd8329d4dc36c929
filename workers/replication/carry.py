"""Rows on their way: COPY from one side to the other, and what it refuses.

Here every row passes, whole or as a hash, and every value that does not fit
gets its name: table, key, column. The law: memory does not grow with the
rows, and a refusal names the very value, since the same query gives the same
rows again in a snapshot.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg

from workers.connection import text_of
from workers.replication import encode, fit, lines, source
from workers.replication.encode import Marks
from workers.replication.fit import Misfit
from workers.replication.shape import Twin, key_text, listed
from workers.replication.source import Scope
from workers.replication.target import Target
from workers.replication.trouble import Trouble, primary_of, shown

# The hash of a row, in a column beside those of a user.
HASH = "nightshift_hash"
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
        held = next(t.type for t in twin.columns if t.column.name == misfit.column)
        value = misfit.value
        if misfit.found == "text" and isinstance(value, bytes):
            value = value.decode(errors="replace")
        if misfit.found == "null":
            what = "is NULL, which no key of PostgreSQL may be"
        else:
            what = f"is {misfit.found}{shown(value)}, which {held} cannot hold exactly"
        super().__init__(
            f"table {misfit.table}, key ({key_text(misfit.key)}): column {misfit.column} {what};"
            f" name a type (types: {{{misfit.table}.{misfit.column}: ...}}), widen it"
            " (on_misfit: text) or exclude the table"
        )
        self.twin, self.misfit = twin, misfit


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
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _refused(between, twin, error, query, scope.values or {}) from None
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


def _refused(
    between: Between, twin: Twin, error: psycopg.Error, query: str, values: Mapping[str, object]
) -> Trouble:
    """The value that PostgreSQL refused: the same query gives the same rows in a snapshot."""
    context = error.diag.context or ""
    place = _PLACE.search(context)
    primary = primary_of(error)
    if place is None:
        return Trouble(f"table {twin.table.name}: {primary}")
    # PostgreSQL counts line ends in quotes, too: those of the kind it has seen, CR until then.
    last, ending = 0, b"\r"
    with closing(source.rows(between.source, query, values)) as cursor:
        for row, *_ in cursor:
            last += 1 + lines.line_of(row)[:-1].count(ending)
            if last >= int(place[1]):
                break
            ending = b"\n"
    return _told(twin, lines.fields_of(row), place[2] or "", primary)


def _told(twin: Twin, fields: Sequence[bytes | None], column: str, primary: str) -> Trouble:
    by_name = dict(zip([t.column.name for t in twin.columns], fields, strict=True))
    bad = [name for name, value in by_name.items() if value and _unreadable(value)]
    named = [name for name in by_name if column.startswith((f"{name}:", f"{name},"))]
    name = (bad or sorted(named, key=len, reverse=True) or [""])[0]
    key = tuple(text_of(by_name[t.column.name] or b"") for t in twin.key)
    value = by_name.get(name)
    told = "NULL" if value is None else f"a value{shown(_decoded(value))}"
    return Trouble(
        f"table {twin.table.name}, key ({key_text(key)}): column {name} is {told}: {primary};"
        " mend it, name a type (types:) or exclude the table"
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
