"""Streaming responses: changes as server-sent events, and growing logs.

The loop appends each numbered change to the bounded ring of `bridge.py`, and calls
`on_changes` only while there are listeners. A slow reader is throttled by its socket,
misses the changes that have left the ring, and gets a `missed` event. A reader that
stops reading is disconnected (`connection.py`). Nothing is buffered per reader.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
from starlette.types import Receive, Scope, Send

from supervisor.api.bridge import Change, LoopBridge
from supervisor.api.errors import HttpError
from supervisor.api.limits import ClientLimits
from supervisor.api.log_parts import ByteRange, part, with_text
from supervisor.api.log_reader import LogReader
from supervisor.api.piecewise import PiecewiseResponse
from supervisor.core import build_views
from supervisor.core.alert_model import Incident
from supervisor.core.changes import AlertChange, PauseChange, ReloadChange
from supervisor.core.model import Run
from supervisor.core.state import SchedulerState
from supervisor.redaction.mask import Mask

FOLLOW_EVERY_S = 0.2
_NAMES = {
    Run: b"run",
    Incident: b"incident",
    AlertChange: b"alert",
    PauseChange: b"pause",
    ReloadChange: b"reload",
}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class EventStreams:
    """Factory of the streams; counts readers and wakes event listeners."""

    def __init__(self, bridge: LoopBridge, folder: Path, limits: ClientLimits) -> None:
        self._bridge = bridge
        self._runs_dir = folder / "runs"
        self._limits = limits
        self._readers = 0
        self._listeners = 0
        self._changed = asyncio.Event()
        self._is_over = False

    def events(self, after: int | None) -> "Stream":
        """Return the stream of changes after this number (None: from now on).

        Raises: HttpError 503 if too many streams are open.
        """
        self._require_room()
        pieces = self._listening(self._bridge.newest if after is None else after)
        return Stream(self, pieces, "text/event-stream")

    def log(self, run: int, mask: Mask) -> "Stream":
        """Return the log of a run as it grows.

        Raises: HttpError 503 if too many streams are open.
        """
        self._require_room()
        return Stream(self, self._follow(run, mask), "text/plain; charset=utf-8")

    async def kept_log(
        self, run: int, mask: Mask, grep: str | None, wanted: ByteRange | None
    ) -> PiecewiseResponse:
        """Return the log of a run as it is kept now, without following it.

        grep: only lines with this text. wanted: only these bytes of the answer.

        Raises: HttpError 416 if there are no such bytes.
        """

        def pieces() -> AsyncIterator[bytes]:
            kept = LogReader(self._runs_dir, run, mask).kept()
            return kept if grep is None else with_text(kept, grep)

        kind = "text/plain; charset=utf-8"
        if wanted is None:
            return PiecewiseResponse(pieces(), media_type=kind)
        size = 0
        async for piece in pieces():
            size += len(piece)
        first, end = wanted.within(size)
        return PiecewiseResponse(
            part(pieces(), first, end),
            206,
            {"Content-Range": f"bytes {first}-{end - 1}/{size}"},
            kind,
        )

    @contextlib.contextmanager
    def reader(self) -> Iterator[None]:
        """Count one more reader while the context is active."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    def close(self) -> None:
        """End all streams."""
        self._is_over = True
        self._announce()

    def _require_room(self) -> None:
        if self._readers >= self._limits.streams:
            hint = "end a `logs -f` or a reader of /v1/events, or ask again later"
            raise HttpError(503, f"{self._readers} streams are open, which is the most", hint)

    async def _listening(self, seen: int) -> AsyncIterator[bytes]:
        self._listen(+1)
        try:
            yield b": changes follow\nretry: 2000\n\n"
            while not self._is_over:
                changed = self._changed
                since = self._bridge.changes_after(seen)
                seen = since.newest
                if since.missed:
                    yield b"event: missed\ndata: {}\n\n"
                for change in since.changes:
                    yield _event(change, self._bridge.scheduler)
                if not since.changes and not await _changed_within(changed, self._limits.ping_s):
                    yield b": alive\n\n"
        finally:
            self._listen(-1)

    async def _follow(self, run: int, mask: Mask) -> AsyncIterator[bytes]:
        """Yield the log as it grows, in whole lines, until the run has ended."""
        log = LogReader(self._runs_dir, run, mask)
        while True:
            scheduler = self._bridge.scheduler
            is_over = self._is_over or not (
                scheduler is not None and (run in scheduler.runs or run in scheduler.live_attempts)
            )
            async for piece in log.new():
                yield piece
            if is_over:
                yield log.open_line()
                return
            await asyncio.sleep(FOLLOW_EVERY_S)

    def _listen(self, more: int) -> None:
        self._listeners += more
        loop = asyncio.get_running_loop()
        self._bridge.on_changes = (
            (lambda: loop.call_soon_threadsafe(self._announce)) if self._listeners else None
        )

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Stream(PiecewiseResponse):
    """A streaming response that is counted as a reader.

    Nothing is awaited between the check for room and the count.
    """

    def __init__(self, feed: EventStreams, pieces: AsyncIterator[bytes], media_type: str) -> None:
        super().__init__(pieces, media_type=media_type, headers={"Cache-Control": "no-store"})
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._feed.reader():
            await super().__call__(scope, receive, send)


async def _changed_within(changed: asyncio.Event, within_s: float) -> bool:
    """Return whether something changed within this time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), within_s)
        return True
    return False


def _event(change: Change, scheduler: SchedulerState | None) -> bytes:
    what: object = change.what
    if isinstance(change.what, Run):
        what = build_views.run_view(change.what)
    elif isinstance(change.what, Incident) and scheduler is not None:
        what = build_views.incident_view(change.what, scheduler.waiting_alerts)
    name = _NAMES[type(change.what)]
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (change.number, name, _encode(what))
