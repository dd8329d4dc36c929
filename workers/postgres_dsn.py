"""Parse libpq DSNs. Invariant: no text of an unreadable DSN is repeated in an error."""

import os
from typing import Any

import psycopg
from psycopg import conninfo


class DsnError(ValueError):
    """A DSN that cannot be used; the message contains no secret."""


def read(dsn: str) -> dict[str, Any]:
    """Return the parameters of a DSN by name.

    Raises:
        DsnError: libpq cannot parse it, or its database name is a whole DSN.
    """
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except (psycopg.ProgrammingError, UnicodeError):
        # libpq repeats the text that it cannot parse, which may be a password.
        raise DsnError("expected a libpq DSN or URL, and libpq reads it as none") from None
    database = str(given.get("dbname") or os.environ.get("PGDATABASE", ""))
    if any(mark in database for mark in ("://", "password=")):
        # PostgreSQL repeats the database name in its errors.
        raise DsnError(
            "expected the name of a database in dbname or PGDATABASE, got a whole DSN;"
            " give that one as postgres"
        )
    return dict(given)
