"""The format of rows for COPY: JSON arrays from SQLite, sent as CSV.

SQLite builds the whole row, which costs half of `||` and a third of Python's `csv`. Its
JSON is already CSV, with `\\` as the escape, unless a text contains a control character,
whose escape is then undone. NULL is a bare `null`, which no text is, because texts are
quoted.
Invariant: whatever SQLite stores, also NUL and invalid UTF-8, is sent unchanged, so that
PostgreSQL refuses it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from workers.replication.errors import ReplicationError
from workers.replication.row_encoding import sent
from workers.replication.tables import MappedColumn

# The COPY options for such lines.
OPTIONS = r"(FORMAT csv, NULL 'null', ESCAPE '\')"
# psycopg would copy and split a piece of more than 128 KB.
_BATCH_BYTES = 96 * 1024
# SQLite takes at most 127 arguments in one call.
_ARGUMENTS = 100
# A JSON escape that this CSV does not have, or an escaped backslash before a letter.
_DOUBTFUL = re.compile(rb"\\[bfnrtu]")
_NUMBERED = re.compile(rb"\\u([0-9a-fA-F]{4})")
_ESCAPES = ((rb"\n", b"\n"), (rb"\r", b"\r"), (rb"\t", b"\t"), (rb"\b", b"\b"), (rb"\f", b"\f"))


class UnfitValueError(ReplicationError):
    """A row has a value that its column cannot hold; the caller has to find out which."""


def array_sql(columns: Sequence[MappedColumn], widen: bool) -> str:
    """Return the SQLite expression of a row as one JSON array; SQLite refuses blobs there.

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
    """Yield batches of (rows, COPY bytes) from rows of `array_sql`.

    Raises:
        UnfitValueError: at the first NULL, which the query returns for a row that does not fit.
    """
    return _batches(_whole(cursor))


def hashed_rows(cursor: Iterable[tuple[bytes, bytes]], salt: str) -> Iterator[tuple[int, bytes]]:
    """Yield batches of (rows, COPY bytes) from `array_sql` and a text, whose hash comes last."""
    return _batches(_hashed(cursor, salt))


def line_of(row: bytes) -> bytes:
    """Return a row of `array_sql` as it is sent; a text may contain line ends."""
    return _written([row])


def fields_of(row: bytes) -> list[bytes | None]:
    """Return the values in a row of `array_sql` as SQLite stores them; None is NULL."""
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
    # MD5 is safe here: collisions cannot be prepared without the salt, random for each run.
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
    # Between escaped backslashes, every backslash begins an escape.
    return rb"\\".join(_undone(part) for part in text.split(rb"\\"))


def _undone(text: bytes) -> bytes:
    if _DOUBTFUL.search(text) is None:
        return text
    for escape, plain in _ESCAPES:
        text = text.replace(escape, plain)
    return _NUMBERED.sub(lambda found: chr(int(found[1], 16)).encode(), text)
