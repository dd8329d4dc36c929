"""Responses that are sent in pieces: streams, texts, and long lists of JSON values.

A list is read and encoded a hundred values at a time, since a service that has once held
a thousand runs and their JSON keeps the memory of it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

AT_ONCE = 100
T = TypeVar("T")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class PiecewiseResponse(StreamingResponse):
    """A streaming response that ends when its client leaves, by two tasks of asyncio.

    Starlette's own uses a task group of anyio, which loads modules that nothing else of
    the service needs: 1.3 MB.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until they end, or the client has left; none for a HEAD."""
        if scope["method"] == "HEAD":
            # Its body is dropped, and that of a stream has no end.
            without = Response(status_code=self.status_code, headers=self.headers)
            await without(scope, receive, send)
            return
        sending = asyncio.ensure_future(self.stream_response(send))
        leaving = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if not sending.cancelled():
            sending.result()  # raises what ended it


def list_response(
    name: str, keys: Sequence[T], values: Callable[[Sequence[T]], Sequence[Struct]]
) -> PiecewiseResponse:
    """Return `{"name": [...]}` with the values of these keys, AT_ONCE at a time.

    The first values are made here, so that an error of theirs is an error response.
    """
    first = values(keys[:AT_ONCE])

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"%b":[' % name.encode() + b",".join(map(_encode, first))
        has_any = bool(first)
        for begin in range(AT_ONCE, len(keys), AT_ONCE):
            found = values(keys[begin : begin + AT_ONCE])
            if found:
                yield b"," * has_any + b",".join(map(_encode, found))
                has_any = True
        yield b"]}"

    return PiecewiseResponse(pieces(), media_type="application/json")
