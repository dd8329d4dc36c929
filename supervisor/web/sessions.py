"""Sessions of browsers, in memory: they end with this process.

A session is known by a random cookie. Its CSRF token is made anew for each page, so that
a compressed page says nothing about it (the BREACH attack), and any of them is valid.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

# The oldest session ends when there is one more.
MOST = 200
IDLE_S = 12 * 3600.0


@dataclass(slots=True)
class Session:
    """A browser. user: the person, "" in token mode; said: what the next page shows once."""

    user: str
    secret: bytes
    seen_mono: float
    said: list[tuple[str, str]] = field(default_factory=list)

    def csrf_token(self) -> str:
        """Return a new token for the forms of one page."""
        nonce = secrets.token_hex(8)
        return f"{nonce}.{self._signature(nonce)}"

    def is_csrf_token(self, text: str) -> bool:
        """Return whether this session made the token."""
        nonce, _, signature = text.partition(".")
        return hmac.compare_digest(self._signature(nonce).encode(), signature.encode())

    def _signature(self, nonce: str) -> str:
        return hmac.new(self.secret, nonce.encode(), hashlib.sha256).hexdigest()


class Sessions:
    """The sessions by their cookies."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Session] = OrderedDict()

    def begin(self, user: str, mono: float) -> str:
        """Return the cookie of a new session."""
        cookie = secrets.token_urlsafe(32)
        self._known[cookie] = Session(user, secrets.token_bytes(32), mono)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return cookie

    def find(self, cookie: str, mono: float) -> Session | None:
        """Return the session of a cookie, unless it was idle for too long."""
        found = self._known.get(cookie)
        if found is None:
            return None
        if mono - found.seen_mono > IDLE_S:
            del self._known[cookie]
            return None
        found.seen_mono = mono
        self._known.move_to_end(cookie)
        return found

    def end(self, cookie: str) -> None:
        """End a session."""
        self._known.pop(cookie, None)
