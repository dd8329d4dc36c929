"""Connections to the PostgreSQL of a cluster, with limits on everything that can hang."""

import contextlib
import hashlib
from typing import Any, LiteralString

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

# PostgreSQL is away if it does not answer within this time.
CONNECT_S = 4
_LIMITS = (
    "SET statement_timeout = '4s'; SET lock_timeout = '2s';"
    " SET idle_in_transaction_session_timeout = '5s'"
)
_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
    "target_session_attrs": "read-write",
    "application_name": "nightshift",
}


def schema_of(cluster: str) -> str:
    """Return the PostgreSQL schema of a cluster."""
    return f"nightshift_{cluster}"


def channel_of(schema: str) -> str:
    """Return the channel on which the hosts of a cluster wake each other."""
    return f"{schema}_wake"


def queue_of(schema: str, *meaning: object) -> str:
    """Return a queue of the engine, whose names are short (its channels have 40 bytes left)."""
    whole = "\n".join(map(str, (schema, *meaning)))
    return f"ns{hashlib.sha256(whole.encode()).hexdigest()[:12]}"


def connect(dsn: str, schema: str) -> Connection:
    """Return a connection whose statements begin in the cluster's schema, in autocommit.

    Statements that come again are prepared, unless a pooler stands before the server: it
    may pass each transaction to another session.

    Raises: psycopg.Error.
    """
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    chosen = {key: value for key, value in _KEEPALIVE.items() if key not in given}
    db = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, **chosen)
    try:
        db.execute(query(f'SET search_path = "{schema}", pg_catalog; {_LIMITS}'))
        if not is_pooled(db):
            db.prepare_threshold = 2
    except BaseException:
        db.close()
        raise
    return db


def is_pooled(db: Connection) -> bool:
    """Return whether a pooler stands before the server: its numbers of sessions are its own."""
    return db.execute("SELECT pg_backend_pid()").fetchone() != (db.info.backend_pid,)


def close(db: Connection | None) -> None:
    """Close a connection that may be broken."""
    if db is not None:
        with contextlib.suppress(psycopg.Error, OSError):
            db.close()


def query(text: str) -> LiteralString:
    """Return SQL that was put together from our own words; values are always parameters."""
    return text


class WakeLine:
    """A connection that learns when another host has something to do for us.

    What it misses is found by looking.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        """Begin to listen. Raises: psycopg.Error."""
        self._db = connect(dsn, schema)
        self._db.execute(query(f'LISTEN "{channel_of(schema)}"'))

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._db.fileno()

    def drain(self) -> set[str]:
        """Return what was said since the last call. Raises: psycopg.Error."""
        self._db.pgconn.consume_input()
        said = set()
        while (notice := self._db.pgconn.notifies()) is not None:
            said.add(notice.extra.decode(errors="replace"))
        return said

    def close(self) -> None:
        """End the connection."""
        close(self._db)


def wake(db: Connection, schema: str, whom: str) -> None:
    """Wake the hosts; whom: `leader`, `work`, or the name of a host after `host:`."""
    db.execute("SELECT pg_notify(%s, %s)", (channel_of(schema), whom))
