"""Reads a run's log in masked pieces, so that each reader holds one piece in memory.

A log has up to 1.75 MiB. Many slow readers would otherwise hold a full copy each,
and masking a whole log at once would block all other requests.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from supervisor.containment import run_log
from supervisor.redaction.mask import Mask

PIECE_BYTES = 64 * 1024
# A longer line is passed on before its newline arrives.
LONGEST_LINE_BYTES = 4 * PIECE_BYTES


class LogReader:
    """Reader of one run's log, starting at its beginning."""

    def __init__(self, runs_dir: Path, run: int, mask: Mask) -> None:
        self._runs_dir, self._run, self._mask = runs_dir, run, mask
        self._position = 0
        self._rest = b""

    async def new(self) -> AsyncIterator[bytes]:
        """Yield the output since the last call, in whole lines."""
        read_bytes = 0
        # Stop here even if the job writes faster than this loop reads.
        while read_bytes <= run_log.MOST_KEPT_BYTES:
            piece, self._position = run_log.after(
                self._runs_dir, self._run, self._position, PIECE_BYTES
            )
            if not piece:
                return
            read_bytes += len(piece)
            if lines := self._whole_lines(piece):
                yield self._masked(lines)
            # Let other requests run between two pieces.
            await asyncio.sleep(0)

    async def kept(self) -> AsyncIterator[bytes]:
        """Yield everything that is kept now, including an incomplete last line."""
        async for piece in self.new():
            yield piece
        yield self.open_line()

    def open_line(self) -> bytes:
        """Return and consume the text after the last newline."""
        line, self._rest = self._rest, b""
        return self._masked(line)

    def _whole_lines(self, piece: bytes) -> bytes:
        """Return the complete lines, so that no secret or UTF-8 character is split."""
        found = self._rest + piece
        end = found.rfind(b"\n") + 1
        if end == 0 and len(found) > LONGEST_LINE_BYTES:
            end = found.rfind(b" ") + 1 or len(found)
        self._rest = found[end:]
        return found[:end]

    def _masked(self, text: bytes) -> bytes:
        return self._mask(text.decode(errors="replace")).encode(errors="replace")
