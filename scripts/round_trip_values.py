"""Compare a SQLite file and its replica value by value, without any code of the worker.

Every row of every ordinary table is read on both sides. Values are equal as numbers, texts
or bytes. A column that was widened to text holds its numbers as text, and its blobs as
PostgreSQL writes bytea (`\\x` and hexadecimal digits).
"""

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROW_NUMBER = "nightshift_rowid"
SHOWN = 200
BUILT_IN = {b"binary", b"nocase", b"rtrim"}


def difference(database: Path, dsn: str, schema: str) -> str:
    """Return "" if the replica holds exactly the rows of the file, else what is WRONG."""
    with psycopg.connect(dsn) as target:
        source = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
        source.text_factory = bytes
        _define_collations(source)
        try:
            for table, columns in tables(source).items():
                if found := _table_difference(source, target, schema, table, columns):
                    return f"WRONG: {table}: {found}"[:SHOWN]
        finally:
            source.close()
    return ""


def _define_collations(source: sqlite3.Connection) -> None:
    # A WITHOUT ROWID table whose key has an unknown collation cannot be read at all. A
    # whole read asks for no order, so it is enough that the collation has a name.
    statements = source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    for (statement,) in statements:
        for name in re.findall(rb"(?i)\bcollate\s+[\"'`\[]?(\w+)", statement):
            if name.lower() not in BUILT_IN:
                source.create_collation(
                    name.decode(), lambda one, other: (one > other) - (one < other)
                )


def tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the ordinary tables and their stored columns, by name."""
    found: dict[str, list[str]] = {}
    for schema, name, kind, *_ in connection.execute("PRAGMA table_list").fetchall():
        text = name.decode("utf-8", "surrogateescape")
        if schema != b"main" or kind != b"table" or text.startswith(("sqlite_", "nightshift_")):
            continue
        columns = connection.execute(f"PRAGMA table_xinfo({quoted(text)})").fetchall()
        # hidden is 0 for a plain column, 1 for a hidden one, 2 or 3 for a generated one
        found[text] = [row[1].decode("utf-8", "surrogateescape") for row in columns if row[6] != 1]
    return found


def quoted(name: str) -> str:
    """Return the name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _table_difference(
    source: sqlite3.Connection,
    target: psycopg.Connection[Any],
    schema: str,
    table: str,
    columns: Sequence[str],
) -> str:
    types = _column_types(target, schema, table)
    missing = [column for column in columns if column not in types]
    if not types or missing:
        return f"not in the replica: {', '.join(missing) or 'the table'}"
    listed = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    query = sql.SQL("SELECT {} FROM {}").format(listed, sql.Identifier(schema, table))
    theirs = Counter(
        tuple(_of_target(value, types[name]) for value, name in zip(row, columns, strict=True))
        for row in target.execute(query)
    )
    ours = Counter(
        tuple(_of_source(*pair, types[name]) for pair, name in zip(row, columns, strict=True))
        for row in _source_rows(source, table, columns)
    )
    if ours == theirs:
        return ""
    lost, extra = (ours - theirs).total(), (theirs - ours).total()
    example = next(iter((ours - theirs) or (theirs - ours)))
    return f"{lost} rows missing or changed, {extra} not of the source, such as {example!r}"


def _column_types(target: psycopg.Connection[Any], schema: str, table: str) -> dict[str, str]:
    query = (
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s"
    )
    return dict(target.execute(query, (schema, table)).fetchall())


def _source_rows(
    source: sqlite3.Connection, table: str, columns: Sequence[str]
) -> Iterator[list[tuple[bytes, Any]]]:
    """Yield rows as pairs of (storage class, value), read without any index."""
    pairs = ", ".join(f"typeof({quoted(name)}), {quoted(name)}" for name in columns)
    for row in source.execute(f"SELECT {pairs} FROM {quoted(table)} NOT INDEXED"):
        yield list(zip(row[::2], row[1::2], strict=True))


def _of_source(kind: bytes, value: Any, wanted: str) -> object:
    """Return the value as the replica's column should return it."""
    if kind == b"null":
        return None
    if wanted == "text":
        if kind == b"blob":
            return "\\x" + value.hex()
        text = value if kind == b"text" else str(value).encode()
        return _number_or_text(text)
    if kind in (b"integer", b"real"):
        return float(value) if wanted in ("double precision", "real") else value
    return bytes(value)


def _of_target(value: Any, kind: str) -> object:
    if isinstance(value, str):
        if kind == "text" and value.startswith("\\x"):
            return value
        return _number_or_text(value.encode())
    return bytes(value) if isinstance(value, memoryview) else value


def _number_or_text(text: bytes) -> object:
    """Return a float for the text of a number, because 1e3 and 1000.0 are the same value."""
    try:
        number = float(text) if text.strip() == text and b"_" not in text else math.nan
    except ValueError:
        return text
    # A NaN, which is not equal to itself, is compared as its text.
    return text if math.isnan(number) else number
