"""What the page may show and do, and to whom: fixed when the process starts."""

import ipaddress
import re
from dataclasses import dataclass, field

# What a button may ask, in the order of the help.
VERBS = ("run", "cancel", "pause", "resume", "ack", "reload", "notify", "verify")

_PART = re.compile(r"[A-Za-z0-9\-_.~]+")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """The first browser that opens the printed URL; the token works once."""

    token: str


@dataclass(frozen=True, slots=True)
class PasswordAccess:
    """Persons of a password file, by name; see `passwords.py`."""

    hashes: dict[str, bytes]
    salt: bytes


@dataclass(frozen=True, slots=True)
class HeaderAccess:
    """Persons that a proxy in one of these networks names in a header."""

    header: str
    proxies: tuple[Network, ...]

    def is_trusted(self, peer: str) -> bool:
        """Return whether a connection comes from one of the proxies."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self.proxies)


Access = TokenAccess | PasswordAccess | HeaderAccess


@dataclass(frozen=True, slots=True)
class WebSettings:
    """host, port: where to listen. base: the path before all others, "" or `/x`.

    hosts: names, besides those of this machine, that a request may be for.
    allowed: the verbs that buttons may ask.
    """

    host: str
    port: int
    access: Access
    base: str = ""
    hosts: frozenset[str] = frozenset()
    allowed: frozenset[str] = field(default_factory=lambda: frozenset(VERBS))


def base_path(text: str) -> str:
    """Return a base path as `/x` or "". Raises: ValueError."""
    path = text.strip("/")
    parts = path.split("/") if path else []
    # A browser takes `.` and `..` out of an address.
    if not all(_PART.fullmatch(part) and part.strip(".") for part in parts):
        raise ValueError(f'expected a path such as /nightshift, got "{text}"')
    return f"/{path}" if path else ""


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks of CIDR texts. Raises: ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
