"""A page that is sent in pieces: the browser paints the first while the next is made.

It compresses for itself: what compresses other answers keeps a piece back until it has
enough. After each piece the compressor is flushed (zlib, Z_SYNC_FLUSH).
"""

import zlib
from collections.abc import Iterator
from itertools import chain

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_GZIP = zlib.MAX_WBITS | 16
# Level 4: a page of 80 kB is as small as with 6, within 3 %, in half the time.
_LEVEL = 4


class PageResponse(Response):
    """A page in pieces. Raises what makes the first piece raises, before anything is sent."""

    media_type = "text/html"

    def __init__(self, pieces: Iterator[str], is_packed: bool) -> None:
        super().__init__(headers={"Vary": "HX-Request, Accept-Encoding"})
        del self.headers["content-length"]
        self._first, self._rest = next(pieces), pieces
        self._packer = zlib.compressobj(_LEVEL, wbits=_GZIP) if is_packed else None
        if is_packed:
            self.headers["content-encoding"] = "gzip"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces, each as soon as it is made."""
        status, headers = self.status_code, self.raw_headers
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in chain((self._first,), self._rest):
            body = self._sent(piece)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        end = self._packer.flush() if self._packer else b""
        await send({"type": "http.response.body", "body": end})

    def _sent(self, piece: str) -> bytes:
        data = piece.encode()
        if self._packer is None:
            return data
        return self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
