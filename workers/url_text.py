"""Whether a text is a URL that a client can call. Pure; both packages import this module."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

# Underscores are no host names of RFC 952, yet container networks have them.
_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_BRACKETED = re.compile(r"\[([^]]*)\](?::[0-9]*)?")
_LONGEST_HOST = 253
HTTP = ("http", "https")


def split_url(text: str, schemes: Collection[str] = HTTP) -> SplitResult:
    """Return the parts of a URL with one of these schemes.

    Raises:
        ValueError: another scheme, no valid host or port, or a space in it. The error
            does not repeat the text, which may hold a password.
    """
    parts = urlsplit(text)
    if parts.scheme not in schemes or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(f"expected a URL that begins with {' or '.join(schemes)}")
    if parts.port == 0:  # `port` itself refuses what is no number up to 65535
        raise ValueError("expected a port from 1 to 65535")
    # `hostname` forgets what stands between a bracket and the port.
    address = _BRACKETED.fullmatch(parts.netloc.rpartition("@")[2])
    if not (_is_ipv6(address[1]) if address else _is_name(parts.hostname or "", parts.netloc)):
        raise ValueError("expected a host name or an address")
    return parts


def is_url(text: str, schemes: Collection[str] = HTTP) -> bool:
    """Return whether the text is a URL with one of these schemes."""
    try:
        split_url(text, schemes)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    return isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address)


def _is_name(host: str, netloc: str) -> bool:
    if "[" in netloc.rpartition("@")[2]:
        return False
    # A host of other scripts is sent in its ASCII form; idna refuses what has none.
    name = host if host.isascii() else host.encode("idna").decode()
    return len(name) <= _LONGEST_HOST and _HOST.fullmatch(name) is not None
