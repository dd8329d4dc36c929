"""What a libpq DSN says. The law: nothing of one that cannot be read is repeated."""

import os
from typing import Any

import psycopg
from psycopg import conninfo


class DsnError(ValueError):
    """It cannot be used; the text says why, and holds no secret."""


def read(dsn: str) -> dict[str, Any]:
    """The parameters by name.

    Raises:
        BadDsn: libpq reads it as none, or it gives one as the name of a database.
    """
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except (psycopg.ProgrammingError, UnicodeError):
        # libpq repeats what it does not understand, which may be a password.
        raise DsnError("expected a libpq DSN or URL, and libpq reads it as none") from None
    database = str(given.get("dbname") or os.environ.get("PGDATABASE", ""))
    if any(mark in database for mark in ("://", "password=")):
        # PostgreSQL repeats the name of the database.
        raise DsnError(
            "expected the name of a database in dbname or PGDATABASE, got a whole DSN;"
            " give that one as postgres"
        )
    return dict(given)
