"""Requests to another host through PostgreSQL: its answer as a whole, or as it comes.

Who asks writes a row and reads the answer from it. What is streamed is taken out of the row
piece by piece, and each time says that there is still a reader (request_server.py and
stream_sender.py are the other side).
"""

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import psycopg

from supervisor.cluster import session
from supervisor.cluster.session import Connection

# Who asks waits no longer for the answer, or for the begin of a stream.
ANSWER_S = 10.0
# How long a lost wake-up delays an answer.
LOOK_EVERY_S = 0.2
# How often a stream is looked for without a wake-up.
FOLLOW_EVERY_S = 1.0
# A stream that nobody has taken anything of for so long is ended.
ABANDONED_S = 15.0
_TAKE = """
WITH taken AS (SELECT * FROM control_requests WHERE id = %(id)s FOR UPDATE)
UPDATE control_requests AS row
SET asked_at = now(), answer = CASE WHEN taken.status IS NOT NULL THEN ''::bytea END
FROM taken WHERE row.id = taken.id
RETURNING taken.status, taken.answer_headers, taken.answer, taken.ended_at IS NOT NULL, row.host,
    coalesce((SELECT worker IS NOT NULL FROM hosts WHERE name = row.host), true)
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. host: who is to answer; None: the leader. peer: for whom it is asked."""

    host: str | None
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer; lost: the host that can send no more of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    lost: str = ""


class NoAnswerError(Exception):
    """Nobody has answered in time."""


def ask(db: Connection, dsn: str, schema: str, asked: Asked) -> Piece:
    """Return the whole answer. Raises: NoAnswerError, psycopg.Error, OSError."""
    with _row(db, dsn, schema, asked) as (number, line):
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            select.select([line], [], [], LOOK_EVERY_S)
            line.drain()
            row = db.execute(
                "SELECT status, answer_headers, answer FROM control_requests"
                " WHERE id = %s AND status IS NOT NULL",
                (number,),
            ).fetchone()
            if row is not None:
                return Piece(row[0], msgspec.json.decode(row[1]), bytes(row[2]))
    raise NoAnswerError


def follow(
    db: Connection, dsn: str, schema: str, asked: Asked, is_wanted: Callable[[], bool]
) -> Iterator[Piece]:
    """Yield the answer as it comes, the first piece with its begin.

    is_wanted: whether there is still a reader; asked once in a while.

    Raises: NoAnswerError, psycopg.Error, OSError.
    """
    with _row(db, dsn, schema, asked) as (number, line):
        deadline, has_begun = time.monotonic() + ANSWER_S, False
        while is_wanted():
            _await(line, number)
            row = db.execute(session.query(_TAKE), {"id": number}).fetchone()
            if row is None:
                return
            status, headers, body, is_over, host, is_alive = row
            if status is None:
                if time.monotonic() > deadline:
                    raise NoAnswerError
                continue
            if body or not has_begun or not is_alive:
                lost = "" if is_alive or is_over else str(host)
                yield Piece(status, msgspec.json.decode(headers), bytes(body), lost)
            has_begun = True
            if is_over or not is_alive:
                return


def _await(line: session.WakeLine, number: int) -> None:
    """Wait for a wake-up that this stream has grown, for a while."""
    until = time.monotonic() + FOLLOW_EVERY_S
    while (left_s := until - time.monotonic()) > 0:
        select.select([line], [], [], left_s)
        if f"answer:{number}" in line.drain():
            return


@contextmanager
def _row(
    db: Connection, dsn: str, schema: str, asked: Asked
) -> Iterator[tuple[int, session.WakeLine]]:
    """Write the request and yield its number, and a line that wakes; remove it afterwards."""
    line = session.WakeLine(dsn, schema)
    try:
        row = db.execute(
            "INSERT INTO control_requests (host, peer, method, target, headers, body)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            (
                asked.host,
                asked.peer,
                asked.method,
                asked.target,
                msgspec.json.encode(dict(asked.headers)).decode(),
                asked.body,
            ),
        ).fetchone()
        assert row is not None
        session.wake(db, schema, f"request:{asked.host or 'leader'}")
        try:
            yield row[0], line
        finally:
            with contextlib.suppress(psycopg.Error, OSError):
                db.execute("DELETE FROM control_requests WHERE id = %s", (row[0],))
    finally:
        line.close()
