"""The PostgreSQL side: one connection in one transaction, with a limit on every wait.

Invariant: every wait ends, and every name or value in a statement is written by `quoted`
or `literal`, or passed as a parameter. Enter at `connected`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from workers.postgres_dsn import DsnError, read
from workers.replication.deadline_connection import DeadlineConnection
from workers.replication.errors import ReplicationError, of_postgres
from workers.replication.settings import Destination
from workers.replication.tables import quoted
from workers.units import format_count

CONNECT_LIMIT_S = 10
LOCK_LIMIT_S = 30
# A run that has just ended may still hold the schema's lock for a moment.
SCHEMA_LIMIT_S = 10
# Sent to the server as statement_timeout; no statement should take longer.
STATEMENT_LIMIT_S = 15 * 60
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
                were = format_count(sent, "row was", "rows were")
                raise ReplicationError(f"{were} sent, PostgreSQL took {cursor.rowcount}: {text}")
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
def connected(destination: Destination, cancelled: Callable[[], bool]) -> Iterator[Target]:
    """Yield a target that holds the schema's lock; its transaction rolls back unless committed.

    Raises:
        ReplicationError: the server cannot be reached or refuses, another replication runs
            into this schema, or a later statement fails.
    """
    with _opened(destination, cancelled) as target:
        # What another run commits while this one waits for its lock must be visible afterwards.
        target.connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        _settle(target)
        yield target


@contextmanager
def sharing(destination: Destination, snapshot: str) -> Iterator[Target]:
    """Yield a target whose transaction sees what the one that exported `snapshot` sees.

    That transaction holds the schema's lock.

    Raises:
        ReplicationError: the server cannot be reached, or does not know the snapshot.
    """
    with _opened(destination, lambda: False) as target:
        target.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # It has to be the first statement.
        target.execute(f"SET TRANSACTION SNAPSHOT {target.literal(snapshot)}")
        query = f"SELECT pg_catalog.pg_backend_pid();{_limits()}"
        (target.connection.pid,) = target.one(query)
        yield target


@contextmanager
def translated(connection: DeadlineConnection) -> Iterator[None]:
    """Turn errors of psycopg inside the block into a ReplicationError."""
    try:
        yield
    except psycopg.Error as error:
        secret = str(connection.given.get("password") or "")
        raise (connection.why_left or of_postgres(connection.where, error, secret)) from None


@contextmanager
def _opened(destination: Destination, cancelled: Callable[[], bool]) -> Iterator[Target]:
    given = _given(destination.dsn)
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
    try:
        with translated(connection):
            _refuse_encoding(connection)
            yield Target(connection, destination.schema)
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


def _refuse_encoding(connection: DeadlineConnection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ReplicationError(
            f"PostgreSQL at {connection.where}: the database's encoding is {encoding}, not UTF8"
        )


def _limits() -> str:
    return _SETTINGS.format(statement=STATEMENT_LIMIT_S, lock=LOCK_LIMIT_S)


def _settle(target: Target) -> None:
    """Set limits and formats and take the schema's lock, which begins the transaction."""
    # One message for both; `one` reads the first result, which is the lock's.
    name = target.literal(f"nightshift replication {target.schema}")
    # Qualified with pg_catalog, because the search path is only set afterwards.
    number = f"pg_catalog.hashtextextended({name}, 0)"
    lock = f"pg_catalog.pg_try_advisory_xact_lock({number})"
    # A pooler reports PIDs of its own; only the server knows the backend's PID.
    query = f"SELECT {lock}, pg_catalog.pg_backend_pid();{_limits()}"
    is_ours, target.connection.pid = target.one(query)
    if not is_ours:
        _wait_for_schema(target, number)


def _wait_for_schema(target: Target, number: str) -> None:
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
            f"another replication into schema {target.schema} of {target.connection.where} is"
            f" running, and was waited for {SCHEMA_LIMIT_S} s",
            permanent=False,
        ) from None
    target.execute(f"SET LOCAL lock_timeout = '{LOCK_LIMIT_S}s'")
