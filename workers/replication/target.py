"""The PostgreSQL side: one connection, and how long it may be waited for.

psycopg says in its generators what it waits for; `Patient` is the heart that
drives them (`wait`), so that each wait has a limit, a wish to end is heard in
the middle of a statement, and a server that swallows what it is sent is left.
The law: every wait here ends, and nothing is sent that `quoted` or `literal`
has not written. Enter at `connected`; afterwards all is one transaction.
"""

import os
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from workers.dsn import BadDsn, read
from workers.replication.shape import quoted
from workers.replication.trouble import Cancelled, Trouble, of_postgres

CONNECT_LIMIT_S = 10
LOCK_LIMIT_S = 30
# A replication that has just ended may still hold the schema for a moment.
SCHEMA_LIMIT_S = 10
# No statement of ours is meant to take longer; the server is told.
STATEMENT_LIMIT_S = 15 * 60
# After so long without a byte the server is asked, by a second connection,
# whether it still works for us.
SILENCE_S = 20.0
_LOOK_EVERY_MS = 200
# A peer that is gone is noticed by the system after about half a minute.
_PATIENCE = {
    "connect_timeout": CONNECT_LIMIT_S,
    "application_name": "nightshift replication",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_ENVIRONMENT = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}
# Doubles are compared by their whole text, types by their plain names.
# The last four: a session whose client is gone must not keep its locks for hours.
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


