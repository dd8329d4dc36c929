"""One row as one text, the same on both sides; and many rows as COPY bytes.

SQLite puts a row together itself (`row_sql`): its columns as text, between
marks that are drawn afresh for each run. Escaping is then six replacements
over a whole batch, and the same text, salted and hashed, is what two sides
are compared by: `hash_sql` says it in PostgreSQL's words. The law: what is
sent and what is hashed come from the same expression, except for reals
(hashed by their bits) and types that PostgreSQL reads its own way (compared
there). Refused: `csv`, which takes three times as long for each row.
"""

import hashlib
import secrets
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from dataclasses import field as drawn

from workers.replication.shape import Affinity, Kind, Twin, Typed
from workers.replication.trouble import Trouble

_BATCH_BYTES = 128 * 1024
# PostgreSQL takes at most 100 arguments in one call.
_ARGUMENTS = 50
# What SQLite writes of a real has 15 digits; these have all. Both names are ours alone.
_TEXT_OF_REAL = "nightshift_text"
_BITS_OF_REAL = "nightshift_bits"


class Ambiguous(Trouble):
    """A value holds a mark; with drawn marks, once in the age of the world."""


class Unfit(Trouble):
    """A row holds a value that its column cannot; which one is to be looked up."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands between fields, after rows and for NULL, in this run only.

    No value can hold what it cannot know. The salt makes equal hashes of
    different rows a matter of chance, whoever wrote the rows.
    """

    field: str = drawn(default_factory=lambda: "\x1f" + secrets.token_urlsafe(6))
    row: str = drawn(default_factory=lambda: "\x1e" + secrets.token_urlsafe(6))
    null: str = drawn(default_factory=lambda: "\x1d" + secrets.token_urlsafe(9))
    salt: str = drawn(default_factory=lambda: secrets.token_urlsafe(12))

    @property
    def short(self) -> "Marks":
        """Marks of one byte, a third faster to replace, which a value may hold."""
        return replace(self, field="\x1f", row="\x1e")

    @property
    def values(self) -> dict[str, str]:
        """As parameters of a query."""
        return {"field": self.field, "row": self.row, "null": self.null}


def teach(connection: sqlite3.Connection) -> None:
    """Give SQLite the functions that the expressions here call."""
    connection.create_function(_TEXT_OF_REAL, 1, _text, deterministic=True)
    connection.create_function(_BITS_OF_REAL, 1, _bits, deterministic=True)


def sent(typed: Typed, widen: bool) -> str:
    """The SQLite expression whose text goes to PostgreSQL; NULL stays NULL.

    widen: a text column takes any class, as text.
    """
    source = typed.column.source
    match typed.kind:
        case Kind.REAL:
            return f"{_TEXT_OF_REAL}({source})"
        case Kind.BYTES:
            return rf"'\x'||lower(hex({source}))".join(_unless_null(source))
        case Kind.CAST:
            return _any_class(source)
        case Kind.EXACT:
            return _any_class(source) if widen and not _whole(typed.type) else source


def row_sql(columns: Iterable[Typed], widen: bool, ending: str = ":row") -> str:
    """A whole row as one text, with marks."""
    parts = [f"ifnull({sent(typed, widen)}, :null)" for typed in columns]
    return _joined([*_between(parts), ending])


def head_sql(twin: Twin, widen: bool) -> str:
    """Key and cast columns as a row that lacks its last field, the hash."""
    columns = (*twin.key, *cast_columns(twin))
    parts = [f"ifnull({sent(typed, widen)}, :null)" for typed in columns]
    return _joined([part for pair in parts for part in (pair, ":field")])


def body_sql(twin: Twin, widen: bool) -> str:
    """What is hashed of a row in SQLite."""
    parts = [f"ifnull({_hashed(typed, widen)}, :null)" for typed in hashed_columns(twin)]
    # The empty text makes one of a single number, too.
    return _joined([*_between(parts), "''"])


def hash_sql(twin: Twin, marks: Marks) -> str:
    """The same text, salted and hashed, in PostgreSQL; the marks are literals."""
    mark = _literal(marks.field)
    parts = [
        f"coalesce({_in_postgres(typed)}, {_literal(marks.null)})"
        for typed in hashed_columns(twin)
    ]
    while len(parts) > _ARGUMENTS:
        parts = [
            f"concat_ws({mark}, {', '.join(parts[place : place + _ARGUMENTS])})"
            for place in range(0, len(parts), _ARGUMENTS)
        ]
    body = f"concat_ws({mark}, {', '.join(parts)})" if parts else "''"
    return f"md5(concat({_literal(marks.salt)}, {body}))::uuid"


def json_sql(twin: Twin, widen: bool) -> str:
    """A whole row as JSON arrays of texts, in SQLite, which refuses to put a blob there."""
    parts = [
        _hashed(typed, widen)
        if typed.column.affinity is Affinity.TEXT
        else f"CAST({_hashed(typed, widen)} AS TEXT)"
        for typed in twin.columns
    ]
    return "||".join(
        f"json_array({', '.join(parts[place : place + _ARGUMENTS])})"
        for place in range(0, len(parts), _ARGUMENTS)
    )


