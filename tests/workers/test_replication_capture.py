"""capture: triggers uses its log only while it is valid; else it compares everything."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.waiting import until
from tests.workers.fixtures_replication import (
    a_job,
    a_source,
    failure,
    logged,
    run,
    sql,
    unequal,
    write,
)
from workers import replication
from workers.protocol import Log
from workers.replication import change_log
from workers.report import Report, WorkerError

SCRIPT = """
CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER);
CREATE TABLE rows_only (v INTEGER);
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 299)
INSERT INTO t SELECT 'k' || n, n FROM c;
INSERT INTO rows_only SELECT v FROM t"""
OPTIONS = {"capture": "triggers", "proof_budget": 0}
DRIVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from workers.replication import Params, run
from workers.report import Report
print("up", flush=True)
params = Params(Path(sys.argv[1]), sys.argv[2], capture=sys.argv[3], max_delete="100%")
run(params, Report(lambda _: None, datetime.now(UTC)))
"""


@pytest.fixture
def path(tmp_path):
    return a_source(tmp_path / "a.db", SCRIPT)


def copied(path, name):
    """Copy the database with SQLite's own means."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(name)) as target:
        source.backup(target)
    return name


def run_while(words, doing, path, dsn, **more):
    """Replicate, and call `doing` once as soon as the log says these words."""
    waiting = [doing]

    def receive(message):
        if isinstance(message, Log) and words in message.text and waiting:
            waiting.pop()()

    replication.run(a_job(path, dsn, **more), Report(receive, datetime.now(UTC)))
    assert not waiting


def test_the_log_is_emptied_and_costs_nothing_when_nothing_changed(path, postgres):
    run(path, postgres, **OPTIONS)
    write(path, "UPDATE t SET v = -1 WHERE v < 10")

    changed = run(path, postgres, **OPTIONS)
    nothing = run(path, postgres, **OPTIONS)

    assert (changed["capture"], changed["updated"]) == ("changes", 10)
    assert (nothing["capture"], nothing["compared"]) == ("nothing", 0)
    with closing(sqlite3.connect(path)) as source:
        query = "SELECT count(*) FROM nightshift_changes_t"
        assert source.execute(query).fetchone() == (0,)


def test_what_is_remembered_of_a_table_is_written_only_when_it_is_another(path, postgres):
    run(path, postgres, **OPTIONS)
    remembered = "SELECT name, xmin::text, xmax::text FROM nightshift_replication_tables"
    before = set(sql(postgres, remembered))

    run(path, postgres, **OPTIONS)
    write(path, "UPDATE t SET v = -1 WHERE v < 10")
    run(path, postgres, **OPTIONS)
    after_changes = set(sql(postgres, remembered))
    write(path, "ALTER TABLE t ADD COLUMN more")
    run(path, postgres, **OPTIONS)

    assert after_changes == before
    assert set(sql(postgres, remembered)) != before


@pytest.mark.parametrize("rounds_before_the_copy", [1, 2])
def test_a_restored_older_copy_is_seen_and_followed(
    rounds_before_the_copy, path, postgres, tmp_path
):
    for number in range(rounds_before_the_copy):
        write(path, f"UPDATE t SET v = v + 1 WHERE id = 'k{number}'")
        run(path, postgres, **OPTIONS)
    older = copied(path, tmp_path / "older.db")
    write(path, "UPDATE t SET v = -5; DELETE FROM rows_only")
    run(path, postgres, **OPTIONS)

    shutil.copy(older, path)
    result = run(path, postgres, **OPTIONS)

    assert result["capture"] == "full"
    assert unequal(path, postgres) == {}


def test_a_copy_restored_before_the_next_run_needs_no_comparison(path, postgres, tmp_path):
    options = {"tables": ("t",), **OPTIONS}
    run(path, postgres, **options)
    older = copied(path, tmp_path / "older.db")
    write(path, "DELETE FROM t")

    shutil.copy(older, path)
    write(path, "UPDATE t SET v = 9999 WHERE id = 'k5'")
    result = run(path, postgres, **options)

    assert result["capture"] == "changes"
    assert sql(postgres, "SELECT count(*), max(v) FROM t") == [(300, 9999)]


def test_another_database_in_the_same_place_is_seen(path, postgres):
    run(path, postgres, **OPTIONS)
    path.unlink()
    a_source(path, SCRIPT.replace("'k' ||", "'other' ||"))

    result = run(path, postgres, **OPTIONS)

    assert result["capture"] == "full"
    assert unequal(path, postgres) == {}


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_a_dropped_trigger_is_made_again_and_its_table_compared(event, path, postgres):
    run(path, postgres, **OPTIONS)
    write(
        path,
        f"DROP TRIGGER nightshift_changes_t_{event}; UPDATE t SET v = -1 WHERE v < 9;"
        "DELETE FROM t WHERE v = 20; INSERT INTO t VALUES ('new', 1)",
    )

    reported = logged(path, postgres, **OPTIONS)

    assert "made triggers that log changes on t" in reported
    assert unequal(path, postgres) == {}


def test_a_trigger_that_was_missing_during_a_failed_run_is_not_forgotten(path, postgres):
    run(path, postgres, **OPTIONS)
    write(path, "DROP TRIGGER nightshift_changes_t_update; UPDATE t SET v = -1 WHERE v < 9")
    sql(
        postgres,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RAISE 'no update'; END$$",
    )
    sql(postgres, "CREATE TRIGGER no BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()")
    assert "no update" in failure(path, postgres, **OPTIONS).error
    sql(postgres, "DROP TRIGGER no ON t")

    run(path, postgres, **OPTIONS)

    assert unequal(path, postgres) == {}


def test_row_numbers_that_vacuum_moved_are_found(path, postgres):
    run(path, postgres, **OPTIONS)
    write(path, "DELETE FROM rows_only WHERE rowid % 3 = 0")
    run(path, postgres, **OPTIONS)
    with closing(sqlite3.connect(path)) as source:
        source.execute("VACUUM")
    write(path, "UPDATE rows_only SET v = -7 WHERE rowid = 100")

    run(path, postgres, **OPTIONS)

    assert unequal(path, postgres) == {}


def test_a_table_that_was_dropped_and_made_anew_is_compared(path, postgres):
    run(path, postgres, **OPTIONS)
    write(path, "DROP TABLE t; CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER);"
          "INSERT INTO t VALUES ('k1', 100)")  # fmt: skip

    run(path, postgres, **OPTIONS)

    assert unequal(path, postgres) == {}


def test_a_target_put_back_to_an_older_state_is_compared(path, postgres):
    run(path, postgres, **OPTIONS)
    sql(
        postgres,
        "CREATE TABLE old_t AS TABLE t; CREATE TABLE old_state AS TABLE nightshift_replication",
    )
    write(path, "UPDATE t SET v = -1 WHERE v < 9")
    run(path, postgres, **OPTIONS)
    sql(postgres, "TRUNCATE t; INSERT INTO t TABLE old_t")
    sql(
        postgres,
        "TRUNCATE nightshift_replication; INSERT INTO nightshift_replication TABLE old_state",
    )

    run(path, postgres, **OPTIONS)

    assert unequal(path, postgres) == {}


def test_tables_that_are_no_longer_replicated_lose_their_triggers(path, postgres):
    run(path, postgres, **OPTIONS)

    run(path, postgres, tables=("t",), **OPTIONS)

    with closing(sqlite3.connect(path)) as source:
        assert change_log.leftovers(source) == ["nightshift_changes_t"]


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_a_table_called_like_the_trigger_of_another_keeps_its_log(event, path, postgres):
    write(path, f"CREATE TABLE t_{event} (id INTEGER PRIMARY KEY, v)")
    run(path, postgres, exclude=("t",), **OPTIONS)
    run(path, postgres, **OPTIONS)
    write(
        path,
        f"INSERT INTO t_{event} VALUES (1, 'a'); INSERT INTO t VALUES ('new', 1);"
        "UPDATE t SET v = -1 WHERE v = 5; DELETE FROM t WHERE v = 6",
    )

    result = run(path, postgres, **OPTIONS)

    assert result["capture"] == "changes"
    assert unequal(path, postgres) == {}


def test_a_second_target_between_look_and_commit_makes_the_first_compare(path, postgres):
    with closing(sqlite3.connect(path)) as source:
        source.execute("PRAGMA journal_mode = WAL")
    write(path, "CREATE VIEW seen AS SELECT * FROM t")
    run(path, postgres, schema="second", **OPTIONS)

    def run_second_target():
        write(path, "UPDATE t SET v = -1 WHERE v = 5")
        run(path, postgres, schema="second", **OPTIONS)

    # This is logged once the snapshot has been taken.
    run_while("left out: seen", run_second_target, path, postgres, **OPTIONS)
    run(path, postgres, **OPTIONS)

    assert unequal(path, postgres) == {}


def test_of_two_targets_that_announce_only_the_later_empties_the_log(path, postgres):
    run(path, postgres, **OPTIONS)
    write(path, "UPDATE t SET v = -1 WHERE v = 5")
    with closing(sqlite3.connect(path, isolation_level=None)) as source:
        current = change_log.memory(source).current
        last = change_log.last_of(source, "t")
        earlier, later = (change_log.announce(source, current) for _ in range(2))

        change_log.settle(source, earlier, {"t": last})

        assert change_log.last_of(source, "t") == last
        assert not change_log.memory(source).knows(earlier)
        assert change_log.memory(source).knows(later)


def test_triggers_that_vanish_while_others_are_made_end_the_run(path, postgres):
    run(path, postgres, **OPTIONS)
    write(path, "DROP TRIGGER nightshift_changes_t_insert")

    def drop_triggers():
        write(path, "DROP TRIGGER nightshift_changes_rows_only_insert")
        write(path, "INSERT INTO rows_only VALUES (-5)")

    with pytest.raises(WorkerError, match="another program") as failed:
        run_while("made triggers", drop_triggers, path, postgres, **OPTIONS)

    assert not failed.value.permanent
    run(path, postgres, **OPTIONS)
    assert unequal(path, postgres) == {}


def test_compare_writes_nothing_in_the_source(path, postgres):
    before = path.read_bytes()

    run(path, postgres, capture="compare")

    assert path.read_bytes() == before


def test_logs_that_compare_leaves_behind_are_named(path, postgres):
    run(path, postgres, **OPTIONS)

    assert "still has logs of changes (nightshift_changes_" in logged(path, postgres)


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_a_run_killed_at_any_moment_leaves_all_or_nothing_and_the_next_is_right(
    capture, path, postgres
):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    sums = {None}
    deaths, whole_s = 0, 0.15

    for number in range(10):
        write(
            path,
            f"UPDATE t SET v = {number} WHERE abs(random()) % 3 = 0;"
            f"DELETE FROM t WHERE id = 'k{number}'; INSERT INTO t VALUES ('n{number}', 0)",
        )
        with closing(sqlite3.connect(path)) as source:
            sums.add(source.execute("SELECT sum(v) * 1000 + count(*) FROM t").fetchone()[0])
        command = [sys.executable, "-c", DRIVER, path, postgres, capture]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout
            worker.stdout.readline()
            began = time.monotonic()
            try:
                worker.wait(dice.uniform(0, whole_s))
                # The duration of a whole run here; a later kill would hit none.
                whole_s = time.monotonic() - began
            except subprocess.TimeoutExpired:
                os.kill(worker.pid, signal.SIGKILL)
            deaths += worker.wait() == -signal.SIGKILL
        if sql(postgres, "SELECT to_regclass('t') IS NOT NULL")[0][0]:
            seen = sql(postgres, "SELECT (sum(v) * 1000 + count(*))::bigint FROM t")[0][0]
            assert seen in sums

    until_free(postgres)
    run(path, postgres, capture=capture)
    assert unequal(path, postgres) == {}
    assert deaths


def until_free(dsn):
    """Wait until PostgreSQL has noticed that a killed worker's session is gone."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    until(lambda: sql(dsn, query) == [(0,)])
