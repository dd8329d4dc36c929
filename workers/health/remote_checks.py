"""Measure other machines: PostgreSQL and URLs.

Each request runs in its own daemon thread, because a peer that accepts a connection and
never answers may block it for ever. Invariant: no text that a library made from a DSN or a
URL is reported, because both may contain secrets.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from workers.health.measurements import Measure, NoReplica, Page, Postgres, Replica
from workers.units import format_duration

if TYPE_CHECKING:
    import psycopg

_LOOK_EVERY_S = 0.05
_LONGEST_LINE = 200
_APPLICATION = "nightshift health"
_STATE = "nightshift_replication"
# In the schema that replication uses; normally there is one such table.
_STATES = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind = 'r'"""
# A replica dated further ahead says nothing about its age; clocks of two machines may differ.
_CLOCKS_DIFFER_S = 3600.0
_NEWEST = "SELECT MAX(snapshot_at)::timestamptz FROM {table}"


class RemoteCheck:
    """A pending request; `late` makes the result from the seconds waited if there is no answer."""

    def __init__(
        self, ask: Callable[[], Sequence[Measure]], late: Callable[[float], Measure]
    ) -> None:
        self._asked_at = time.monotonic()
        self._answer: Sequence[Measure] = ()
        self._late = late
        self._thread = threading.Thread(target=self._listen, args=(ask,), daemon=True)
        self._thread.start()

    def answer(self, deadline: float, check: Callable[[], None]) -> Sequence[Measure]:
        """Return the result at `deadline` (monotonic); `check` is called meanwhile, may raise."""
        while self._thread.is_alive() and time.monotonic() < deadline:
            check()
            self._thread.join(_LOOK_EVERY_S)
        return self._answer or (self._late(time.monotonic() - self._asked_at),)

    def _listen(self, ask: Callable[[], Sequence[Measure]]) -> None:
        self._answer = ask()


def ask_postgres(dsn: str, replication: bool, limit_s: float) -> RemoteCheck:
    """Start measuring whether PostgreSQL responds, and with `replication` the replica's age."""

    def late(waited_s: float) -> Postgres:
        return Postgres(_silent(waited_s), waited_s)

    return RemoteCheck(lambda: _postgres(dsn, replication, limit_s), late)


def ask_page(url: str, limit_s: float) -> RemoteCheck:
    """Start measuring whether a URL responds."""
    name = shown(url)

    def late(waited_s: float) -> Page:
        return Page(name, _silent(waited_s), waited_s)

    return RemoteCheck(lambda: _page(url, name, limit_s), late)


def shown(url: str) -> str:
    """Return `url` without user, password and query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _postgres(dsn: str, replication: bool, limit_s: float) -> Sequence[Measure]:
    import psycopg

    from workers.postgres_dsn import DsnError, read

    try:
        read(dsn)
    except DsnError as error:
        return [Postgres(f"cannot be asked: {error}", 0.0)]
    began = time.monotonic()
    try:
        with psycopg.connect(
            dsn,
            autocommit=True,
            connect_timeout=max(2, int(limit_s)),  # libpq's minimum is 2 s
            application_name=_APPLICATION,
        ) as connection:
            limit = (str(int(limit_s * 1000)),)
            connection.execute("SELECT set_config('statement_timeout', %s, false)", limit)
            answered = Postgres("", time.monotonic() - began)
            return [answered, _replica(connection)] if replication else [answered]
    except (psycopg.Error, UnicodeError) as error:  # UnicodeError: an invalid host name
        return [Postgres(f"does not answer: {_line(error)}", time.monotonic() - began)]


def _replica(connection: "psycopg.Connection[tuple[Any, ...]]") -> Replica | NoReplica:
    """Return the age of the source's snapshot that PostgreSQL holds."""
    import psycopg

    try:
        states = connection.execute(_STATES, (_STATE,)).fetchall()
        found = [connection.execute(_NEWEST.format(table=name)).fetchall() for (name,) in states]
    # Missing privileges, or a table of another version or program, or a time Python cannot hold.
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        return NoReplica(f"cannot be judged: {_line(error)}")
    known = [moment for ((moment,),) in found if moment is not None]
    if not known:
        return NoReplica("has never committed")
    # The snapshot time was read from this machine's clock.
    age_s = (datetime.now(UTC) - max(known)).total_seconds()
    if age_s < -_CLOCKS_DIFFER_S:
        return NoReplica(
            f"is dated {format_duration(-age_s)} in the future: a clock is or was wrong, so that"
            " its age is not known; the next successful replication corrects it"
        )
    return Replica(max(0.0, age_s))


def _page(url: str, name: str, limit_s: float) -> Sequence[Measure]:
    import requests

    began = time.monotonic()
    try:
        # The status is enough; the body is not read.
        with requests.get(url, timeout=limit_s, stream=True) as answer:
            problem = "" if answer.ok else f"answers {answer.status_code}"
    except requests.exceptions.SSLError:
        problem = "shows a certificate that is not trusted here"
    except requests.exceptions.Timeout:
        problem = _silent(limit_s)
    except requests.exceptions.ConnectionError:
        problem = "cannot be connected to"
    # OSError includes RequestException, and what is wrong with REQUESTS_CA_BUNDLE.
    except (OSError, ValueError) as error:
        problem = f"cannot be asked ({type(error).__name__})"
    return [Page(name, problem, time.monotonic() - began)]


def _silent(waited_s: float) -> str:
    return f"gave no answer for {format_duration(waited_s)}"


def _line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST_LINE]
