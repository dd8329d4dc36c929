"""Connections to the PostgreSQL of a cluster, with limits on everything that can hang."""

import contextlib
import hashlib
import time
from collections.abc import Generator
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

from workers import postgres_dsn

Connection = psycopg.Connection[tuple[Any, ...]]

# PostgreSQL is away if it does not answer within this time.
CONNECT_S = 4
# The same for a statement, once its own limits should have ended it. TCP does not notice what a
# proxy, a pooler or a tunnel has acknowledged and then lost.
ANSWER_S = 5.0
_LIMITS = (
    ("statement_timeout", "'4s'"),
    ("lock_timeout", "'2s'"),
    ("idle_in_transaction_session_timeout", "'5s'"),
)
# Said for a line that begins to listen.
_HELLO = "hello"
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


Result = TypeVar("Result")


class _LimitedConnection(Connection):
    """A connection that is closed when PostgreSQL does not answer a statement."""

    def wait(self, gen: PQGen[Result], *limits: Any, **named: Any) -> Result:
        try:
            return super().wait(_until_silent(gen), *limits, **named)
        except _SilentError:
            self.pgconn.finish()
            raise


class _SilentError(psycopg.OperationalError):
    """PostgreSQL has not answered a statement."""


def _until_silent(gen: PQGen[Result]) -> Generator[Wait, Ready | int, Result]:
    """Pass on what `gen` waits for. Raises: _SilentError when that does not come."""
    answered_at = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            mono = time.monotonic()
            if ready:
                answered_at = mono
            elif mono - answered_at > ANSWER_S:
                raise _SilentError(f"no answer from PostgreSQL for {ANSWER_S:.0f}s")
            wanted = gen.send(ready)
    except StopIteration as end:
        result: Result = end.value
        return result


def connect(dsn: str, schema: str) -> Connection:
    """Return a connection whose statements begin in the cluster's schema, in autocommit.

    Behind a pooler that passes each transaction to another session, nothing may be set in
    one: then the role must have the schema and the limits (`settings_of_role`), and nothing
    is prepared. A statement that is not answered within `ANSWER_S` closes the connection.

    Raises: psycopg.Error, which repeats nothing of a DSN that cannot be read.
    """
    try:
        given = postgres_dsn.read(dsn)
    except postgres_dsn.DsnError as error:
        raise psycopg.OperationalError(f"the DSN: {error}") from None
    chosen = {key: value for key, value in _KEEPALIVE.items() if key not in given}
    db = _LimitedConnection.connect(dsn, autocommit=True, prepare_threshold=None, **chosen)
    try:
        is_behind_pooler = is_pooled(db)
        if not (is_behind_pooler and has_settings(db, schema)):
            for name, value in settings_of_role(schema):
                db.execute(query(f"SET {name} = {value}"))
        if not is_behind_pooler:
            db.prepare_threshold = 2
    except BaseException:
        db.close()
        raise
    return db


def settings_of_role(schema: str) -> list[tuple[str, str]]:
    """Return the settings of a session, as in `ALTER ROLE ... SET name = value`."""
    return [("search_path", f'"{schema}", pg_catalog'), *_LIMITS]


def is_pooled(db: Connection) -> bool:
    """Return whether a pooler stands before the server: its numbers of sessions are its own."""
    return db.execute("SELECT pg_backend_pid()").fetchone() != (db.info.backend_pid,)


def has_settings(db: Connection, schema: str) -> bool:
    """Return whether the role has the search path as a setting of its own."""
    row = db.execute(
        "SELECT EXISTS (SELECT 1 FROM pg_db_role_setting, unnest(setconfig) AS given"
        " WHERE setrole IN (0, current_user::regrole) AND setdatabase IN"
        " (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
        " AND replace(given, '\"', '') = %s)",
        (f"search_path={schema}, pg_catalog",),
    ).fetchone()
    return row is not None and bool(row[0])


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

    What it misses is found by looking. is_receiving: something has arrived, a hello at
    first; behind a pooler that gives away its session, nothing ever does.
    """

    def __init__(self, dsn: str, schema: str, other: Connection | None = None) -> None:
        """Begin to listen. other: the connection that says hello. Raises: psycopg.Error."""
        self.is_receiving = False
        self._said: set[str] = set()
        self._db = connect(dsn, schema)
        # What comes with the answer to a statement is not left for `drain`.
        self._db.add_notify_handler(lambda notice: self._said.add(notice.payload))
        self._db.execute(query(f'LISTEN "{channel_of(schema)}"'))
        if other is not None:
            wake(other, schema, _HELLO)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._db.fileno()

    def drain(self) -> set[str]:
        """Return what was said since the last call. Raises: psycopg.Error."""
        self._db.pgconn.consume_input()
        said, self._said = self._said, set()
        while (notice := self._db.pgconn.notifies()) is not None:
            said.add(notice.extra.decode(errors="replace"))
        self.is_receiving = self.is_receiving or bool(said)
        return said - {_HELLO}

    def close(self) -> None:
        """End the connection."""
        close(self._db)


def wake(db: Connection, schema: str, whom: str) -> None:
    """Wake the hosts; whom: `leader`, `work`, or the name of a host after `host:`."""
    db.execute("SELECT pg_notify(%s, %s)", (channel_of(schema), whom))
