"""Streams for the browser: that something has changed, and a log as it grows."""

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from supervisor.web.frame import PageAnswers
from supervisor.web.source import AnswerError
from workers.units import is_whole

PING_S = 15.0
# Changes come in bursts: at most so often a browser looks at the page again.
APART_S = 0.25
# Each stream of a log takes one of the supervisor's.
MOST_LOGS, MOST_BROWSERS = 8, 100
MOST_LIVE_BYTES = 4 * 1024 * 1024


class LiveStreams(PageAnswers):
    """Handlers of /events and of the log of a run."""

    _logs = 0
    _browsers = 0

    async def get_events(self, request: Request) -> Response:
        if self._browsers >= MOST_BROWSERS:
            return Response("too many pages are open\n", 503)
        # A page that was in the background or lost its stream has an event: it looks again.
        again = "last-event-id" in request.headers
        seen = "" if again else request.query_params.get("seen", "")
        return StreamingResponse(self._changes(seen), media_type="text/event-stream")

    async def get_log(self, request: Request) -> Response:
        """Return the whole log as a file."""
        number = request.path_params["run"]
        pieces = self._pieces(number, follow=None)
        first = await anext(pieces, b"")

        async def whole() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        name = f'attachment; filename="run-{number}.log"'
        return StreamingResponse(
            whole(),
            media_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": name, "Content-Security-Policy": "sandbox"},
        )

    async def get_log_stream(self, request: Request) -> Response:
        """Return the log as it grows, from a position on, as HTML in events."""
        # A browser that reconnects says which event it had last.
        after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        if self._logs >= MOST_LOGS:
            return Response("too many logs are followed\n", 503)
        position = int(after) if is_whole(after) and len(after) < 12 else 0
        lines = self._lines(request.path_params["run"], position)
        return StreamingResponse(lines, media_type="text/event-stream")

    async def _changes(self, shown: str) -> AsyncIterator[bytes]:
        """Yield an event for each change after those that the page shows."""
        self._browsers += 1
        try:
            seen = self.web.feed.changes
            name = "open" if shown == str(seen) else "changed"
            yield f"retry: 1000\nid: {seen}\nevent: {name}\ndata: {{}}\n\n".encode()
            while True:
                newest = await self.web.feed.changed(seen, PING_S)
                if newest == seen:
                    yield b": alive\n\n"
                    continue
                seen = newest
                yield f"id: {seen}\nevent: changed\ndata: {{}}\n\n".encode()
                await asyncio.sleep(APART_S)
        finally:
            self._browsers -= 1

    async def _lines(self, run: int, after: int) -> AsyncIterator[bytes]:
        """Yield the lines after a position; each event is numbered by the position after it."""
        from supervisor.web.ansi import AnsiLines  # and rich: only a log needs it

        self._logs += 1
        ansi, position, sent, rest = AnsiLines(), 0, 0, b""
        try:
            yield b": the log follows\n\n"
            async for piece in self._pieces(run, follow=1):
                fresh, position = piece[max(0, after - position) :], position + len(piece)
                *whole, rest = (rest + fresh).split(b"\n")
                if whole:
                    text = b"\n".join(whole).decode(errors="replace")
                    yield _message(str(ansi.html(text)), position - len(rest))
                sent += len(fresh)
                if sent > MOST_LIVE_BYTES:
                    yield _message(
                        "… load the page again to see what comes after this\n", position
                    )
                    break
            if rest:
                yield _message(str(ansi.html(rest.decode(errors="replace"))), position)
        except AnswerError as error:
            if not error.is_unknown:
                return  # the browser connects again, and goes on where it was
        finally:
            self._logs -= 1
        yield b"event: ended\ndata: {}\n\n"

    async def _pieces(self, run: int, follow: int | None) -> AsyncIterator[bytes]:
        found = self.web.source.stream("runs", str(run), "log", follow=follow)
        async for piece in iterate_in_threadpool(found):
            yield piece


def _message(html: str, position: int) -> bytes:
    """Return one event whose lines are joined again by the browser."""
    data = "".join(f"data: {line}\n" for line in html.split("\n"))
    return f"id: {position}\n{data}\n".encode()
