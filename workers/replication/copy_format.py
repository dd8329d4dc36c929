"""Rows on their way: JSON arrays of SQLite, written as the CSV that COPY reads.

SQLite puts a row together itself, which costs half of `||` and a third of
Python's `csv`. Its JSON is CSV already, with `\\` as the escape, as long as no
text holds a control character; where one does, its escape is undone. NULL is a
bare `null`, which no text is, since texts stand in quotes. The law: whatever
lies in SQLite, NUL and broken UTF-8 too, goes on as it lies there, and is for
PostgreSQL to refuse.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from workers.replication.errors import ReplicationError
from workers.replication.row_encoding import sent
from workers.replication.tables import MappedColumn

# What COPY has to know to read such lines.
OPTIONS = r"(FORMAT csv, NULL 'null', ESCAPE '\')"
_BATCH_BYTES = 128 * 1024
# SQLite takes at most 127 arguments in one call.
_ARGUMENTS = 100
# An escape of JSON that is none of this CSV; or an escaped backslash and a letter.
_DOUBTFUL = re.compile(rb"\\[bfnrtu]")
_NUMBERED = re.compile(rb"\\u([0-9a-fA-F]{4})")
_ESCAPES = ((rb"\n", b"\n"), (rb"\r", b"\r"), (rb"\t", b"\t"), (rb"\b", b"\b"), (rb"\f", b"\f"))


class UnfitValueError(ReplicationError):
    """A row holds a value that its column cannot; which one is to be looked up."""


def array_sql(columns: Sequence[MappedColumn], widen: bool) -> str:
    """A whole row as one JSON array; SQLite refuses to put a blob there.

    widen: a text column takes any class, as text.
    """
    parts = [sent(typed, widen) for typed in columns]
    arrays = [
        f"json_array({', '.join(parts[place : place + _ARGUMENTS])})"
        for place in range(0, len(parts), _ARGUMENTS)
    ]
    if len(arrays) == 1:
        return arrays[0]
    inner = "||','||".join(f"trim({array}, '[]')" for array in arrays)
    return f"'['||{inner}||']'"


def whole_rows(cursor: Iterable[tuple[bytes | None]]) -> Iterator[tuple[int, bytes]]:
    """(rows, COPY bytes) in batches, of `array_sql`.

    Raises:
        Unfit: at the first NULL, which a query gives for a row it was told to refuse.
    """
    return _batches(_whole(cursor))


def hashed_rows(cursor: Iterable[tuple[bytes, bytes]], salt: str) -> Iterator[tuple[int, bytes]]:
    """(rows, COPY bytes) in batches, of `array_sql` and a text, whose hash comes last."""
    return _batches(_hashed(cursor, salt))


def line_of(row: bytes) -> bytes:
    """A row of `array_sql` as it is sent; a text may spread it over several lines."""
    return _written([row])


def fields_of(row: bytes) -> list[bytes | None]:
    """The values in a row of `array_sql`, as they lie in SQLite; None is NULL."""
    values = json.loads(row.decode(errors="surrogateescape"))
    return [
        None if value is None else str(value).encode(errors="surrogateescape") for value in values
    ]


def _whole(cursor: Iterable[tuple[bytes | None]]) -> Iterator[bytes]:
    for (row,) in cursor:
        if row is None:
            raise UnfitValueError("a value does not fit its column")
        yield row


def _hashed(cursor: Iterable[tuple[bytes, bytes]], salt: str) -> Iterator[bytes]:
    # Nobody who could look for two texts with one hash knows the salt beforehand.
    salted = hashlib.md5(salt.encode(), usedforsecurity=False)
    for row, body in cursor:
        digest = salted.copy()
        digest.update(body)
        yield b'%b,"%b"]' % (row[:-1], digest.hexdigest().encode())


def _batches(rows: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    batch: list[bytes] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row)
        if size > _BATCH_BYTES:
            yield len(batch), _written(batch)
            batch, size = [], 0
    if batch:
        yield len(batch), _written(batch)


def _written(rows: Sequence[bytes]) -> bytes:
    text = b"\n".join([row[1:-1] for row in rows]) + b"\n"
    if _DOUBTFUL.search(text) is None:
        return text
    # Between escaped backslashes every backslash begins an escape of its own.
    return rb"\\".join(_undone(part) for part in text.split(rb"\\"))


def _undone(text: bytes) -> bytes:
    if _DOUBTFUL.search(text) is None:
        return text
    for escape, plain in _ESCAPES:
        text = text.replace(escape, plain)
    return _NUMBERED.sub(lambda found: chr(int(found[1], 16)).encode(), text)