class Patient(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits look at `cancelled` and end when the server is gone.

    given: what it was made with. pid: of the server's process, once it has said so.
    """

    cancelled: Callable[[], bool] = staticmethod(lambda: False)
    given: Mapping[str, Any] = {}
    where: str = ""
    pid: int | None = None
    why_left: Exception | None = None

    def wait(self, gen: Any, interval: float = 0.0, timeout: float | None = None) -> Any:
        """Drive psycopg's generator to its value; see `psycopg.waiting`.

        Raises:
            Cancelled: the run was asked to end. Trouble: the server is silent.
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
                    raise Cancelled
                if ready:
                    silent_since = time.monotonic()
                elif time.monotonic() - silent_since > SILENCE_S:
                    self._ask_whether_it_works()
                    silent_since = time.monotonic()
                wanted = gen.send(_ready(ready[0][1], wanted) if ready else 0)
        except StopIteration as done:
            return done.value
        except (Cancelled, Trouble) as reason:
            # Closing is the one message that needs no answer; the server rolls back.
            # What psycopg says of a closed connection afterwards is not the reason.
            self.why_left = reason
            self.pgconn.finish()
            raise

    def _ask_whether_it_works(self) -> None:
        pid = self.pid or self.pgconn.backend_pid
        try:
            with psycopg.connect(**self.given, autocommit=True) as second:
                line = second.execute(_OUR_STATE, (pid,)).fetchone()
        except psycopg.OperationalError as error:
            if error.sqlstate:  # it lives, and is full or stopping
                return
            text = f"does not answer any more: nothing for {SILENCE_S:.0f} s"
            raise Trouble(f"PostgreSQL at {self.where} {text}", permanent=False) from None
        if line is None or (line[0] or "active").startswith("idle"):
            text = "has lost what it was asked; something between swallows bytes"
            raise Trouble(f"PostgreSQL at {self.where} {text}", permanent=False)


class Target:
    """A schema in a transaction of its own; `schema` is a plain name."""

    def __init__(self, connection: Patient, schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def execute(self, text: str, values: Mapping[str, object] | None = None) -> Any:
        """Run a statement; a cursor with its rows. `values` only where no name stands."""
        return self.connection.execute(text, values)

    def one(self, text: str, values: Mapping[str, object] | None = None) -> Any:
        """The first row, or None."""
        return self.execute(text, values).fetchone()

    def copy_in(self, text: str, batches: Iterator[tuple[int, bytes]]) -> int:
        """COPY FROM STDIN of (rows, bytes); how many rows PostgreSQL took.

        Raises:
            Trouble: it took another number than was sent.
        """
        sent = 0
        with self.connection.cursor() as cursor:
            with cursor.copy(text) as copy:
                for rows, batch in batches:
                    sent += rows
                    copy.write(batch)
            if cursor.rowcount != sent:
                raise Trouble(f"{sent} rows were sent, PostgreSQL took {cursor.rowcount}: {text}")
            return sent

    def savepoint(self) -> AbstractContextManager[object]:
        """What fails inside is undone, and the transaction goes on."""
        return self.connection.transaction()

    def stream(self, text: str, at_once: int = 1000) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, so many at a time, whatever their number."""
        with self.connection.cursor(name="nightshift_stream") as cursor:
            cursor.itersize = at_once
            cursor.execute(text)
            yield from cursor

    def unsorted(self, text: str) -> list[tuple[Any, ...]]:
        """All rows of a query that groups; PostgreSQL would sort whole rows to do so."""
        self.execute("SET LOCAL enable_sort = off")
        found: list[tuple[Any, ...]] = self.execute(text).fetchall()
        self.execute("SET LOCAL enable_sort = on")
        return found

    def count(self, written: str) -> int:
        """How many rows the table written so has."""
        return int(self.one(f"SELECT count(*) FROM {written}")[0])

    def literal(self, value: object) -> str:
        """A value as it is written in a statement."""
        return sql.Literal(value).as_string(self.connection)

    def named(self, table: str) -> str:
        """A table of the schema as it is written in a statement."""
        return f"{quoted(self.schema)}.{quoted(table)}"


@contextmanager
def connected(dsn: str, schema: str, cancelled: Callable[[], bool]) -> Iterator[Target]:
    """The schema's only replication, in a transaction that is rolled back unless committed.

    Raises:
        Trouble: the server cannot be reached, refuses, or has another one of
            us in this schema; or whatever it says later.
    """
    given = _given(dsn)
    where, secret = _place(given), str(given.get("password") or "")
    try:
        connection = Patient.connect(**given)
    except psycopg.Error as error:
        raise of_postgres(where, error, secret) from None
    except UnicodeError as error:
        # Python's resolver says so of a host that cannot be one.
        raise Trouble(f"PostgreSQL at {where}: expected the name of a host: {error}") from None
    connection.cancelled, connection.given, connection.where = cancelled, given, where
    # What another run commits while its lock is waited for has to be seen afterwards.
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
    """Where a connection leads, for people: host, port and database, no secret."""
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST")
    port = given.get("port") or os.environ.get("PGPORT") or "5432"
    name = given.get("dbname") or os.environ.get("PGDATABASE") or ""
    service = given.get("service") or os.environ.get("PGSERVICE")
    if not host and service:
        return f"service {service}"
    return f"{host or 'the local socket'}:{port}/{name}".rstrip("/")


def _given(dsn: str) -> dict[str, Any]:
    """What a DSN says, and our patience where neither it nor the environment says anything."""
    try:
        given = read(dsn)
    except BadDsn as error:
        raise Trouble(f"postgres: {error}") from None
    ours = {
        name: value
        for name, value in _PATIENCE.items()
        if not os.environ.get(_ENVIRONMENT.get(name, ""))
    }
    # From the first byte on: a schema's name is in our first statement.
    return {**ours, **given, "client_encoding": "UTF8"}


def _settle(target: Target, where: str) -> None:
    """Limits, spelling and the lock; the transaction has begun with it."""
    encoding = target.connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise Trouble(f"PostgreSQL at {where}: the database's encoding is {encoding}, not UTF8")
    settings = _SETTINGS.format(statement=STATEMENT_LIMIT_S, lock=LOCK_LIMIT_S)
    # One message for both: the first answer is the lock's.
    name = target.literal(f"nightshift replication {target.schema}")
    # Spelled out, since the search path is settled only afterwards.
    number = f"pg_catalog.hashtextextended({name}, 0)"
    lock = f"pg_catalog.pg_try_advisory_xact_lock({number})"
    # A pooler gives sessions numbers of its own: only the server knows who works for us.
    query = f"SELECT {lock}, pg_catalog.pg_backend_pid();{settings}"
    is_ours, target.connection.pid = target.one(query)
    if not is_ours:
        _wait_for_schema(target, where, number)


def _wait_for_schema(target: Target, where: str, number: str) -> None:
    """Take the schema's lock as soon as the other replication lets go of it.

    Raises:
        Trouble: it does not within some seconds. Cancelled: meanwhile.
    """
    try:
        target.execute(
            f"SET LOCAL lock_timeout = '{SCHEMA_LIMIT_S}s';"
            f"SELECT pg_catalog.pg_advisory_xact_lock({number})"
        )
    except psycopg.errors.LockNotAvailable:
        raise Trouble(
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
        return wanted  # an error: the next read or write says which
    return (1 if events & select.POLLIN else 0) | (2 if events & select.POLLOUT else 0)
