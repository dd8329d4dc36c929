"""Parse libpq DSNs. Invariant: no text of an unreadable DSN is repeated in an error."""

import os
import re
from typing import Any

import psycopg
from psycopg import conninfo

_PORTS = re.compile(r"[0-9, ]*")


class DsnError(ValueError):
    """A DSN that cannot be used; the message contains no secret."""


def read(dsn: str) -> dict[str, Any]:
    """Return the parameters of a DSN by name.

    Raises:
        DsnError: libpq cannot parse it, its database name is a whole DSN, or its host or port
            is a part of a password.
    """
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except (psycopg.ProgrammingError, UnicodeError):
        # libpq repeats the text that it cannot parse, which may be a password.
        raise DsnError("expected a libpq DSN or URL, and libpq reads it as none") from None
    # In a URL an unescaped character of a password moves the rest of it there, and both psycopg
    # and libpq repeat hosts and ports. A host that begins with @ is an abstract socket.
    hosts = str(given.get("host", "")).split(",")
    if any("@" in host[1:] for host in hosts) or not _PORTS.fullmatch(str(given.get("port", ""))):
        raise DsnError(
            "expected a host and a port, got a part of a password; in a URL, write its"
            " @ : / % as %40 %3A %2F %25"
        )
    database = str(given.get("dbname") or os.environ.get("PGDATABASE", ""))
    if any(mark in database for mark in ("://", "password=")):
        # PostgreSQL repeats the database name in its errors.
        raise DsnError(
            "expected the name of a database in dbname or PGDATABASE, got a whole DSN;"
            " give that one as postgres"
        )
    return dict(given)
