"""Sends what a socket of this host streams to a host that asked for it, through PostgreSQL.

The row of the request holds what was not taken yet, at most `MOST_WAITING` bytes and a
piece: the sender waits until it is taken, and ends when nobody takes it any more.
"""

import contextlib
import threading
import time
from typing import Any

import msgspec
import psycopg

from supervisor import socket_http
from supervisor.cluster import session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.remote import ABANDONED_S
from supervisor.cluster.session import Connection

# Streams that are sent at the same time; the next one is refused.
MOST_STREAMS = 16
MOST_WAITING = 256 * 1024
LOOK_EVERY_S = 5.0
_PIECE = 64 * 1024
_ADD = (
    "UPDATE control_requests SET answer = answer || %s,"
    " ended_at = CASE WHEN %s THEN now() END"
    " WHERE id = %s AND asked_at > now() - make_interval(secs => %s) RETURNING length(answer)"
)
_LOOK = (
    "SELECT length(answer) FROM control_requests"
    " WHERE id = %s AND asked_at > now() - make_interval(secs => %s)"
)


class StreamSender:
    """The streams of this host that others follow."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._places = threading.BoundedSemaphore(MOST_STREAMS)

    def begin(self, number: int, path: str, target: str, headers: dict[str, str]) -> bool:
        """Send the answer to a request in a thread; return False if there are too many."""
        if not self._places.acquire(blocking=False):
            return False
        given = (number, path, target, headers)
        threading.Thread(target=self._run, args=given, name="stream", daemon=True).start()
        return True

    def _run(self, number: int, path: str, target: str, headers: dict[str, str]) -> None:
        db: Connection | None = None
        try:
            db = session.connect(self._settings.cluster.postgres, self._settings.schema)
            answer = socket_http.request(path, "GET", target, headers=headers)
            over = threading.Event()
            watch = threading.Thread(target=_watch, args=(db, number, answer, over), daemon=True)
            watch.start()
            try:
                self._send(db, number, answer)
            finally:
                over.set()
                answer.body.close()
        except (*socket_http.ERRORS, psycopg.Error):
            pass  # who asks gets no answer, or no more of it, and asks again
        finally:
            session.close(db)
            self._places.release()

    def _send(self, db: Connection, number: int, answer: socket_http.Answer) -> None:
        kept = answer.headers("Content-Type")
        db.execute(
            "UPDATE control_requests SET status = %s, answer_headers = %s, answer = '', host = %s"
            " WHERE id = %s",
            (answer.status, msgspec.json.encode(kept).decode(), self._settings.host, number),
        )
        session.wake(db, self._settings.schema, f"answer:{number}")
        while True:
            piece = answer.body.read1(_PIECE)
            row = db.execute(_ADD, (piece, not piece, number, ABANDONED_S)).fetchone()
            session.wake(db, self._settings.schema, f"answer:{number}")
            if not piece or row is None:
                return
            while row is not None and row[0] > MOST_WAITING:
                time.sleep(LOOK_EVERY_S / 50)
                row = _waiting(db, number)


def _waiting(db: Connection, number: int) -> tuple[Any, ...] | None:
    """Return how many bytes wait to be taken; None: nobody takes them any more."""
    return db.execute(_LOOK, (number, ABANDONED_S)).fetchone()


def _watch(db: Connection, number: int, answer: socket_http.Answer, over: threading.Event) -> None:
    """End a stream that nobody reads, also one that says nothing."""
    while not over.wait(LOOK_EVERY_S):
        with contextlib.suppress(psycopg.Error, OSError):
            if _waiting(db, number) is not None:
                continue
        answer.abort()
        return
