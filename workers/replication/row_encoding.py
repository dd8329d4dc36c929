"""The form in which values are sent, and the text by which rows are compared.

`sent` is the SQLite expression of a value for PostgreSQL. To compare rows, their columns'
texts are joined with marks, salted and hashed: `body_sql` in SQLite, `hash_sql` in
PostgreSQL. Ranges of rows are compared by JSON arrays, which are cheaper and may differ
between the two sides.
Invariant: sent and hashed values come from the same expression, except for reals (hashed by
their bits) and types that PostgreSQL parses (compared there).
"""

import secrets
import sqlite3
import struct
from dataclasses import dataclass
from dataclasses import field as drawn

from workers.replication.tables import Affinity, Kind, MappedColumn, TablePair
from workers.sqlite_connection import as_utf8, text_encoding

# PostgreSQL takes at most 100 arguments in one call.
_ARGUMENTS = 50
# SQLite writes a real with 15 digits; these functions keep all. Their names are our own.
_TEXT_OF_REAL = "nightshift_text"
_BITS_OF_REAL = "nightshift_bits"
_ESCAPED = "nightshift_escaped"


@dataclass(frozen=True, slots=True)
class Marks:
    """The field separator, the mark for NULL and the salt, random for each run.

    No value can contain marks that are not known beforehand. With the salt, equal hashes of
    different rows are a matter of chance, even if an attacker wrote the rows.
    """

    field: str = drawn(default_factory=lambda: "\x1f" + secrets.token_urlsafe(6))
    null: str = drawn(default_factory=lambda: "\x1d" + secrets.token_urlsafe(9))
    salt: str = drawn(default_factory=lambda: secrets.token_urlsafe(12))

    @property
    def values(self) -> dict[str, str]:
        """Return the marks as query parameters."""
        return {"field": self.field, "null": self.null}


def register_functions(connection: sqlite3.Connection) -> None:
    """Register the SQLite functions that the expressions here call."""
    encoding = text_encoding(connection)
    connection.create_function(
        _ESCAPED, 2, lambda kind, value: _escaped(kind, value, encoding), deterministic=True
    )
    connection.create_function(_TEXT_OF_REAL, 1, _text, deterministic=True)
    connection.create_function(_BITS_OF_REAL, 1, _bits, deterministic=True)


