"""Answers of another host through a real PostgreSQL: complete, streamed, and missing."""

import contextlib
import http.server
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.cluster import install, remote, session, stream_sender
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.remote import Asked, NoAnswerError
from supervisor.cluster.stream_sender import StreamSender
from supervisor.core.config_model import Cluster
from tests.waiting import until

SCHEMA = "nightshift_test"
LARGE = b"0123456789abcdef" * 65536  # four times the limit of what may wait


class Upstream(socketserver.ThreadingUnixStreamServer):
    """A socket that answers each request with `parts`, and then waits until it may end."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.parts: list[bytes] = []
        self.may_end = threading.Event()
        self.asked: list[dict[str, str]] = []
        self.gone = threading.Event()
        super().__init__(str(path), _Answers)


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        for part in self.server.parts:
            self.wfile.write(part)
        self.wfile.flush()
        while not self.server.may_end.wait(0.05):
            with contextlib.suppress(BlockingIOError):
                self.connection.setblocking(False)
                if self.connection.recv(1) == b"":
                    self.server.gone.set()
                    return

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with tempfile.TemporaryDirectory() as folder, Upstream(Path(folder, "s")) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.may_end.set()
        server.shutdown()


@pytest.fixture
def db(postgres):
    with session.connect(postgres, SCHEMA) as made:
        install.install(made, SCHEMA, None)
        made.execute(f'SET search_path = "{SCHEMA}"')
        made.execute(
            "INSERT INTO hosts (name, uid, worker, version, labels, places, may_lead,"
            " fence_seconds) VALUES ('b', 'u', 1, '', '', 1, false, 1)"
        )
        yield made


@pytest.fixture
def sender(postgres) -> StreamSender:
    return StreamSender(AgentSettings("", "/state", "", 1, Cluster(postgres, "test", "b")))


def asked(**headers: str) -> Asked:
    return Asked("b", "GET", "/v1/runs/1/log?follow=1", headers, b"", "uid 0 on a")


def followed(postgres, db, upstream, sender, **headers: str):
    """Follow what `upstream` streams, sent by `sender`."""
    with session.connect(postgres, SCHEMA) as reading:
        given = remote.follow(reading, postgres, SCHEMA, asked(**headers), lambda: True)
        begun = threading.Thread(target=serve, args=(postgres, upstream, sender))
        begun.start()
        yield from given
        begun.join()


def serve(postgres, upstream, sender) -> None:
    """Take the request as the agent of host b does."""
    with session.connect(postgres, SCHEMA) as db:
        rows: list = []
        until(lambda: rows.extend(db.execute("SELECT id FROM control_requests")) or rows)
        assert sender.begin(rows[0][0], upstream.server_address, "/x", {"Nightshift-User": "me"})


def test_an_answer_comes_bit_by_bit_and_ends(postgres, db, upstream, sender):
    upstream.parts = [b"first"]
    pieces = followed(postgres, db, upstream, sender)

    first = next(pieces)
    while not first.body:
        first = next(pieces)
    upstream.may_end.set()
    rest = list(pieces)

    assert (first.status, first.headers, first.body) == (
        200,
        {"Content-Type": "text/plain"},
        b"first",
    )
    assert b"".join(piece.body for piece in rest) == b""
    assert upstream.asked[0]["Nightshift-User"] == "me"
    assert db.execute("SELECT count(*) FROM control_requests").fetchone() == (0,)


def test_no_more_waits_in_the_row_than_is_taken(postgres, db, upstream, sender):
    upstream.parts = [LARGE]
    upstream.may_end.set()

    pieces = [piece.body for piece in followed(postgres, db, upstream, sender)]

    assert b"".join(pieces) == LARGE
    assert max(map(len, pieces)) <= stream_sender.MOST_WAITING + 64 * 1024


def test_a_host_that_is_lost_ends_what_is_followed(postgres, db, upstream, sender):
    upstream.parts = [b"first"]
    pieces = followed(postgres, db, upstream, sender)
    next(pieces)
    db.execute("UPDATE hosts SET worker = NULL")

    *_, last = pieces

    assert last.lost == "b"


def test_what_nobody_reads_is_ended(postgres, db, upstream, sender, monkeypatch):
    monkeypatch.setattr(stream_sender, "ABANDONED_S", 0.2)
    monkeypatch.setattr(stream_sender, "LOOK_EVERY_S", 0.05)
    db.execute(
        "INSERT INTO control_requests (host, peer, method, target, body)"
        " VALUES ('b', '', 'GET', '', '')"
    )

    serve(postgres, upstream, sender)

    assert upstream.gone.wait(20)


def test_a_request_without_an_answer_fails(postgres, db, monkeypatch):
    monkeypatch.setattr(remote, "ANSWER_S", 0.1)

    with pytest.raises(NoAnswerError):
        remote.ask(db, postgres, SCHEMA, asked())
    with pytest.raises(NoAnswerError):
        list(remote.follow(db, postgres, SCHEMA, asked(), lambda: True))

    assert db.execute("SELECT count(*) FROM control_requests").fetchone() == (0,)


def test_there_are_only_so_many_streams(postgres, db, upstream, sender, monkeypatch):
    monkeypatch.setattr(stream_sender, "MOST_STREAMS", 1)
    only = StreamSender(AgentSettings("", "/state", "", 1, Cluster(postgres, "test", "b")))

    begun = [only.begin(number, upstream.server_address, "/x", {}) for number in (1, 2)]

    assert begun == [True, False]
