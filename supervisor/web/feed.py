"""One reader of /v1/events for all browsers: each of them gets a change once.

Changes come in bursts; a listener gets at most one call for all that came since its
last. When the stream breaks, it is opened again, and listeners look at everything anew.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

import msgspec

from supervisor.core.views import RunView
from supervisor.web.source import AnswerError, Source

AGAIN_S = 1.0


class Feed:
    """The changes of one supervisor, and their number; is_live: whether the stream is open."""

    def __init__(self, source: Source, on_run: Callable[[RunView], object]) -> None:
        self._source = source
        self._on_run = on_run
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_live = False
        self.changes = 0

    def start(self) -> None:
        """Begin to read, in a thread that ends with the process."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read_always, name="events", daemon=True).start()

    async def changed(self, seen: int, within_s: float) -> int:
        """Return the number of changes when there are more than `seen`, or after this time."""
        changed = self._changed
        if self.changes == seen:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), within_s)
        return self.changes

    def _read_always(self) -> None:
        while True:
            with contextlib.suppress(AnswerError, OSError):
                self._read()
            was_live, self.is_live = self.is_live, False
            if was_live:
                self._tell([])
            time.sleep(AGAIN_S)

    def _read(self) -> None:
        rest, name = b"", b""
        for piece in self._source.stream("events"):
            *lines, rest = (rest + piece).split(b"\n")
            runs: list[RunView] = []
            is_change = not self.is_live
            self.is_live = True
            for line in lines:
                key, _, value = line.partition(b": ")
                if key == b"event":
                    name, is_change = value, True
                elif key == b"data" and name == b"run":
                    with contextlib.suppress(msgspec.MsgspecError):
                        runs.append(msgspec.json.decode(value, type=RunView))
            if is_change:
                self._tell(runs)

    def _tell(self, runs: list[RunView]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._announce, runs)

    def _announce(self, runs: list[RunView]) -> None:
        self.changes += 1
        self._source.forget()
        for run in runs:
            self._on_run(run)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
