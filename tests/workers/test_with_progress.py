"""Work on a database that a request to end interrupts."""

import sqlite3
from contextlib import closing

import pytest

from tests.workers.catalogue_folder import execute
from workers import sqlite

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"


class AskedToStopError(Exception):
    pass


def requested():
    raise AskedToStopError


@pytest.fixture
def connection(tmp_path):
    execute(tmp_path / "a.db", "CREATE TABLE a (b)")
    with closing(sqlite.open_existing(tmp_path / "a.db")) as opened:
        yield opened


def test_the_answer_comes_back(connection):
    work = connection.execute("SELECT 7").fetchone

    assert sqlite.with_progress(connection, work, lambda: None) == (7,)


def test_an_error_of_the_work_is_raised(connection):
    with pytest.raises(sqlite3.OperationalError, match="no such table: c"):
        sqlite.with_progress(
            connection, lambda: connection.execute("SELECT * FROM c"), lambda: None
        )


def test_a_request_ends_a_query_that_would_not_end(connection):
    with pytest.raises(AskedToStopError):
        sqlite.with_progress(connection, lambda: connection.execute(ENDLESS).fetchone(), requested)

    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_request_ends_work_of_many_statements(connection):
    def work():
        while True:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()

    with pytest.raises(AskedToStopError):
        sqlite.with_progress(connection, work, requested)
