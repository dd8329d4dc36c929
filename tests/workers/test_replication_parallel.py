"""`verify_only` in several processes: the same result, from one snapshot of both databases."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from importlib import import_module
from pathlib import Path

import psycopg
import pytest

from tests.waiting import until
from tests.workers.fixtures_replication import a_job, a_report, a_source, run, sql, write
from workers import parallel
from workers.protocol import Log
from workers.replication import shared_snapshot, source
from workers.replication.errors import ReplicationCancelledError, ReplicationError
from workers.replication.settings import resolve
from workers.replication.shared_snapshot import Begin, Compare, TableComparer
from workers.replication.target import connected
from workers.replication.verify import WORTH_BYTES, processes

# The package exports the function of this name.
verify = import_module("workers.replication.verify").verify
TABLES = ("a", "b", "c", "d", "e")
SCRIPT = "PRAGMA journal_mode = WAL;" + ";".join(
    f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v TEXT);"
    "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300)"
    f" INSERT INTO {name} SELECT n, '{name}' || n FROM c"
    for name in TABLES
)
pytestmark = pytest.mark.skipif(parallel.cores() < 2, reason="needs two processors")


@pytest.fixture
def path(tmp_path):
    return a_source(tmp_path / "a.db", SCRIPT)


@pytest.fixture
def replica(path, postgres):
    run(path, postgres)
    return postgres


def settings_of(path, dsn, **more):
    return resolve(a_job(path, dsn, verify_only=True, **more))


def verified(path, dsn, worth_bytes):
    """Return the result without its duration, or the error; and the log."""
    said = []
    try:
        found = verify(settings_of(path, dsn), a_report(said), worth_bytes)
        found.pop("seconds")
    except ReplicationError as error:
        found = str(error)
    return found, [message.text for message in said if isinstance(message, Log)]


@pytest.fixture
def new_children(replica):
    """Return a function that lists children of this process started after PostgreSQL."""
    before = set(all_children())
    return lambda: sorted(set(all_children()) - before)


def all_children():
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            yield from map(int, (task / "children").read_text().split())


def waiting_for_a_lock(dsn):
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return sql(dsn, query)[0][0]


@contextlib.contextmanager
def locked(dsn):
    """Hold a lock on every table, so that no comparison ends."""
    with psycopg.connect(dsn) as client:
        client.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
        yield


@contextlib.contextmanager
def when_blocked(dsn, act):
    """Act in a thread as soon as two comparisons wait for a lock."""

    def wait():
        until(lambda: waiting_for_a_lock(dsn) >= 2)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_all_rows_are_compared_by_other_processes(path, replica, new_children):
    assert processes(settings_of(path, replica), 0) > 1
    assert verified(path, replica, 0) == verified(path, replica, WORTH_BYTES)
    assert verified(path, replica, 0)[0] == {"compared": 1500, "tables": 5, "differing": 0}
    assert not new_children()


def test_differences_are_reported_in_the_words_and_the_order_of_one_process(path, replica):
    sql(replica, "DELETE FROM b WHERE id < 3; UPDATE d SET v = 'x' WHERE id = 7; DROP TABLE e")

    beside, alone = verified(path, replica, 0), verified(path, replica, WORTH_BYTES)

    assert beside == alone
    assert "table b: 2 rows differ: missing (1); missing (2); table d" in beside[0]
    assert len(beside[1]) == 4


def test_the_first_error_is_the_one_of_one_process(path, replica):
    sql(replica, "ALTER TABLE c DROP CONSTRAINT c_pkey, ADD UNIQUE (v)")
    write(path, "ALTER TABLE d DROP COLUMN v")

    beside = verified(path, replica, 0)

    assert beside == verified(path, replica, WORTH_BYTES)
    assert "the source has no column v" in beside[0]


def test_a_process_that_is_killed_is_an_error_with_its_table(path, replica, new_children):
    def kill():
        for pid in new_children():
            os.kill(pid, signal.SIGKILL)

    with locked(replica), when_blocked(replica, kill), pytest.raises(ReplicationError) as failed:
        verify(settings_of(path, replica), a_report(), 0)

    assert str(failed.value) == "table a: not compared: its process was killed by SIGKILL"
    assert not failed.value.permanent
    assert not new_children()


def test_a_cancelled_comparison_leaves_no_process_and_no_session(path, replica, new_children):
    report = a_report()

    def cancel():
        report.cancelled = True

    with locked(replica), when_blocked(replica, cancel):
        with pytest.raises(ReplicationCancelledError):
            verify(settings_of(path, replica), report, 0)
        assert not new_children()
    sessions = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'nightshift replication'"
    until(lambda: not sql(replica, sessions))


class Disturbed:
    """A comparer that writes to the source after the first `times` begins of its process."""

    def __init__(self, settings, times):
        self._comparer = TableComparer(settings)
        self._path = settings.source.database
        self._times = times

    def __call__(self, item, tell):
        found = self._comparer(item, tell)
        if isinstance(item, Begin) and self._times:
            self._times -= 1
            with closing(sqlite3.connect(self._path, timeout=20)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                number = writer.execute("SELECT max(id) + 1 FROM a").fetchone()[0]
                for name in TABLES:
                    writer.execute(f"INSERT INTO {name} VALUES ({number}, 'new')")
                writer.commit()
        return found


@contextlib.contextmanager
def shared(path, dsn, times):
    """Yield whether a disturbed group has joined, the group, and the parent's number of rows."""
    settings = settings_of(path, dsn)
    with (
        parallel.children(2, Disturbed(settings, times)) as group,
        connected(settings.destination, lambda: False) as target,
        source.snapshot(path, lambda: False) as connection,
    ):
        joined = shared_snapshot.joined(group, connection, target, path, lambda: None)
        yield joined, group, connection.execute("SELECT count(*) FROM a").fetchone()[0]


