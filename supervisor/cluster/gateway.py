"""The socket that answers for the whole cluster, on every host.

On the leader's host it passes requests to the leader, elsewhere through PostgreSQL. The
output of a run is asked for where it is kept.
"""

import http.client
import http.server
import os
import re
import select
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg

from supervisor.cluster import session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.leadership import Candidate
from supervisor.cluster.request_server import ANSWER_S
from supervisor.cluster.session import Connection

MOST_BODY_BYTES = 1024 * 1024
# Connections that are served at the same time; more are refused.
MOST_CLIENTS = 32
# How long a lost wake-up delays an answer.
LOOK_EVERY_S = 0.2
_LOG = re.compile(r"/v1/runs/(\d{1,18})/log(\?.*)?$")
# What concerns one host, not the cluster.
_OF_A_HOST = ("/v1/stop", "/v1/reload", "/v1/assignments", "/v1/membership", "/v1/restore")
_PIECE = 64 * 1024


class GatewayError(Exception):
    """Why a request cannot be passed on: status, error and hint of the answer."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint


class Gateway:
    """The gateway's thread, and how it finds who is to answer."""

    def __init__(self, settings: AgentSettings, candidate: Candidate) -> None:
        self._settings, self._candidate = settings, candidate
        self._places = threading.BoundedSemaphore(MOST_CLIENTS)

    def start(self) -> None:
        """Bind the socket, with the rights of the supervisor's, and serve it in a thread."""
        path = str(self._settings.gateway)
        if os.path.lexists(path):
            os.unlink(path)
        gateway = self

        class Handler(_Handler):
            served_by = gateway

        before = os.umask(0o177)
        try:
            server = _Server(path, Handler)
        finally:
            os.umask(before)
        mine = os.stat(self._settings.socket)
        os.chown(path, -1, mine.st_gid)
        os.chmod(path, mine.st_mode & 0o777)
        threading.Thread(target=server.serve_forever, name="gateway", daemon=True).start()

    def local_target(self, target: str) -> tuple[str, str] | None:
        """Return the socket and target on this host that answer; None: another host does."""
        log = _LOG.fullmatch(target)
        if log is not None:
            with self._connected() as db:
                host, local = self._where(db, int(log[1]))
            if host == self._settings.host:
                return self._settings.socket, f"/v1/runs/{local}/log{log[2] or ''}"
            return None
        if self._candidate.leads:
            return str(self._settings.folder / "leader.sock"), target
        return None

    def remote(self, method: str, target: str, body: bytes, peer: str) -> tuple[int, bytes]:
        """Return the answer of another host, through PostgreSQL. Raises: GatewayError."""
        with self._connected() as db:
            log = _LOG.fullmatch(target)
            host = None
            if log is not None:
                host, local = self._where(db, int(log[1]))
                target = f"/v1/runs/{local}/log{log[2] or ''}"
            return self._through_postgres(db, host, method, target, body, peer)

    def name_of(self, uid: int) -> str:
        """Return who asks, as the leader's record of requests shows it."""
        return quote(f"uid {uid} on {self._settings.host}", safe="")

    def _through_postgres(
        self, db: Connection, host: str | None, method: str, target: str, body: bytes, peer: str
    ) -> tuple[int, bytes]:
        line = session.WakeLine(self._settings.cluster.postgres, self._settings.schema)
        try:
            row = db.execute(
                "INSERT INTO control_requests (host, peer, method, target, body)"
                " VALUES (%s, %s, %s, %s, %s) RETURNING id",
                (host, peer, method, target, body),
            ).fetchone()
            assert row is not None
            session.wake(db, self._settings.schema, f"request:{host or 'leader'}")
            return self._await(db, line, row[0], host)
        finally:
            line.close()

    def _await(
        self, db: Connection, line: session.WakeLine, number: int, host: str | None
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            select.select([line], [], [], LOOK_EVERY_S)
            line.drain()
            row = db.execute(
                "SELECT status, answer FROM control_requests WHERE id = %s AND status IS NOT NULL",
                (number,),
            ).fetchone()
            if row is not None:
                return int(row[0]), bytes(row[1])
        if host is not None:
            raise GatewayError(503, f"the output lies on {host}, which is away")
        hint = "nightshift cluster status shows the hosts"
        raise GatewayError(503, f"no host has led the cluster for {ANSWER_S:.0f}s", hint)

    def _where(self, db: Connection, run: int) -> tuple[str, int]:
        row = db.execute(
            "SELECT host, local_run FROM assignments WHERE run = %s AND local_run IS NOT NULL"
            " ORDER BY attempt DESC LIMIT 1",
            (run,),
        ).fetchone()
        if row is None:
            raise GatewayError(404, f"no host has begun run {run}")
        return str(row[0]), int(row[1])

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield a connection; its errors are answers to the client."""
        db: Connection | None = None
        try:
            db = session.connect(self._settings.cluster.postgres, self._settings.schema)
            yield db
        except (psycopg.Error, OSError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            hint = "nightshift --socket PATH asks this host's supervisor alone"
            raise GatewayError(503, f"PostgreSQL is away: {lines[0]}", hint) from error
        finally:
            session.close(db)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(http.server.BaseHTTPRequestHandler):
    served_by: Gateway
    timeout = 30

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isdigit() else MOST_BODY_BYTES + 1
        if size > MOST_BODY_BYTES:
            self._refuse(GatewayError(413, f"a body of more than {MOST_BODY_BYTES} bytes"))
            return
        self._pass_on(self.rfile.read(size))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the leader records who asked what."""

    def address_string(self) -> str:
        """Return a text for a client that has no address."""
        return "unix"

    def _pass_on(self, body: bytes) -> None:
        if not self.served_by._places.acquire(blocking=False):
            self._refuse(GatewayError(503, "too many clients"))
            return
        try:
            self._answer(body)
        except GatewayError as error:
            self._refuse(error)
        except OSError:
            self.close_connection = True
        finally:
            self.served_by._places.release()

    def _answer(self, body: bytes) -> None:
        if self.path.split("?")[0] in _OF_A_HOST:
            hint = "name its own socket: nightshift --socket STATE/nightshift.sock"
            raise GatewayError(409, f"{self.path} is for one host, not for the cluster", hint)
        given = self.headers.get("Nightshift-User", "")
        peer = given or self.served_by.name_of(self._uid())
        here = self.served_by.local_target(self.path)
        if here is not None:
            self._stream(*here, body, peer)
            return
        if self.path.startswith("/v1/events") or "follow=" in self.path:
            hint = "it is streamed on the host that leads, or that runs the job"
            raise GatewayError(503, "this host cannot stream what another one has", hint)
        status, answer = self.served_by.remote(self.command, self.path, body, peer)
        self._send(status, answer)

    def _uid(self) -> int:
        found = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", found)[1])

    def _stream(self, path: str, target: str, body: bytes, peer: str) -> None:
        """Pass a request to a socket of this host, and the answer back as it comes."""
        upstream = http.client.HTTPConnection("nightshift")
        upstream.sock = socket.socket(socket.AF_UNIX)
        try:
            upstream.sock.connect(path)
            headers = {"Connection": "close", "Nightshift-User": peer}
            headers |= {
                name: self.headers[name]
                for name in ("Range", "Last-Event-ID", "Accept")
                if name in self.headers
            }
            if body:
                headers["Content-Type"] = "application/json"
            upstream.request(self.command, target, body or None, headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Range", "Content-Length"):
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1(_PIECE):
                self.wfile.write(piece)
        except (OSError, http.client.HTTPException) as error:
            raise GatewayError(503, f"the leader does not answer: {error}") from error
        finally:
            upstream.close()

    def _refuse(self, error: GatewayError) -> None:
        body = msgspec.json.encode({"error": error.error, "hint": error.hint})
        self._send(error.status, body)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