def json_in_postgres(twin: Twin) -> str:
    """The same text in PostgreSQL."""
    parts = [_in_postgres(typed) for typed in twin.columns]
    return " || ".join(
        f"array_to_json(ARRAY[{', '.join(parts[place : place + _ARGUMENTS])}]::text[])::text"
        for place in range(0, len(parts), _ARGUMENTS)
    )


def cast_columns(twin: Twin) -> tuple[Typed, ...]:
    """What is compared by PostgreSQL after it has read it."""
    return tuple(typed for typed in twin.rest if typed.kind is Kind.CAST)


def hashed_columns(twin: Twin) -> tuple[Typed, ...]:
    """What is compared by its hash."""
    return tuple(typed for typed in twin.rest if typed.kind is not Kind.CAST)


def whole_rows(
    cursor: Iterable[tuple[bytes, int]], fields: int, marks: Marks
) -> Iterator[tuple[int, bytes]]:
    """(rows, COPY bytes) in batches, of `row_sql` with so many fields, and a word on each row.

    Raises:
        Unfit: at the first row whose second value is true.
    """
    batch: list[bytes] = []
    size = 0
    for row, unfit in cursor:
        if unfit:
            raise Unfit("a value does not fit its column")
        batch.append(row)
        size += len(row)
        if size > _BATCH_BYTES:
            yield len(batch), escaped(batch, fields, marks)
            batch, size = [], 0
    if batch:
        yield len(batch), escaped(batch, fields, marks)


def hashed_rows(
    cursor: Iterable[tuple[bytes, bytes]], fields: int, marks: Marks
) -> Iterator[tuple[int, bytes]]:
    """(rows, COPY bytes) in batches, of `head_sql` and `body_sql`."""
    # Nobody who could look for two texts with one hash knows the salt beforehand.
    salted = hashlib.md5(marks.salt.encode(), usedforsecurity=False)
    end = marks.row.encode()
    batch: list[bytes] = []
    size = 0
    for head, body in cursor:
        digest = salted.copy()
        digest.update(body)
        row = head + digest.hexdigest().encode() + end
        batch.append(row)
        size += len(row)
        if size > _BATCH_BYTES:
            yield len(batch), escaped(batch, fields, marks)
            batch, size = [], 0
    if batch:
        yield len(batch), escaped(batch, fields, marks)


def escaped(rows: list[bytes], fields: int, marks: Marks) -> bytes:
    """Rows with marks -> lines of COPY's text format.

    Raises:
        Ambiguous: a value holds a mark.
    """
    text = b"".join(rows)
    field_mark, row_mark = marks.field.encode(), marks.row.encode()
    if text.count(row_mark) != len(rows) or text.count(field_mark) != len(rows) * (fields - 1):
        raise Ambiguous("a value holds a mark of this run", permanent=False)
    for plain, written in ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\t", b"\\t")):
        text = text.replace(plain, written)
    return text.replace(field_mark, b"\t").replace(row_mark, b"\n")


def copy_options(marks: Marks) -> str:
    """What COPY has to know to read such lines."""
    return f"(FORMAT text, NULL {_literal(marks.null)})"


def _hashed(typed: Typed, widen: bool) -> str:
    if typed.kind is Kind.REAL:
        return f"{_BITS_OF_REAL}({typed.column.source})"
    return sent(typed, widen)


def _in_postgres(typed: Typed) -> str:
    match typed.kind:
        case Kind.REAL:
            return f"encode(float8send({typed.name}), 'hex')"
        case Kind.BYTES:
            return rf"'\x' || encode({typed.name}, 'hex')"
        case _:
            return f"{typed.name}::text"


def _any_class(source: str) -> str:
    blob = r"'\x'||lower(hex(" + source + "))"
    return (
        f"CASE typeof({source}) WHEN 'real' THEN {_TEXT_OF_REAL}({source})"
        f" WHEN 'blob' THEN {blob} ELSE {source} END"
    )


def _unless_null(source: str) -> tuple[str, str]:
    # hex(NULL) is an empty text.
    return f"CASE WHEN {source} IS NOT NULL THEN ", " END"


def _whole(postgres_type: str) -> bool:
    return postgres_type in ("smallint", "integer", "bigint")


def _between(parts: list[str]) -> list[str]:
    return [each for part in parts for each in (part, ":field")][:-1]


def _joined(parts: list[str]) -> str:
    """A balanced `||`: SQLite refuses expressions that are a thousand deep."""
    if len(parts) <= _ARGUMENTS:
        return "||".join(parts)
    middle = len(parts) // 2
    return f"({_joined(parts[:middle])})||({_joined(parts[middle:])})"


def _literal(text: str) -> str:
    # Marks hold letters, digits, - and _, after one control character.
    return f"'{text}'"


def _text(value: float | None) -> str | None:
    return None if value is None else repr(value)


def _bits(value: float | None) -> str | None:
    return None if value is None else struct.pack(">d", value).hex()
