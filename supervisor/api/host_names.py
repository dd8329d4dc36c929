"""Which names in a Host header are those of this machine: the rule of the socket and the page.

Apart from the middleware that applies it, so that the page imports no part of the API.
"""

import ipaddress
import re

LOCAL_NAMES = frozenset(("", "localhost", "nightshift"))
# name, name:port, [v6], [v6]:port (RFC 9110, "Host")
_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::\d*)?")


def is_local(host: str) -> bool:
    """Return whether a Host header, with or without a port, names this machine."""
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return False
    name = found["v6"] or found["name"] or ""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.removesuffix(".") in LOCAL_NAMES
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
