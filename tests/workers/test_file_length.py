"""Databases whose file lost its end, which SQLite reads as zeros without an error."""

import os
import sqlite3
from contextlib import closing

import pytest

from tests.workers.catalogue_folder import a_report, rows, two_sets
from workers import backup, cleanup, health, integrity, params, replication, sync
from workers.file_length import refuse_cut_short
from workers.report import WorkerError
from workers.sqlite import DatabaseError

WORDS = "is damaged: its file ends at byte {} of {}"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cards.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        database.execute("INSERT INTO t VALUES (1, 'precious')")
        database.commit()
    return path


@pytest.fixture(params=[1, 5, 4095])
def cut(path, request):
    """Return the path of a database without its last bytes, and what has to be said of it."""
    whole = path.stat().st_size
    os.truncate(path, whole - request.param)
    return path, WORDS.format(whole - request.param, whole)


def run_backup(path):
    backup.run(
        params.parse(
            backup.Params, {"database": str(path), "directory": str(path.parent / "copies")}
        ),
        a_report(),
    )


def run_health(path):
    limits = {"disk_free": 0, "answer": "30s", "query": "30s"}
    asked = {"database": str(path), "limits": limits}
    health.run(params.parse(health.Params, asked), a_report())


def run_sync(path):
    catalogue = two_sets(path.parent / "catalogue")
    sync.missing_sets(sync.Params(str(catalogue.root), path), a_report())


@pytest.mark.parametrize(
    "work",
    [
        run_backup,
        run_health,
        run_sync,
        lambda path: integrity.run(integrity.Params(path), a_report()),
        lambda path: cleanup.run(cleanup.Params(path, vacuum_free_ratio=0.0), a_report()),
    ],
    ids=["backup", "health", "sync", "integrity", "cleanup"],
)
def test_no_worker_takes_the_zeros_for_content(cut, work):
    path, words = cut
    before = path.read_bytes()

    with pytest.raises(WorkerError, match=words):
        work(path)

    assert path.read_bytes() == before
    assert not list(path.parent.glob("copies/*.gz"))


def test_a_replica_does_not_get_the_zeros(cut, postgres):
    path, words = cut

    with pytest.raises(WorkerError, match=words):
        replication.run(replication.Params(path, postgres), a_report())


def test_sqlite_itself_finds_nothing(path):
    os.truncate(path, path.stat().st_size - 5)

    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "SELECT b FROM t") == [("pre\0\0\0\0\0",)]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("more", [0, 1, 4096])
def test_a_whole_or_longer_file_is_sound(path, mode, more):
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
    os.truncate(path, path.stat().st_size + more)

    with closing(sqlite3.connect(path)) as database:
        refuse_cut_short(path, database)
        assert not database.in_transaction


def test_what_is_only_in_the_log_is_not_missed(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("INSERT INTO t VALUES (2, ?)", ("x" * 50_000,))
        database.commit()
        assert path.stat().st_size < 50_000

        refuse_cut_short(path, database)


def test_a_wal_database_without_a_log_is_judged(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    os.truncate(path, path.stat().st_size - 1)

    with closing(sqlite3.connect(path)) as database, pytest.raises(DatabaseError):
        refuse_cut_short(path, database)
