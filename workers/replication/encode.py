"""What is sent of a value, and the text that two sides are compared by.

`sent` is a value in SQLite's words, as PostgreSQL shall read it. Rows are
compared by their columns' texts between marks, salted and hashed: `body_sql`
says it in SQLite's words, `hash_sql` in PostgreSQL's; ranges of rows by JSON
arrays, which are cheaper and may differ between the two. The law: what is sent
and what is hashed come from the same expression, except for reals (hashed by
their bits) and types that PostgreSQL reads its own way (compared there).
"""

import secrets
import sqlite3
import struct
from dataclasses import dataclass
from dataclasses import field as drawn

from workers.replication.shape import Affinity, Kind, Twin, Typed

# PostgreSQL takes at most 100 arguments in one call.
_ARGUMENTS = 50
# What SQLite writes of a real has 15 digits; these have all. Both names are ours alone.
_TEXT_OF_REAL = "nightshift_text"
_BITS_OF_REAL = "nightshift_bits"
_ESCAPED = "nightshift_escaped"


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands between texts and for NULL, in this run only.

    No value can hold what it cannot know. The salt makes equal hashes of
    different rows a matter of chance, whoever wrote the rows.
    """

    field: str = drawn(default_factory=lambda: "\x1f" + secrets.token_urlsafe(6))
    null: str = drawn(default_factory=lambda: "\x1d" + secrets.token_urlsafe(9))
    salt: str = drawn(default_factory=lambda: secrets.token_urlsafe(12))

    @property
    def values(self) -> dict[str, str]:
        """As parameters of a query."""
        return {"field": self.field, "null": self.null}


def teach(connection: sqlite3.Connection) -> None:
    """Give SQLite the functions that the expressions here call."""
    encoding = str(connection.execute("PRAGMA encoding").fetchone()[0])
    connection.create_function(
        _ESCAPED, 2, lambda kind, value: _escaped(kind, value, encoding), deterministic=True
    )
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
        case Kind.ESCAPED:
            return (
                f"CASE typeof({source}) WHEN 'real' THEN {_TEXT_OF_REAL}({source})"
                f" WHEN 'integer' THEN {source}"
                f" ELSE {_ESCAPED}(typeof({source}), CAST({source} AS BLOB)) END"
            )
        case Kind.EXACT:
            return _any_class(source) if widen and not _whole(typed.type) else source


def body_sql(twin: Twin, widen: bool) -> str:
    """What is hashed of a row in SQLite."""
    parts = [f"ifnull({_hashed(typed, widen)}, :null)" for typed in hashed_columns(twin)]
    # The empty text makes one of a single number, too.
    return _joined([*_between(parts), "''"])


def hash_sql(twin: Twin, marks: Marks, of: str = "") -> str:
    """The same text, salted and hashed, in PostgreSQL; the marks are literals.

    of: what stands before the columns' names, such as `t.`.
    """
    mark = _literal(marks.field)
    parts = [
        f"coalesce({_in_postgres(typed, of)}, {_literal(marks.null)})"
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
    """What is compared by its hash; the key, too, which PostgreSQL may take for another."""
    return tuple(typed for typed in twin.columns if typed.kind is not Kind.CAST)


def _hashed(typed: Typed, widen: bool) -> str:
    if typed.kind is Kind.REAL:
        return f"{_BITS_OF_REAL}({typed.column.source})"
    return sent(typed, widen)


def _in_postgres(typed: Typed, of: str = "") -> str:
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


def escaped(value: bytes) -> str:
    r"""The bytes of a text as a text of PostgreSQL: `\\` is a backslash, `\xNN` a byte.

    Only a NUL and what is not UTF-8 is written as a byte. To read it back:
    replace each `\xNN` and `\\` from the left, all else stands as it is.
    """
    doubled = value.replace(b"\\", rb"\\").replace(b"\0", rb"\x00")
    return doubled.decode("utf-8", errors="backslashreplace")


def _escaped(kind: str, value: bytes | None, encoding: str) -> str | None:
    if value is None:
        return None
    if kind == "blob":
        return rf"\b{value.hex()}"
    if encoding != "UTF-8":
        value = value.decode(encoding.lower(), "surrogatepass").encode(errors="surrogatepass")
    return escaped(value)


def _text(value: float | None) -> str | None:
    return None if value is None else repr(value)


def _bits(value: float | None) -> str | None:
    return None if value is None else struct.pack(">d", value).hex()
