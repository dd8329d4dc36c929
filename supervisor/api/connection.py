"""Limits for one HTTP connection, on top of uvicorn's h11 protocol.

A complete request must arrive within `request_s`. A response that the client does
not read for `stalled_s` is aborted. The connection is also closed if the client keeps
sending after an error. When there is one connection too many, the oldest one without
a complete request is closed. `UnixConnection` also reads the peer's credentials.
"""

import asyncio
import socket
import struct
from typing import Any

import h11
import msgspec
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from supervisor.api.limits import ClientLimits
from supervisor.core import responses

# A body above `body_bytes` is refused with a response; above this size the connection is aborted.
MOST_BYTES = 1024 * 1024
_UCRED = struct.Struct("3i")


class LimitedConnection(H11Protocol):
    """A connection with limits; `clients` holds all connections of its socket, oldest first."""

    def __init__(
        self,
        config: UvicornConfig,
        state: ServerState,
        app_state: dict[str, Any],
        limits: ClientLimits,
        clients: "dict[LimitedConnection, None]",
    ) -> None:
        super().__init__(config, state, app_state)
        self._limits = limits
        self._clients = clients
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._received_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._clients[self] = None
        if len(self._clients) > self._limits.clients:
            self._close_oldest()
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.pop(self, None)
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

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP, with an error in the form of all others."""
        # Not the cause: h11's words quote what came, which may be a secret.
        self._refuse(400, b"Bad Request", "the request is not valid HTTP/1.1")

    def on_response_complete(self) -> None:
        # Before uvicorn handles the next request, which may already be in its buffer.
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
        """Return whether no response is pending or in progress."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_waiting(self) -> bool:
        """Return whether no complete request has arrived yet."""
        return self._deadline is not None

    def _check_request(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._cancel_deadline()

    def _expect_request(self) -> None:
        self._cancel_deadline()
        self._received_bytes = 0
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(self._limits.request_s, self._give_up)

    def _give_up(self) -> None:
        """Close a connection without a complete request; answer one that has begun."""
        self._deadline = None
        has_begun = self.conn.trailing_data[0] or not self.is_answered
        if not has_begun:
            self.transport.abort()
            return
        text = f"no complete request within {self._limits.request_s:g} s"
        self._refuse(408, b"Request Timeout", text)
        if self.cycle is not None:
            # Its handler still waits for the rest, and could no longer answer.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _refuse(self, status: int, reason: bytes, text: str) -> None:
        body = msgspec.json.encode(responses.ErrorBody(text, ""))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        answer = h11.Response(status_code=status, headers=headers, reason=reason)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_oldest(self) -> None:
        """Abort the oldest other connection without a complete request, else this one."""
        for client in self._clients:
            if client.is_waiting and client is not self:
                client.transport.abort()
                del self._clients[client]
                return
        self.transport.abort()


class UnixConnection(LimitedConnection):
    """A connection over the UNIX socket; the kernel gives the peer's pid and uid (SO_PEERCRED)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        pid, uid, _ = _UCRED.unpack(
            transport.get_extra_info("socket").getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
            )
        )
        self.client = (str(uid), pid)
