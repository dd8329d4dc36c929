"""PostgreSQL and URLs in health checks: a real server, and sockets that misbehave."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from scripts import embedded_postgres
from tests.fix_postgres import needs_account
from tests.workers.card_database import card_database
from tests.workers.catalogue_folder import logged
from tests.workers.fixtures_health import measured

STATE = "CREATE TABLE nightshift_replication (snapshot_at timestamptz)"


@pytest.fixture
def path(tmp_path):
    return card_database(tmp_path)


@contextmanager
def a_silent_peer() -> Iterator[int]:
    """Yield a port that accepts every connection and answers nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        yield door.getsockname()[1]


@pytest.fixture
def pages():
    """Yield the address of a server that answers with the status in the path."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.strip("/").partition("?")[0]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_postgres_that_answers_is_healthy(path, postgres):
    result = measured(path, postgres=postgres)

    assert (result["score"], result["word"]) == (100, "healthy")
    assert result["postgres_latency_seconds"] > 0
    assert "replication_lag_seconds" not in result


def test_an_empty_dsn_is_not_measured(path):
    received = []

    measured(path, received=received)

    assert "PostgreSQL" not in logged(received)


@needs_account
def test_with_replication_libpqs_environment_says_where(path, monkeypatch):
    monkeypatch.setenv("PGHOST", "/nowhere/at/all")

    result = measured(path, replication=True)

    assert result["score"] == 90
    assert "/nowhere/at/all" in result["complaints"]


@needs_account
def test_a_postgres_that_was_stopped_is_degraded(path):
    try:
        embedded_postgres.find_binaries()
    except embedded_postgres.NoPostgresError as missing:
        pytest.skip(str(missing))
    with embedded_postgres.throwaway() as server:
        assert measured(path, postgres=server.dsn)["score"] == 100
        server.stop()

        result = measured(path, postgres=server.dsn)

    assert (result["score"], result["word"], result["warnings"]) == (90, "degraded", 1)
    assert "PostgreSQL does not answer: " in result["complaints"]


def test_a_postgres_that_swallows_everything_is_given_up(path):
    with a_silent_peer() as port:
        dsn = f"host=127.0.0.1 port={port} password=sesame sslmode=disable"
        result = measured(path, postgres=dsn, limits={"answer": "300ms"})

    assert result["score"] == 90
    assert "sesame" not in str(result)


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("sesame, open", "expected a libpq DSN"),
        ("{server} dbname='postgresql://u:sesame@h/d'", "expected the name of a database"),
        ("{server} dbname='user=u password=sesame'", "expected the name of a database"),
    ],
)
def test_a_dsn_that_is_none_is_not_shown(dsn, words, path, postgres):
    received = []

    result = measured(path, received=received, postgres=dsn.format(server=postgres))

    assert f"PostgreSQL cannot be asked: {words}" in result["complaints"]
    assert "sesame" not in logged(received) + str(result)


def test_a_host_that_cannot_be_one_is_named_at_once(path):
    result = measured(path, postgres="host=a..b password=sesame")

    assert "PostgreSQL does not answer: " in result["complaints"]
    assert "gave no answer" not in result["complaints"]
    assert "sesame" not in str(result)


def test_a_replica_that_was_just_written_is_healthy(path, postgres):
    with psycopg.connect(postgres) as target:
        target.execute(STATE)
        target.execute("INSERT INTO nightshift_replication VALUES (now() - interval '1 hour')")

    result = measured(path, postgres=postgres, replication=True)

    assert result["score"] == 100
    assert 3600 <= result["replication_lag_seconds"] < 3700


def test_a_lagging_replica_is_degraded(path, postgres):
    with psycopg.connect(postgres) as target:
        target.execute('CREATE SCHEMA "Night Shift"')
        target.execute('SET search_path = "Night Shift"')
        target.execute(STATE)
        target.execute("INSERT INTO nightshift_replication VALUES (now() - interval '3 days')")

    result = measured(path, postgres=postgres, replication=True)

    assert (result["score"], result["word"]) == (95, "degraded")
    assert result["complaints"].startswith("the replica is 3d")
    assert result["complaints"].endswith("old, expected at most 2d")


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("now() + interval '9 days'", "replication is dated "),
        ("'infinity'", "replication cannot be judged: "),
    ],
)
def test_a_replica_dated_in_the_future_is_not_taken_for_fresh(path, postgres, moment, words):
    with psycopg.connect(postgres) as target:
        target.execute(STATE)
        target.execute(f"INSERT INTO nightshift_replication VALUES ({moment})")

    result = measured(path, postgres=postgres, replication=True)

    assert (result["score"], result["word"]) == (95, "degraded")
    assert result["complaints"].startswith(words)
    assert "replication_lag_seconds" not in result


def test_a_table_of_another_program_with_our_name_is_no_silence_of_the_server(path, postgres):
    with psycopg.connect(postgres) as target:
        target.execute("CREATE TABLE nightshift_replication (snapshot_at text)")
        target.execute("INSERT INTO nightshift_replication VALUES ('last week')")

    result = measured(path, postgres=postgres, replication=True)

    assert result["complaints"].startswith("replication cannot be judged: ")
    assert "postgres_latency_seconds" in result


@pytest.mark.parametrize("table", ["", STATE, "CREATE TABLE nightshift_replication (a int)"])
def test_a_replica_that_was_never_written_is_degraded(path, postgres, table):
    with psycopg.connect(postgres) as target:
        target.execute(table or "SELECT 1")

    result = measured(path, postgres=postgres, replication=True)

    assert (result["score"], result["word"]) == (95, "degraded")
    assert result["complaints"].startswith("replication ")


@pytest.mark.parametrize(("status", "score"), [(200, 100), (404, 95), (503, 95)])
def test_a_page_is_judged_by_its_status(path, pages, status, score):
    result = measured(path, http=[f"{pages}/{status}?token=sesame"])

    assert result["score"] == score
    assert result["complaints"] == ("" if score == 100 else f"{pages}/{status} answers {status}")


def test_pages_that_are_silent_or_refuse_are_named(path):
    with a_silent_peer() as port, closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = closed.getsockname()[1]

        result = measured(
            path,
            http=[f"http://u:sesame@127.0.0.1:{port}/a", f"http://127.0.0.1:{refusing}/b"],
            limits={"answer": "300ms"},
        )

    assert f"http://127.0.0.1:{port}/a gave no answer for 0.3s" in result["complaints"]
    assert f"http://127.0.0.1:{refusing}/b cannot be connected to" in result["complaints"]
    assert "sesame" not in str(result)


def test_certificates_that_are_not_there_are_not_called_silence(path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")

    result = measured(path, http=["https://127.0.0.1:1/a"])

    assert result["complaints"] == "https://127.0.0.1:1/a cannot be asked (OSError)"
