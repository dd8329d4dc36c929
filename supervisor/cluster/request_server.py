"""Answers the requests that other hosts have written for this one, or for its leader.

Each is answered over a socket of this host: the leader's, or that of the supervisor for
the output of a run.
"""

from pathlib import Path
from typing import Any

import msgspec

from supervisor import socket_http
from supervisor.cluster import session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.leadership import Candidate
from supervisor.cluster.remote import ANSWER_S, Piece
from supervisor.cluster.session import Connection
from supervisor.cluster.stream_sender import MOST_STREAMS, StreamSender

# Headers of an answer that are passed on.
PASSED_BACK = ("Content-Type", "Content-Range")
MOST_BYTES = 4 * 1024 * 1024
AT_ONCE = 20


class RequestServer:
    """The requests for this host."""

    def __init__(self, settings: AgentSettings, candidate: Candidate) -> None:
        self._settings, self._candidate = settings, candidate
        self._streams = StreamSender(settings)

    def serve(self, db: Connection) -> None:
        """Answer what waits. Raises: psycopg.Error."""
        found = db.execute(
            """UPDATE control_requests SET taken_at = now() WHERE id IN (
                SELECT id FROM control_requests
                WHERE taken_at IS NULL AND asked_at > now() - make_interval(secs => %s)
                AND (host = %s OR (%s AND host IS NULL))
                ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
            RETURNING id, host, peer, method, target, headers, body""",
            (ANSWER_S, self._settings.host, self._candidate.leads, AT_ONCE),
        ).fetchall()
        for row in found:
            number, answer = row[0], self._answer(row)
            if answer is None:
                continue
            db.execute(
                "UPDATE control_requests SET status = %s, answer_headers = %s, answer = %s,"
                " body = '', ended_at = now() WHERE id = %s",
                (
                    answer.status,
                    msgspec.json.encode(dict(answer.headers)).decode(),
                    answer.body,
                    number,
                ),
            )
            session.wake(db, self._settings.schema, f"answer:{number}")

    def _answer(self, row: tuple[Any, ...]) -> Piece | None:
        """Return the answer to a request; None: it is sent as it comes."""
        number, host, peer, method, target, headers, body = row
        path = self._settings.socket if host else str(self._settings.folder / "leader.sock")
        given = {**msgspec.json.decode(headers), "Nightshift-User": peer}
        if method == "GET" and is_stream(target):
            if self._streams.begin(number, path, target, given):
                return None
            return _refusal(f"{self._settings.host} streams {MOST_STREAMS} answers already")
        try:
            answer = socket_http.request(
                path, method, target, bytes(body) or None, given, ANSWER_S
            )
            whole = answer.body.read(MOST_BYTES)
            return Piece(answer.status, answer.headers(*PASSED_BACK), whole)
        except socket_http.ERRORS as error:
            return _refusal(f"{Path(path).name} does not answer: {type(error).__name__}")


def is_stream(target: str) -> bool:
    """Return whether the answer to a GET comes bit by bit."""
    path, _, query = target.partition("?")
    return path == "/v1/events" or "follow=1" in query.split("&")


def _refusal(error: str) -> Piece:
    return Piece(503, {}, msgspec.json.encode({"error": error}))
