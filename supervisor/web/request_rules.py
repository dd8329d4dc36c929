"""Rules for a request by its headers, before anybody is asked who they are.

Pure. A request must be for a name of this machine (DNS rebinding), and one that changes
something must come from a page of ours (Fetch standard, "Origin header"; Fetch Metadata).
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from supervisor.api.host_names import is_local

_READING = frozenset(("GET", "HEAD"))
LONGEST_PATH = 4096


def why_refused(method: str, headers: Headers, listening: str, hosts: Collection[str]) -> str:
    """Return why a request is refused, or "".

    listening: the address of the socket. hosts: further names that a request may be for.
    """
    named = headers.getlist("host")
    if len(named) != 1 or not is_ours(named[0], listening, hosts):
        shown = ", ".join(map(repr, named)) or "none"
        return f"Host: {shown} is not a name of this page (--host NAME adds one)"
    if method in _READING:
        return ""
    site = headers.get("sec-fetch-site", "same-origin")
    if site != "same-origin":
        return f"Sec-Fetch-Site: {site!r}: the form is of another site"
    for origin in headers.getlist("origin"):
        if not _is_of(origin, named[0], hosts):
            return f"Origin: {origin!r}: the form is of another site"
    return ""


def is_ours(host: str, listening: str, hosts: Collection[str]) -> bool:
    """Return whether a Host header names this page."""
    name = _name(host)
    if name in hosts:
        return True
    if _is_loopback(listening):
        return is_local(host) and name != "nightshift"
    return name == listening.strip("[]").lower() or (_is_any(listening) and _is_address(name))


def _is_of(origin: str, host: str, hosts: Collection[str]) -> bool:
    """Return whether an Origin is this page's: that of the Host, or one of `hosts`."""
    try:
        parts = urlsplit(origin.strip().lower())
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    return parts.netloc == host.strip().lower() or (parts.hostname or "") in hosts


def _name(host: str) -> str:
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text


def _is_loopback(listening: str) -> bool:
    try:
        return ipaddress.ip_address(listening.strip("[]")).is_loopback
    except ValueError:
        return listening == "localhost"


def _is_any(listening: str) -> bool:
    return listening.strip("[]") in ("", "0.0.0.0", "::")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
