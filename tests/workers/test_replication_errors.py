"""Faults of PostgreSQL and the connection: a run ends soon, names the cause, changes nothing."""

import os
import random
import socket
import subprocess
import sys
import threading

import psycopg
import pytest

from scripts import embedded_postgres
from tests.fix_postgres import needs_account
from tests.waiting import until
from tests.workers.fixtures_replication import (
    a_source,
    failure,
    run,
    sql,
    unequal,
    write,
)
from tests.workers.proxy import proxied
from workers.replication import deadline_connection
from workers.report import WorkerError

SECRET = "s3cr3t-word"


@needs_account
def test_a_server_that_is_away_is_named_and_not_permanent(source):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    failed = failure(source, f"host=127.0.0.1 port={port} dbname=x password={SECRET}")

    assert f"PostgreSQL at 127.0.0.1:{port}/x: " in failed.error
    assert "refused" in failed.error
    assert SECRET not in failed.error
    assert not failed.permanent


def test_a_server_that_never_greets_is_left(source, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        failed = failure(source, f"host=127.0.0.1 port={port} connect_timeout=2")

    assert f"PostgreSQL at 127.0.0.1:{port}" in failed.error
    assert not failed.permanent


@pytest.mark.parametrize(
    "dsn",
    [
        f"host=x {SECRET}",
        f"postgresql://u:{SECRET}@[::1",
        f"pass word={SECRET}",
        f"postgresql://u:{SECRET}@h:notaport/x",
        f"postgresql://u:{SECRET}%ff@h/x",
        f"host=x password={SECRET}\udcff",
        f"dbname=postgresql://u:{SECRET}@h/x",
        f"host=x dbname='host=x password={SECRET}'",
    ],
)
def test_a_dsn_that_cannot_be_read_is_not_repeated(dsn, source):
    failed = failure(source, dsn)

    assert "postgres: expected" in failed.error or "PostgreSQL at" in failed.error
    assert SECRET not in failed.error


def test_a_url_for_the_name_of_a_database_is_refused_and_not_repeated(source, monkeypatch):
    monkeypatch.setenv("PGDATABASE", f"postgresql://u:{SECRET}@h/x")

    failed = failure(source, "host=x")

    assert "PGDATABASE" in failed.error
    assert SECRET not in failed.error
    assert failed.permanent


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_host_that_has_no_name_is_no_crash(host, source):
    assert f"PostgreSQL at {host}:5432: " in failure(source, f"host={host} port=5432").error


@needs_account
def test_a_wrong_password_is_refused_without_being_shown(source, embedded, tmp_path):
    with embedded_postgres.throwaway() as server:
        sql(server.dsn, f"CREATE ROLE someone LOGIN PASSWORD '{SECRET}x'")
        hba = server.data / "pg_hba.conf"
        hba.write_text("local all postgres trust\nlocal all someone scram-sha-256\n")
        sql(server.dsn, "SELECT pg_reload_conf()")
        dsn = f"host={server.sockets} dbname=postgres user=someone password={SECRET}"

        until(lambda: "password authentication failed" in failure(source, dsn).error)
        failed = failure(source, dsn)

    assert SECRET not in failed.error
    assert not failed.permanent


def ending(source, dsn, capture):
    """Return the error of a run, or None."""
    try:
        run(source, dsn, capture=capture)
    except WorkerError as failed:
        return failed
    return None


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_a_connection_cut_at_any_byte_leaves_all_or_nothing(capture, source, embedded):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    run(source, embedded, capture=capture)
    counts = {2000}
    with proxied(embedded) as (proxy, through):
        write(source, "UPDATE t SET v = hex(randomblob(40))")
        before = proxy.passed
        run(source, through, capture=capture)
        whole = proxy.passed - before

    for number in range(12):
        write(
            source, f"UPDATE t SET v = hex(randomblob(40)); INSERT INTO t (v) VALUES ('{number}')"
        )
        counts.add(2001 + number)
        with proxied(embedded, cut_after=dice.randrange(1, whole)) as (_, through):
            reported = ending(source, through, capture)
        assert reported is None or (
            not reported.permanent and "PostgreSQL at 127.0.0.1" in reported.error
        )
        assert sql(embedded, "SELECT count(*) FROM t")[0][0] in counts

    until(lambda: not sql(embedded, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"))
    run(source, embedded, capture=capture)
    assert unequal(source, embedded) == {}


@pytest.mark.parametrize("after", [3000, 30_000, 90_000])
def test_a_peer_that_swallows_bytes_is_left(after, source, embedded, monkeypatch):
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.5)
    with proxied(embedded, swallow_after=after) as (_, through):
        failed = failure(source, f"{through} connect_timeout=2")

    assert "PostgreSQL at 127.0.0.1" in failed.error
    assert not failed.permanent
    assert sql(embedded, "SELECT to_regclass('t')") == [(None,)]


def test_a_slow_way_is_waited_for(source, embedded, monkeypatch):
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.1)
    write(source, "DELETE FROM t WHERE id > 100")
    with proxied(embedded, delay_s=0.02) as (_, through):
        run(source, through)

    assert unequal(source, embedded) == {}


@needs_account
@pytest.mark.long
def test_a_server_that_is_stopped_meanwhile_fails_the_run(source):
    with embedded_postgres.throwaway() as server:
        run(source, server.dsn)
        body = "$$BEGIN PERFORM pg_sleep(30); RETURN NEW; END$$ LANGUAGE plpgsql"
        sql(server.dsn, f"CREATE FUNCTION slow() RETURNS trigger AS {body}")
        trigger = "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()"
        sql(server.dsn, trigger)
        write(source, "UPDATE t SET v = 'x' WHERE id = 1")

        def stop():
            query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            until(lambda: sql(server.dsn, query), within_s=20)
            server.stop()

        asking = threading.Thread(target=stop)
        asking.start()
        failed = failure(source, server.dsn)
        asking.join()

    assert "terminating connection" in failed.error
    assert not failed.permanent


def test_a_database_that_is_not_utf8_is_refused(source, postgres):
    sql(postgres, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        failed = failure(source, psycopg.conninfo.make_conninfo(postgres, dbname="latin"))
    finally:
        sql(postgres, "DROP DATABASE latin WITH (FORCE)")

    assert "encoding is LATIN1, not UTF8" in failed.error


def test_a_source_that_is_not_there_is_named(tmp_path, postgres):
    failed = failure(tmp_path / "none.db", postgres)

    assert "none.db does not exist" in failed.error
    assert failed.permanent


def test_no_secret_is_in_the_process_list_or_a_traceback(source, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from workers.replication import Params, run
from workers.report import Report
params = Params(Path({str(source)!r}), "postgresql://u:{SECRET}@127.0.0.1:{port}/x")
print(params, Path("/proc/self/cmdline").read_bytes())
run(params, Report(print, datetime.now(UTC)))
"""
    file = tmp_path / "run.py"
    file.write_text(script)

    reported = subprocess.run(
        [sys.executable, file],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )

    assert "WorkerError" in reported.stderr
    assert SECRET not in reported.stdout + reported.stderr.replace(script, "")


@pytest.mark.parametrize(
    ("made", "word"),
    [
        ("CREATE VIEW t AS SELECT 1 AS id", "a view"),
        ("CREATE MATERIALIZED VIEW t AS SELECT 1 AS id", "a materialized view"),
        ("CREATE SEQUENCE t", "a sequence"),
        ("CREATE TYPE t AS (id bigint)", "a type"),
        ("CREATE TABLE other (id int); CREATE INDEX t ON other (id)", "an index"),
    ],
)
@pytest.mark.parametrize("verify_only", [False, True])
def test_what_has_the_name_of_a_table_and_is_none_is_named(
    made, word, verify_only, tmp_path, postgres
):
    source = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    sql(postgres, made)

    failed = failure(source, postgres, verify_only=verify_only)

    assert f'"public"."t" is {word} in the target' in failed.error
    assert failed.permanent


def test_a_target_that_may_only_be_read_is_said_to_be_one(tmp_path, postgres):
    source = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")

    failed = failure(source, f"{postgres} options='-c default_transaction_read_only=on'")

    assert "a standby, or a role with default_transaction_read_only" in failed.error
