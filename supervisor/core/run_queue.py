"""`RunQueue`: the pending runs in the order in which they are considered, as a frozen value.

A tuple would be copied whole for each run that comes or goes, which for ten thousand
runs that are due at once takes longer than everything else. Here a change copies one
block of at most BLOCK entries and the list of the blocks.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from msgspec import Struct

# Due, place in the file, id of the run.
QueueKey = tuple[datetime, int, int]

BLOCK = 128


class RunQueue(Struct, frozen=True):
    """Sorted entries in blocks, none of which is empty."""

    blocks: tuple[tuple[QueueKey, ...], ...] = ()

    def __iter__(self) -> Iterator[QueueKey]:
        """Yield the entries in order."""
        return chain.from_iterable(self.blocks)

    def __len__(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self.blocks))

    def __bool__(self) -> bool:
        """Return whether there is an entry."""
        return bool(self.blocks)

    def add(self, entry: QueueKey) -> "RunQueue":
        """Return the queue with one more entry."""
        place = max(0, bisect_right(self.blocks, entry, key=_first) - 1)
        block = list(self.blocks[place]) if self.blocks else []
        insort(block, entry)
        if len(block) <= BLOCK:
            return self._with(place, tuple(block))
        # A burst comes in order: a full block stays full, and the next one begins.
        cut = BLOCK if block[-1] == entry else BLOCK // 2
        return self._with(place, tuple(block[:cut]), tuple(block[cut:]))

    def remove(self, entry: QueueKey) -> "RunQueue":
        """Return the queue without an entry. Raises: KeyError."""
        place = bisect_right(self.blocks, entry, key=_first) - 1
        block = self.blocks[place] if place >= 0 else ()
        index = bisect_left(block, entry)
        if index == len(block) or block[index] != entry:
            raise KeyError(entry)
        rest = block[:index] + block[index + 1 :]
        return self._with(place, rest) if rest else self._with(place)

    def _with(self, place: int, *instead: tuple[QueueKey, ...]) -> "RunQueue":
        return RunQueue((*self.blocks[:place], *instead, *self.blocks[place + 1 :]))


def _first(block: tuple[QueueKey, ...]) -> QueueKey:
    return block[0]
