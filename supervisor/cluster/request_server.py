"""Answers the requests that other hosts have written for this one, or for its leader.

Each is answered over a socket of this host: the leader's, or that of the supervisor for
the output of a run.
"""

import http.client
import socket
from pathlib import Path

from supervisor.cluster import session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.leadership import Candidate
from supervisor.cluster.session import Connection

# Who asks waits no longer than this (gateway.py).
ANSWER_S = 10.0
MOST_BYTES = 4 * 1024 * 1024
AT_ONCE = 20


class RequestServer:
    """The requests for this host."""

    def __init__(self, settings: AgentSettings, candidate: Candidate) -> None:
        self._settings, self._candidate = settings, candidate

    def serve(self, db: Connection) -> None:
        """Answer what waits. Raises: psycopg.Error."""
        found = db.execute(
            """UPDATE control_requests SET taken_at = now() WHERE id IN (
                SELECT id FROM control_requests
                WHERE taken_at IS NULL AND asked_at > now() - make_interval(secs => %s)
                AND (host = %s OR (%s AND host IS NULL))
                ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
            RETURNING id, host, peer, method, target, body""",
            (ANSWER_S, self._settings.host, self._candidate.leads, AT_ONCE),
        ).fetchall()
        for number, host, peer, method, target, body in found:
            path = self._settings.socket if host else str(self._settings.folder / "leader.sock")
            status, answer = ask(path, method, target, bytes(body), peer)
            db.execute(
                "UPDATE control_requests SET status = %s, answer = %s, body = '' WHERE id = %s",
                (status, answer, number),
            )
            session.wake(db, self._settings.schema, f"answer:{number}")


def ask(path: str, method: str, target: str, body: bytes, peer: str) -> tuple[int, bytes]:
    """Return status and body of a request to a socket of this host; 503 if none answers."""
    connection = http.client.HTTPConnection("nightshift", timeout=ANSWER_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(ANSWER_S)
        connection.sock.connect(path)
        headers = {"Connection": "close", "Nightshift-User": peer}
        if body:
            headers["Content-Type"] = "application/json"
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        name = Path(path).name
        return 503, b'{"error": "%s does not answer: %s"}' % (
            name.encode(),
            type(error).__name__.encode(),
        )
    finally:
        connection.close()
