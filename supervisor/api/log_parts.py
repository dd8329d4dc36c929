"""Parts of a log: the lines that contain a text, and a range of bytes (RFC 9110, 14.1.2)."""

import re
from collections.abc import AsyncIterator

from msgspec import Struct

from supervisor.api.errors import HttpError
from supervisor.core.log_lines import lines_with

_RANGE = re.compile(r"bytes=(?P<first>[0-9]*)-(?P<last>[0-9]*)")
# No log is as long as a number of more digits.
_MOST_DIGITS = 18
_BEYOND = 10**_MOST_DIGITS


class ByteRange(Struct, frozen=True):
    """A requested range; first None: the last `last` bytes; last None: to the end."""

    first: int | None
    last: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Return [first, end) in a text of this size. Raises: HttpError 416."""
        if self.first is None:
            first, end = max(0, size - (self.last or 0)), size
        else:
            first = self.first
            end = size if self.last is None else min(size, self.last + 1)
        if first >= end:
            raise HttpError(416, f"Range: expected bytes of a log that has {size}")
        return first, end


def byte_range(text: str) -> ByteRange | None:
    """Return the range of a Range header; None if there is none that is understood.

    A list of ranges and other units are ignored, as the RFC allows: all is sent.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found["first"] or found["last"]):
        return None
    first = _position(found["first"]) if found["first"] else None
    last = _position(found["last"]) if found["last"] else None
    return (
        None if first is not None and last is not None and last < first else ByteRange(first, last)
    )


def _position(digits: str) -> int:
    """Return the number; one beyond any log if it is longer than that."""
    # int() refuses more than 4300 digits.
    rest = digits.lstrip("0")
    return int(rest or "0") if len(rest) <= _MOST_DIGITS else _BEYOND


async def part(pieces: AsyncIterator[bytes], first: int, end: int) -> AsyncIterator[bytes]:
    """Yield the bytes [first, end) of these pieces."""
    position = 0
    async for piece in pieces:
        begin, position = position, position + len(piece)
        if position > first:
            yield piece[max(0, first - begin) : end - begin]
        if position >= end:
            return


async def with_text(pieces: AsyncIterator[bytes], text: str) -> AsyncIterator[bytes]:
    """Yield the lines that contain the text, in upper or lower case; pieces are whole lines."""
    async for piece in pieces:
        found = lines_with(piece.decode(errors="replace"), text)
        if found:
            yield found.encode(errors="replace")
