"""A stream of blocks as a file: read piece by piece, hashed and counted on the way."""

import hashlib
from collections.abc import Iterator

from workers.backup.places.store import Step


class Blocks:
    """An iterator of blocks with `read`; holds one block."""

    def __init__(self, blocks: Iterator[bytes], step: Step) -> None:
        self._blocks, self._step = blocks, step
        self._rest = memoryview(b"")
        self._sum, self.size_bytes = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, or all of the rest; empty at the end."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._sum.update(block)
            self.size_bytes += len(block)
            self._step(self.size_bytes)
            self._rest = memoryview(block)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def drained(self) -> str:
        """Read what is left and return the SHA-256 (hex) of all of it."""
        while self.read(1 << 20):
            pass
        return self._sum.hexdigest()
