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
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg

from supervisor import socket_http
from supervisor.cluster import remote, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.leadership import Candidate
from supervisor.cluster.remote import ANSWER_S, Asked, NoAnswerError, Piece
from supervisor.cluster.request_server import PASSED_BACK, is_stream
from supervisor.cluster.session import Connection
from workers.units import is_whole

MOST_BODY_BYTES = 1024 * 1024
# Connections that are served at the same time; more are refused.
MOST_CLIENTS = 32
_LOG = re.compile(r"/v1/runs/(\d{1,18})/log(\?.*)?$")
# What concerns one host, not the cluster.
_OF_A_HOST = ("/v1/stop", "/v1/reload", "/v1/membership", "/v1/restore")
# Headers of a request that matter to who answers.
_PASSED_ON = ("Range", "Last-Event-ID", "Accept")
_PIECE = 64 * 1024


Pieces = Generator[Piece, None, None]


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

    def remote(self, asked: Asked) -> Piece:
        """Return the answer of another host, through PostgreSQL. Raises: GatewayError."""
        with self._connected() as db:
            asked = self._placed(db, asked)
            try:
                return remote.ask(db, *self._server, asked)
            except NoAnswerError as error:
                raise self._away(asked) from error

    def follow(self, asked: Asked, is_wanted: Callable[[], bool]) -> Pieces:
        """Yield the answer of another host as it comes. Raises: GatewayError."""
        with self._connected() as db:
            asked = self._placed(db, asked)
            try:
                yield from remote.follow(db, *self._server, asked, is_wanted)
            except NoAnswerError as error:
                raise self._away(asked) from error

    def name_of(self, uid: int) -> str:
        """Return who asks, as the leader's record of requests shows it."""
        return quote(f"uid {uid} on {self._settings.host}", safe="")

    @property
    def _server(self) -> tuple[str, str]:
        return self._settings.cluster.postgres, self._settings.schema

    def _placed(self, db: Connection, asked: Asked) -> Asked:
        """Return the request as the host that has the output of its run is asked."""
        log = _LOG.fullmatch(asked.target)
        if log is None:
            return asked
        host, local = self._where(db, int(log[1]))
        return replace(asked, host=host, target=f"/v1/runs/{local}/log{log[2] or ''}")

    def _away(self, asked: Asked) -> GatewayError:
        if asked.host is None:
            hint = "nightshift cluster status shows the hosts"
            return GatewayError(503, f"no host has led the cluster for {ANSWER_S:.0f}s", hint)
        number = asked.target.split("/")[3]
        hint = f"there: nightshift logs {number} -f --socket STATE/nightshift.sock"
        return GatewayError(503, f"the output lies on {asked.host}, which is away", hint)

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
        is_size = is_whole(length) and len(length) <= 18
        size = int(length) if is_size else MOST_BODY_BYTES + 1
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
        asked = Asked(None, self.command, self.path, self._passed_on(), body, peer)
        if self.command == "GET" and is_stream(self.path):
            self._follow(asked)
            return
        self._send(self.served_by.remote(asked))

    def _passed_on(self) -> dict[str, str]:
        return {name: self.headers[name] for name in _PASSED_ON if name in self.headers}

    def _follow(self, asked: Asked) -> None:
        """Pass on what another host streams, until it ends or nobody reads here."""
        has_begun = False
        pieces = self.served_by.follow(asked, self._is_connected)
        try:
            for piece in pieces:
                if not has_begun:
                    self._begin(piece.status, piece.headers)
                    has_begun = True
                self.wfile.write(piece.body)
                if piece.lost and not self.path.startswith("/v1/events"):
                    said = f"nightshift: {piece.lost} is lost; the rest of the output lies there"
                    self.wfile.write(f"{said}\n".encode())
        except GatewayError:
            if not has_begun:
                raise
            self.close_connection = True
        finally:
            pieces.close()

    def _is_connected(self) -> bool:
        """Return whether the client has not closed its end."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        return not ready or self.connection.recv(1, socket.MSG_PEEK) != b""

    def _uid(self) -> int:
        found = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", found)[1])

    def _stream(self, path: str, target: str, body: bytes, peer: str) -> None:
        """Pass a request to a socket of this host, and the answer back as it comes."""
        headers = {**self._passed_on(), "Nightshift-User": peer}
        try:
            answer = socket_http.request(path, self.command, target, body or None, headers)
        except socket_http.ERRORS as error:
            raise GatewayError(503, f"the leader does not answer: {error}") from error
        try:
            self._begin(answer.status, answer.headers("Content-Length", *PASSED_BACK))
            while piece := answer.body.read1(_PIECE):
                self.wfile.write(piece)
        except http.client.HTTPException:  # the answer broke off
            self.close_connection = True
        finally:
            answer.body.close()

    def _refuse(self, error: GatewayError) -> None:
        body = msgspec.json.encode({"error": error.error, "hint": error.hint})
        self._send(Piece(error.status, {}, body))

    def _send(self, answer: Piece) -> None:
        headers = {"Content-Type": "application/json", **answer.headers}
        self._begin(answer.status, {**headers, "Content-Length": str(len(answer.body))})
        self.wfile.write(answer.body)

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
