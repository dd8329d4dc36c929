"""One connection: who it is, how long it may take, and when it is hung up on.

uvicorn's protocol does HTTP; what is here are the limits. A whole request comes
within `request_s`; an answer that is not read for `stalled_s` is broken off; who
sends on after a refusal is hung up on. For one client too many, the oldest one
that has not sent a whole request is closed.
"""

import asyncio
import socket
import struct
from typing import Any

from msgspec import Struct
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


class ClientLimits(Struct, frozen=True):
    """Seconds, connections and bytes for the clients of one listening socket.

    request_s: from the connection, or the answer before, to a whole request.
    stalled_s: how long a client may leave what was sent to it unread.
    clients: connections at once; streams: how many of them may be log followers
        and event readers, so that those can never take all.
    ping_s: how often a silent stream of events says that it lives.
    """

    request_s: float = 5.0
    stalled_s: float = 10.0
    clients: int = 64
    streams: int = 32
    body_bytes: int = 64 * 1024
    ping_s: float = 15.0


# What is beyond a body's limit is refused with an answer, and read no further than this.
MOST_BYTES = 1024 * 1024
_UCRED = struct.Struct("3i")


class LimitedConnection(H11Protocol):
    """A connection within limits; `guests` holds all of a socket, oldest first."""

    def __init__(
        self,
        config: UvicornConfig,
        state: ServerState,
        app_state: dict[str, Any],
        limits: ClientLimits,
        guests: "dict[LimitedConnection, None]",
    ) -> None:
        super().__init__(config, state, app_state)
        self._limits = limits
        self._guests = guests
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._received_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._guests[self] = None
        if len(self._guests) > self._limits.clients:
            self._close_oldest()
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guests.pop(self, None)
        self._cancel_deadline()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > MOST_BYTES:
            self.transport.abort()
            return
        super().data_received(data)
        self._check_request()

    def on_response_complete(self) -> None:
        # Before the next request, which may have been waiting, is looked at.
        self._expect_request()
        super().on_response_complete()
        self._check_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    @property
    def is_answered(self) -> bool:
        """Whether nothing of an answer is still to be sent."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_waiting(self) -> bool:
        """Whether no whole request has come yet."""
        return self._deadline is not None

    def _check_request(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._cancel_deadline()

    def _expect_request(self) -> None:
        self._cancel_deadline()
        self._received_bytes = 0
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(self._limits.request_s, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_oldest(self) -> None:
        """The oldest one that has not sent a whole request."""
        for guest in self._guests:
            if guest.is_waiting and guest is not self:
                guest.transport.abort()
                del self._guests[guest]
                return
        self.transport.abort()


class UnixConnection(LimitedConnection):
    """A client on this machine: the kernel says who it is (SO_PEERCRED)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        pid, uid, _ = _UCRED.unpack(
            transport.get_extra_info("socket").getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
            )
        )
        self.client = (str(uid), pid)
