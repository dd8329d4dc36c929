"""What a client may cost: the numbers that make it harm nobody."""

from msgspec import Struct


class Limits(Struct, frozen=True):
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