def test_all_processes_read_one_state_though_the_source_changes_meanwhile(path, replica):
    items = [Compare(name, number, ()) for number, name in enumerate(TABLES)]
    with shared(path, replica, times=3) as (joined, group, rows):
        for name in TABLES:
            sql(replica, f"DELETE FROM {name}")
        found = list(parallel.answers(group, items))

    assert joined
    assert rows > 300
    assert {each.rows for each in found} == {rows}
    # The rows that PostgreSQL had when the snapshot was exported, not the emptied tables.
    assert all(f": {rows - 300} rows differ: missing (301)" in each.wrong for each in found)


def test_a_source_that_changes_without_a_pause_is_not_shared(path, replica):
    with shared(path, replica, times=1000) as (joined, _, _):
        assert not joined


def test_the_parents_own_lock_on_the_source_is_kept(path, replica):
    write_and_close = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        " c.execute('DELETE FROM a'); c.commit(); c.close()"
    )
    with shared(path, replica, times=0) as (joined, group, _):
        for child in group:
            child.kill()
            child.receive()
        subprocess.run([sys.executable, "-c", write_and_close, path], check=True)

        # The last connection removes the WAL when it closes; ours is still open.
        assert joined
        assert path.with_name(f"{path.name}-wal").exists()


def test_a_role_with_one_connection_is_enough(path, postgres):
    name = psycopg.conninfo.conninfo_to_dict(postgres)["dbname"]
    role = f"one_{name}"
    sql(postgres, f'CREATE ROLE "{role}" LOGIN CONNECTION LIMIT 1')
    sql(postgres, f'GRANT CREATE ON DATABASE "{name}" TO "{role}"')
    try:
        dsn = f"{postgres} user={role}"
        run(path, dsn, schema="own")

        found = verify(settings_of(path, dsn, schema="own"), a_report(), 0)
    finally:
        sql(postgres, f'DROP OWNED BY "{role}" CASCADE')
        sql(postgres, f'DROP ROLE "{role}"')

    assert found["compared"] == 1500


def test_small_and_single_tables_need_no_process(path, replica):
    assert processes(settings_of(path, replica), WORTH_BYTES) == 1
    assert processes(settings_of(path, replica, tables=("a",)), 0) == 1
    assert processes(settings_of(path.with_name("missing.db"), replica), 0) == 1
