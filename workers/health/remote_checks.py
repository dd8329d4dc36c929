"""Measures taken on other machines: PostgreSQL and URLs.

Each question is asked in a thread of its own that nobody has to wait for: a
peer that swallows bytes may keep it for ever. The law: no text that a library
made of a DSN or of a URL gets out, since both may hold secrets.
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
# In whichever schema replication keeps it; normally there is one.
_STATES = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind = 'r'"""
_NEWEST = "SELECT MAX(snapshot_at)::timestamptz FROM {table}"


class RemoteCheck:
    """A question that was asked; `late` makes the answer if none comes, of the seconds waited."""

    def __init__(
        self, ask: Callable[[], Sequence[Measure]], late: Callable[[float], Measure]
    ) -> None:
        self._asked_at = time.monotonic()
        self._answer: Sequence[Measure] = ()
        self._late = late
        self._thread = threading.Thread(target=self._listen, args=(ask,), daemon=True)
        self._thread.start()

    def answer(self, deadline: float, check: Callable[[], None]) -> Sequence[Measure]:
        """What came until `deadline` (monotonic); `check` is called meanwhile, and may raise."""
        while self._thread.is_alive() and time.monotonic() < deadline:
            check()
            self._thread.join(_LOOK_EVERY_S)
        return self._answer or (self._late(time.monotonic() - self._asked_at),)

    def _listen(self, ask: Callable[[], Sequence[Measure]]) -> None:
        self._answer = ask()


def ask_postgres(dsn: str, replication: bool, limit_s: float) -> RemoteCheck:
    """Whether PostgreSQL answers; with `replication` also when it was last written to."""

    def late(waited_s: float) -> Postgres:
        return Postgres(_silent(waited_s), waited_s)

    return RemoteCheck(lambda: _postgres(dsn, replication, limit_s), late)


def ask_page(url: str, limit_s: float) -> RemoteCheck:
    """Whether a URL answers."""
    name = shown(url)

    def late(waited_s: float) -> Page:
        return Page(name, _silent(waited_s), waited_s)

    return RemoteCheck(lambda: _page(url, name, limit_s), late)


def shown(url: str) -> str:
    """`url` without user, password and query."""
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
            connect_timeout=max(2, int(limit_s)),  # libpq takes no less
            application_name=_APPLICATION,
        ) as connection:
            limit = (str(int(limit_s * 1000)),)
            connection.execute("SELECT set_config('statement_timeout', %s, false)", limit)
            answered = Postgres("", time.monotonic() - began)
            return [answered, _replica(connection)] if replication else [answered]
    except (psycopg.Error, UnicodeError) as error:  # the second of a host that cannot be one
        return [Postgres(f"does not answer: {_line(error)}", time.monotonic() - began)]


def _replica(connection: "psycopg.Connection[tuple[Any, ...]]") -> Replica | NoReplica:
    """How old the moment of the source is that stands in PostgreSQL."""
    import psycopg

    try:
        states = connection.execute(_STATES, (_STATE,)).fetchall()
        found = [connection.execute(_NEWEST.format(table=name)).fetchall() for (name,) in states]
    except psycopg.ProgrammingError as error:  # no rights, or a table of another make
        return NoReplica(f"cannot be judged: {_line(error)}")
    known = [moment for ((moment,),) in found if moment is not None]
    if not known:
        return NoReplica("has never committed")
    # The moment was read from the source's clock, which is ours.
    return Replica(max(0.0, (datetime.now(UTC) - max(known)).total_seconds()))


def _page(url: str, name: str, limit_s: float) -> Sequence[Measure]:
    import requests

    began = time.monotonic()
    try:
        # The status is the answer; the body stays where it is.
        with requests.get(url, timeout=limit_s, stream=True) as answer:
            trouble = "" if answer.ok else f"answers {answer.status_code}"
    except requests.exceptions.SSLError:
        trouble = "shows a certificate that is not trusted here"
    except requests.exceptions.Timeout:
        trouble = _silent(limit_s)
    except requests.exceptions.ConnectionError:
        trouble = "cannot be connected to"
    except (requests.exceptions.RequestException, ValueError) as error:
        trouble = f"cannot be asked ({type(error).__name__})"
    return [Page(name, trouble, time.monotonic() - began)]


def _silent(waited_s: float) -> str:
    return f"gave no answer for {format_duration(waited_s)}"


def _line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST_LINE]
