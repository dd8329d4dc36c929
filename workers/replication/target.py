"""The PostgreSQL side: one connection in one transaction, with a limit on every wait.

psycopg's generators say what they wait for, and `DeadlineConnection.wait` drives them. So
a run can be cancelled in the middle of a statement, and a connection that silently loses
data is given up.
Invariant: every wait ends, and every name or value in a statement is written by `quoted`
or `literal`, or passed as a parameter. Enter at `connected`.
"""

import os
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from workers.postgres_dsn import DsnError, read
from workers.replication.errors import ReplicationCancelledError, ReplicationError, of_postgres
from workers.replication.tables import quoted

CONNECT_LIMIT_S = 10
LOCK_LIMIT_S = 30
# A run that has just ended may still hold the schema's lock for a moment.
SCHEMA_LIMIT_S = 10
# Sent to the server as statement_timeout; no statement should take longer.
STATEMENT_LIMIT_S = 15 * 60
# After this time without a byte, a second connection asks the server whether the
# backend is still working.
SILENCE_S = 20.0
_LOOK_EVERY_MS = 200
# The kernel detects a dead peer after about 30 s.
_PATIENCE = {
    "connect_timeout": CONNECT_LIMIT_S,
    "application_name": "nightshift replication",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_ENVIRONMENT = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}
# Doubles are compared by their full text, types by their plain names.
# The last four make the server end a session whose client is gone, which frees its locks.
_SETTINGS = """
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL bytea_output = 'hex';
SET LOCAL standard_conforming_strings = on;
SET LOCAL extra_float_digits = 1;
SET LOCAL quote_all_identifiers = off;
SELECT set_config('search_path',
    concat_ws(', ', 'pg_catalog', nullif(current_setting('search_path'), '')), true);
SET LOCAL statement_timeout = '{statement}s';
SET LOCAL lock_timeout = '{lock}s';
SET LOCAL idle_in_transaction_session_timeout = '{statement}s';
SET LOCAL tcp_keepalives_idle = 10;
SET LOCAL tcp_keepalives_interval = 5;
SET LOCAL tcp_keepalives_count = 4"""
_OUR_STATE = "SELECT state FROM pg_stat_activity WHERE pid = %s"


class DeadlineConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits check `cancelled` and end when the server is gone.

    given: its connection parameters. pid: the server's backend PID, once known.
    """

    cancelled: Callable[[], bool] = staticmethod(lambda: False)
    given: Mapping[str, Any] = {}
    where: str = ""
    pid: int | None = None
    why_left: Exception | None = None

    def wait(self, gen: Any, interval: float = 0.0, timeout: float | None = None) -> Any:
        """Drive psycopg's generator and return its value; see `psycopg.waiting`.

        Raises:
            ReplicationCancelledError: the run was asked to end.
            ReplicationError: the server does not answer, or has lost the request.
        """
        try:
            wanted = next(gen)
            descriptor = self.pgconn.socket
            poll = select.poll()
            silent_since = time.monotonic()
            while True:
                poll.register(descriptor, _events(wanted))
                ready = poll.poll(_LOOK_EVERY_MS)
                if self.cancelled():
                    raise ReplicationCancelledError
                if ready:
                    silent_since = time.monotonic()
                elif time.monotonic() - silent_since > SILENCE_S:
                    self._ask_whether_it_works()
                    silent_since = time.monotonic()
                wanted = gen.send(_ready(ready[0][1], wanted) if ready else 0)
        except StopIteration as done:
            return done.value
        except (ReplicationCancelledError, ReplicationError) as reason:
            # Closing needs no answer, and the server rolls back. Keep the reason, because psycopg
            # will only report a closed connection.
            self.why_left = reason
            self.pgconn.finish()
            raise

    def _ask_whether_it_works(self) -> None:
        pid = self.pid or self.pgconn.backend_pid
        try:
            with psycopg.connect(**self.given, autocommit=True) as second:
                line = second.execute(_OUR_STATE, (pid,)).fetchone()
        except psycopg.OperationalError as error:
            if error.sqlstate:  # the server is up, but full or stopping
                return
            text = f"does not answer any more: nothing for {SILENCE_S:.0f} s"
            raise ReplicationError(f"PostgreSQL at {self.where} {text}", permanent=False) from None
        if line is None or (line[0] or "active").startswith("idle"):
            text = "has lost what it was asked; something between swallows bytes"
            raise ReplicationError(f"PostgreSQL at {self.where} {text}", permanent=False)


class Target:
    """A schema, in the transaction of its connection; `schema` is the unquoted name."""

    def __init__(self, connection: DeadlineConnection, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def execute(self, text: str, values: Mapping[str, object] | None = None) -> Any:
        """Run a statement and return its cursor; with `values`, a literal % must be doubled."""
        return self.connection.execute(text, values)

    def one(self, text: str, values: Mapping[str, object] | None = None) -> Any:
        """Return the first row, or None."""
        return self.execute(text, values).fetchone()

    def copy_in(self, text: str, batches: Iterator[tuple[int, bytes]]) -> int:
        """Run COPY FROM STDIN with batches of (rows, bytes); return the number of rows copied.

        Raises:
            ReplicationError: PostgreSQL copied another number of rows than were sent.
        """
        sent = 0
        with self.connection.cursor() as cursor:
            with cursor.copy(text) as copy:
                for rows, batch in batches:
                    sent += rows
                    copy.write(batch)
            if cursor.rowcount != sent:
                raise ReplicationError(
                    f"{sent} rows were sent, PostgreSQL took {cursor.rowcount}: {text}"
                )
            return sent

    def savepoint(self) -> AbstractContextManager[object]:
        """Return a context manager that rolls back only its own block on failure."""
        return self.connection.transaction()

    def stream(self, text: str, at_once: int = 1000) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query through a server-side cursor, `at_once` rows at a time."""
        with self.connection.cursor(name="nightshift_stream") as cursor:
            cursor.itersize = at_once
            cursor.execute(text)
            yield from cursor

    def unsorted(self, text: str) -> list[tuple[Any, ...]]:
        """Return all rows of a grouping query, planned without a sort of whole rows."""
        self.execute("SET LOCAL enable_sort = off")
        found: list[tuple[Any, ...]] = self.execute(text).fetchall()
        self.execute("SET LOCAL enable_sort = on")
        return found

    def count(self, written: str) -> int:
        """Return the number of rows in a table, given by its quoted name."""
        return int(self.one(f"SELECT count(*) FROM {written}")[0])

    def literal(self, value: object) -> str:
        """Return a value as an SQL literal."""
        return sql.Literal(value).as_string(self.connection)

    def named(self, table: str) -> str:
        """Return the quoted name of a table, with its schema."""
        return f"{quoted(self.schema)}.{quoted(table)}"


