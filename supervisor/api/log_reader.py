"""Reads a run's log in pieces, masked, so that no reader costs more than a piece.

A log has up to 1.75 MiB. Many readers at once, each slow, would otherwise hold as
many copies of it, and masking one whole would keep all other answers waiting.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from supervisor.containment import run_log
from supervisor.redaction.mask import Mask

PIECE_BYTES = 64 * 1024
# A line that is longer is not waited for.
LONGEST_LINE_BYTES = 4 * PIECE_BYTES


class LogReader:
    """One reading of a run's log, from its beginning on."""

    def __init__(self, runs_dir: Path, run: int, mask: Mask) -> None:
        self._runs_dir, self._run, self._mask = runs_dir, run, mask
        self._position = 0
        self._rest = b""

    async def new(self) -> AsyncIterator[bytes]:
        """Yield what has come since the last call, whole lines at a time."""
        read_bytes = 0
        # A job that writes faster than this reads must not keep it here for ever.
        while read_bytes <= run_log.MOST_KEPT_BYTES:
            piece, self._position = run_log.after(
                self._runs_dir, self._run, self._position, PIECE_BYTES
            )
            if not piece:
                return
            read_bytes += len(piece)
            if lines := self._whole_lines(piece):
                yield self._masked(lines)
            # Other requests are answered between two pieces.
            await asyncio.sleep(0)

    async def kept(self) -> AsyncIterator[bytes]:
        """Yield all that is kept now, also an open line at its end."""
        async for piece in self.new():
            yield piece
        yield self.open_line()

    def open_line(self) -> bytes:
        """Return what came after the last newline; it counts as read."""
        line, self._rest = self._rest, b""
        return self._masked(line)

    def _whole_lines(self, piece: bytes) -> bytes:
        """Return all lines that are complete: a secret or a letter must not be cut in two."""
        found = self._rest + piece
        end = found.rfind(b"\n") + 1
        if end == 0 and len(found) > LONGEST_LINE_BYTES:
            end = found.rfind(b" ") + 1 or len(found)
        self._rest = found[end:]
        return found[:end]

    def _masked(self, text: bytes) -> bytes:
        return self._mask(text.decode(errors="replace")).encode(errors="replace")
