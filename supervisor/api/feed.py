"""Streams: the changes of runs as server-sent events, and logs as they grow.

The loop puts each change of a run's state, numbered, into a bounded ring of the
desk and rings a bell only while somebody listens here. A reader that is slow
is held back by its own socket, loses what the ring has moved past, and is told
so; one that reads nothing is cut off (`guests.py`). Nothing is kept per reader.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from supervisor.api.answers import Problem
from supervisor.api.limits import Limits
from supervisor.containment import output
from supervisor.core import view
from supervisor.desk import Change, Desk

FOLLOW_EVERY_S = 0.2
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Feed:
    """The bell, and those who wait for it."""

    def __init__(self, desk: Desk, folder: Path, limits: Limits) -> None:
        self._desk = desk
        self._runs_dir = folder / "runs"
        self._limits = limits
        self._readers = 0
        self._listeners = 0
        self._bell = asyncio.Event()
        self._is_over = False

    def events(self, after: int | None) -> AsyncIterator[bytes]:
        """Changes after this number (None: from now on). Raises: Problem, if too many listen."""
        self._require_room()
        return self._counted(self._listening(self._desk.newest if after is None else after))

    def log(self, run: int, mask: Callable[[str], str]) -> AsyncIterator[bytes]:
        """The log of a run as it grows. Raises: Problem, if too many listen."""
        self._require_room()
        return self._counted(self._follow(run, mask))

    def close(self) -> None:
        """End all streams."""
        self._is_over = True
        self._ring()

    def _require_room(self) -> None:
        if self._readers >= self._limits.streams:
            hint = "end a `logs -f` or a reader of /v1/events, or ask again later"
            raise Problem(503, f"{self._readers} streams are open, which is the most", hint)

    async def _counted(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._readers += 1
        try:
            async for piece in stream:
                yield piece
        finally:
            self._readers -= 1

    async def _listening(self, seen: int) -> AsyncIterator[bytes]:
        self._listen(+1)
        try:
            yield b": changes of runs follow\nretry: 2000\n\n"
            while not self._is_over:
                bell = self._bell
                changes, missed = self._desk.changes_after(seen)
                if missed:
                    yield b"event: missed\ndata: {}\n\n"
                    seen = changes[0].number - 1 if changes else self._desk.newest
                for change in changes:
                    seen = change.number
                    yield _event(change)
                if not changes and not await _rings(bell, self._limits.ping_s):
                    yield b": alive\n\n"
        finally:
            self._listen(-1)

    async def _follow(self, run: int, mask: Callable[[str], str]) -> AsyncIterator[bytes]:
        """The log as it grows, whole lines at a time, until the run is over."""
        position, rest = 0, b""
        while True:
            world = self._desk.world
            is_over = self._is_over or not (
                world is not None and (run in world.runs or run in world.living)
            )
            new, position = output.after(self._runs_dir, run, position)
            # A secret or a letter must not be cut in two, so an open line waits.
            whole, newline, rest = (rest + new).rpartition(b"\n")
            if is_over:
                whole, newline, rest = whole + newline + rest, b"", b""
            if whole or newline:
                yield mask((whole + newline).decode(errors="replace")).encode()
            if is_over:
                return
            await asyncio.sleep(FOLLOW_EVERY_S)

    def _listen(self, more: int) -> None:
        self._listeners += more
        loop = asyncio.get_running_loop()
        self._desk.bell = (
            (lambda: loop.call_soon_threadsafe(self._ring)) if self._listeners else None
        )

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


async def _rings(bell: asyncio.Event, within_s: float) -> bool:
    """Whether it rang in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(bell.wait(), within_s)
        return True
    return False


def _event(change: Change) -> bytes:
    data = _encode(view.run_view(change.run))
    return b"id: %d\nevent: run\ndata: %b\n\n" % (change.number, data)