@contextmanager
def connected(dsn: str, schema: str, cancelled: Callable[[], bool]) -> Iterator[Target]:
    """Yield a target that holds the schema's lock; its transaction rolls back unless committed.

    Raises:
        ReplicationError: the server cannot be reached or refuses, another replication runs
            into this schema, or a later statement fails.
    """
    given = _given(dsn)
    where, secret = _place(given), str(given.get("password") or "")
    try:
        connection = DeadlineConnection.connect(**given)
    except psycopg.Error as error:
        raise of_postgres(where, error, secret) from None
    except UnicodeError as error:
        # Python's resolver raises it for an invalid host name.
        raise ReplicationError(
            f"PostgreSQL at {where}: expected the name of a host: {error}"
        ) from None
    connection.cancelled, connection.given, connection.where = cancelled, given, where
    # What another run commits while this one waits for its lock must be visible afterwards.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    target = Target(connection, schema)
    try:
        _settle(target, where)
        yield target
    except psycopg.Error as error:
        raise (target.connection.why_left or of_postgres(where, error, secret)) from None
    finally:
        with suppress(psycopg.Error):
            connection.close()


def _place(given: Mapping[str, Any]) -> str:
    """Return host, port and database of a connection for messages, without secrets."""
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST")
    port = given.get("port") or os.environ.get("PGPORT") or "5432"
    name = given.get("dbname") or os.environ.get("PGDATABASE") or ""
    service = given.get("service") or os.environ.get("PGSERVICE")
    if not host and service:
        return f"service {service}"
    return f"{host or 'the local socket'}:{port}/{name}".rstrip("/")


def _given(dsn: str) -> dict[str, Any]:
    """Return the DSN's parameters, with our defaults where DSN and environment set nothing."""
    try:
        given = read(dsn)
    except DsnError as error:
        raise ReplicationError(f"postgres: {error}") from None
    ours = {
        name: value
        for name, value in _PATIENCE.items()
        if not os.environ.get(_ENVIRONMENT.get(name, ""))
    }
    # Set before connecting, because the first statement already contains the schema's name.
    return {**ours, **given, "client_encoding": "UTF8"}


def _settle(target: Target, where: str) -> None:
    """Set limits and formats and take the schema's lock, which begins the transaction."""
    encoding = target.connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ReplicationError(
            f"PostgreSQL at {where}: the database's encoding is {encoding}, not UTF8"
        )
    settings = _SETTINGS.format(statement=STATEMENT_LIMIT_S, lock=LOCK_LIMIT_S)
    # One message for both; `one` reads the first result, which is the lock's.
    name = target.literal(f"nightshift replication {target.schema}")
    # Qualified with pg_catalog, because the search path is only set afterwards.
    number = f"pg_catalog.hashtextextended({name}, 0)"
    lock = f"pg_catalog.pg_try_advisory_xact_lock({number})"
    # A pooler reports PIDs of its own; only the server knows the backend's PID.
    query = f"SELECT {lock}, pg_catalog.pg_backend_pid();{settings}"
    is_ours, target.connection.pid = target.one(query)
    if not is_ours:
        _wait_for_schema(target, where, number)


def _wait_for_schema(target: Target, where: str, number: str) -> None:
    """Wait for the schema's lock, at most `SCHEMA_LIMIT_S` seconds.

    Raises:
        ReplicationError: another replication still holds the lock.
        ReplicationCancelledError: the run was cancelled while waiting.
    """
    try:
        target.execute(
            f"SET LOCAL lock_timeout = '{SCHEMA_LIMIT_S}s';"
            f"SELECT pg_catalog.pg_advisory_xact_lock({number})"
        )
    except psycopg.errors.LockNotAvailable:
        raise ReplicationError(
            f"another replication into schema {target.schema} of {where} is running, and was"
            f" waited for {SCHEMA_LIMIT_S} s",
            permanent=False,
        ) from None
    target.execute(f"SET LOCAL lock_timeout = '{LOCK_LIMIT_S}s'")


def _events(wanted: int) -> int:
    # psycopg's Wait: 1 to read, 2 to write.
    return (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0)


def _ready(events: int, wanted: int) -> int:
    if events & ~(select.POLLIN | select.POLLOUT):
        return wanted  # an error: the next read or write reports it
    return (1 if events & select.POLLIN else 0) | (2 if events & select.POLLOUT else 0)