def sent(typed: MappedColumn, widen: bool) -> str:
    """Return the SQLite expression whose text is sent to PostgreSQL; NULL stays NULL.

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
        case Kind.ESCAPED:
            return (
                f"CASE typeof({source}) WHEN 'real' THEN {_TEXT_OF_REAL}({source})"
                f" WHEN 'integer' THEN {source}"
                f" ELSE {_ESCAPED}(typeof({source}), CAST({source} AS BLOB)) END"
            )
        case Kind.EXACT:
            return _any_class(source) if widen and not _whole(typed.type) else source


def body_sql(pair: TablePair, widen: bool) -> str:
    """Return the SQLite expression for the text of a row that is hashed."""
    parts = [f"ifnull({_hashed(typed, widen)}, :null)" for typed in hashed_columns(pair)]
    # The empty text turns a single number into a text, too.
    return _joined([*_between(parts), "''"])


def hash_sql(pair: TablePair, marks: Marks, of: str = "") -> str:
    """Return the PostgreSQL expression for a row's hash; the marks are literals.

    of: prefix of the column names, such as `t.`.
    """
    mark = _literal(marks.field)
    parts = [
        f"coalesce({_in_postgres(typed, of)}, {_literal(marks.null)})"
        for typed in hashed_columns(pair)
    ]
    while len(parts) > _ARGUMENTS:
        parts = [
            f"concat_ws({mark}, {', '.join(parts[place : place + _ARGUMENTS])})"
            for place in range(0, len(parts), _ARGUMENTS)
        ]
    body = f"concat_ws({mark}, {', '.join(parts)})" if parts else "''"
    return f"md5(concat({_literal(marks.salt)}, {body}))::uuid"


def json_sql(pair: TablePair, widen: bool) -> str:
    """Return the SQLite expression of a row as JSON arrays of texts; it fails for blobs."""
    parts = [
        _hashed(typed, widen)
        if typed.column.affinity is Affinity.TEXT
        else f"CAST({_hashed(typed, widen)} AS TEXT)"
        for typed in pair.columns
    ]
    return "||".join(
        f"json_array({', '.join(parts[place : place + _ARGUMENTS])})"
        for place in range(0, len(parts), _ARGUMENTS)
    )


def json_in_postgres(pair: TablePair) -> str:
    """Return the PostgreSQL expression for the same text as `json_sql`."""
    parts = [_in_postgres(typed) for typed in pair.columns]
    return " || ".join(
        f"array_to_json(ARRAY[{', '.join(parts[place : place + _ARGUMENTS])}]::text[])::text"
        for place in range(0, len(parts), _ARGUMENTS)
    )


def cast_columns(pair: TablePair) -> tuple[MappedColumn, ...]:
    """Return the columns that are compared in PostgreSQL after it has parsed them."""
    return tuple(typed for typed in pair.rest if typed.kind is Kind.CAST)


def hashed_columns(pair: TablePair) -> tuple[MappedColumn, ...]:
    """Return the columns that are compared by hash; the key too, as PostgreSQL may change it."""
    return tuple(typed for typed in pair.columns if typed.kind is not Kind.CAST)


def _hashed(typed: MappedColumn, widen: bool) -> str:
    if typed.kind is Kind.REAL:
        return f"{_BITS_OF_REAL}({typed.column.source})"
    return sent(typed, widen)


def _in_postgres(typed: MappedColumn, of: str = "") -> str:
    match typed.kind:
        case Kind.REAL:
            return f"encode(float8send({of}{typed.name}), 'hex')"
        case Kind.BYTES:
            return rf"'\x' || encode({of}{typed.name}, 'hex')"
        case _:
            return f"{of}{typed.name}::text"


def _any_class(source: str) -> str:
    blob = r"'\x'||lower(hex(" + source + "))"
    return (
        f"CASE typeof({source}) WHEN 'real' THEN {_TEXT_OF_REAL}({source})"
        f" WHEN 'blob' THEN {blob} ELSE {source} END"
    )


def _unless_null(source: str) -> tuple[str, str]:
    # hex(NULL) is an empty text, not NULL.
    return f"CASE WHEN {source} IS NOT NULL THEN ", " END"


def _whole(postgres_type: str) -> bool:
    return postgres_type in ("smallint", "integer", "bigint")


def _between(parts: list[str]) -> list[str]:
    return [each for part in parts for each in (part, ":field")][:-1]


def _joined(parts: list[str]) -> str:
    """Return a balanced `||`, because SQLite refuses expressions of depth 1000."""
    if len(parts) <= _ARGUMENTS:
        return "||".join(parts)
    middle = len(parts) // 2
    return f"({_joined(parts[:middle])})||({_joined(parts[middle:])})"


def _literal(text: str) -> str:
    # Marks consist of one control character, then letters, digits, - and _.
    return f"'{text}'"


def escaped(value: bytes) -> str:
    r"""Return the bytes of a text as PostgreSQL text: `\\` for a backslash, `\xNN` for a byte.

    Only a NUL and bytes that are not UTF-8 are written as `\xNN`. To decode, replace each
    `\xNN` and `\\` from the left; everything else is literal.
    """
    doubled = value.replace(b"\\", rb"\\").replace(b"\0", rb"\x00")
    return doubled.decode("utf-8", errors="backslashreplace")


def _escaped(kind: str, value: bytes | None, encoding: str) -> str | None:
    if value is None:
        return None
    if kind == "blob":
        return rf"\b{value.hex()}"
    return escaped(as_utf8(value, encoding))


def _text(value: float | None) -> str | None:
    return None if value is None else repr(value)


def _bits(value: float | None) -> str | None:
    return None if value is None else struct.pack(">d", value).hex()
