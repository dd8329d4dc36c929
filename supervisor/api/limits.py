"""Limits for the clients of the API."""

from msgspec import Struct


class ClientLimits(Struct, frozen=True):
    """Seconds, connections and bytes for the clients of one listening socket.

    request_s: time from the connection, or the previous response, to a complete request.
    stalled_s: how long a client may leave a response unread.
    clients: concurrent connections; streams: how many of them may be log followers
        and event readers, so that streams cannot use up all connections.
    ping_s: interval of keep-alive comments in an idle event stream.
    """

    request_s: float = 5.0
    stalled_s: float = 10.0
    clients: int = 64
    streams: int = 32
    body_bytes: int = 64 * 1024
    ping_s: float = 15.0
