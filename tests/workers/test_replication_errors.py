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
    a_report,
    a_source,
    failure,
    run,
    sql,
    unequal,
    write,
)
from tests.workers.proxy import proxied
from workers import replication
from workers.replication import deadline_connection, target
from workers.replication.settings import Destination
from workers.report import WorkerError

SCRIPT = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 1999)
INSERT INTO t SELECT n, hex(randomblob(40)) FROM c"""
SECRET = "s3cr3t-word"


@pytest.fixture
def path(tmp_path):
    return a_source(tmp_path / "a.db", SCRIPT)


@pytest.fixture
def embedded(postgres):
    if not os.path.isdir(psycopg.conninfo.conninfo_to_dict(postgres).get("host", "")):
        pytest.skip("only the embedded server has a proxy")
    return postgres


@needs_account
def test_a_server_that_is_away_is_named_and_not_permanent(path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    failed = failure(path, f"host=127.0.0.1 port={port} dbname=x password={SECRET}")

    assert f"PostgreSQL at 127.0.0.1:{port}/x: " in failed.error
    assert "refused" in failed.error
    assert SECRET not in failed.error
    assert not failed.permanent


def test_a_server_that_never_greets_is_left(path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        failed = failure(path, f"host=127.0.0.1 port={port} connect_timeout=2")

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
def test_a_dsn_that_cannot_be_read_is_not_repeated(dsn, path):
    failed = failure(path, dsn)

    assert "postgres: expected" in failed.error or "PostgreSQL at" in failed.error
    assert SECRET not in failed.error


def test_a_url_for_the_name_of_a_database_is_refused_and_not_repeated(path, monkeypatch):
    monkeypatch.setenv("PGDATABASE", f"postgresql://u:{SECRET}@h/x")

    failed = failure(path, "host=x")

    assert "PGDATABASE" in failed.error
    assert SECRET not in failed.error
    assert failed.permanent


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_host_that_has_no_name_is_no_crash(host, path):
    assert f"PostgreSQL at {host}:5432: " in failure(path, f"host={host} port=5432").error


@needs_account
def test_a_wrong_password_is_refused_without_being_shown(path, embedded, tmp_path):
    with embedded_postgres.throwaway() as server:
        sql(server.dsn, f"CREATE ROLE someone LOGIN PASSWORD '{SECRET}x'")
        hba = server.data / "pg_hba.conf"
        hba.write_text("local all postgres trust\nlocal all someone scram-sha-256\n")
        sql(server.dsn, "SELECT pg_reload_conf()")
        dsn = f"host={server.sockets} dbname=postgres user=someone password={SECRET}"

        until(lambda: "password authentication failed" in failure(path, dsn).error)
        failed = failure(path, dsn)

    assert SECRET not in failed.error
    assert not failed.permanent


def ending(path, dsn, capture):
    """Return the error of a run, or None."""
    try:
        run(path, dsn, capture=capture)
    except WorkerError as failed:
        return failed
    return None


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_a_connection_cut_at_any_byte_leaves_all_or_nothing(capture, path, embedded):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    run(path, embedded, capture=capture)
    counts = {2000}
    with proxied(embedded) as (proxy, through):
        write(path, "UPDATE t SET v = hex(randomblob(40))")
        before = proxy.passed
        run(path, through, capture=capture)
        whole = proxy.passed - before

    for number in range(12):
        write(path, f"UPDATE t SET v = hex(randomblob(40)); INSERT INTO t (v) VALUES ('{number}')")
        counts.add(2001 + number)
        with proxied(embedded, cut_after=dice.randrange(1, whole)) as (_, through):
            reported = ending(path, through, capture)
        assert reported is None or (
            not reported.permanent and "PostgreSQL at 127.0.0.1" in reported.error
        )
        assert sql(embedded, "SELECT count(*) FROM t")[0][0] in counts

    until(lambda: not sql(embedded, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"))
    run(path, embedded, capture=capture)
    assert unequal(path, embedded) == {}


@pytest.mark.parametrize("after", [3000, 30_000, 90_000])
def test_a_peer_that_swallows_bytes_is_left(after, path, embedded, monkeypatch):
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.5)
    with proxied(embedded, swallow_after=after) as (_, through):
        failed = failure(path, f"{through} connect_timeout=2")

    assert "PostgreSQL at 127.0.0.1" in failed.error
    assert not failed.permanent
    assert sql(embedded, "SELECT to_regclass('t')") == [(None,)]


def test_a_slow_way_is_waited_for(path, embedded, monkeypatch):
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.1)
    write(path, "DELETE FROM t WHERE id > 100")
    with proxied(embedded, delay_s=0.02) as (_, through):
        run(path, through)

    assert unequal(path, embedded) == {}


def make_updates_slow(dsn, seconds):
    """Delay every update of a row of `t` by this many seconds."""
    body = f"$$BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END$$ LANGUAGE plpgsql"
    sql(dsn, f"CREATE FUNCTION slow() RETURNS trigger AS {body}")
    sql(dsn, "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()")


def test_a_long_statement_is_waited_for(path, postgres, monkeypatch):
    run(path, postgres)
    make_updates_slow(postgres, seconds=1)
    write(path, "UPDATE t SET v = 'x' WHERE id = 1")
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.3)

    run(path, postgres)

    assert unequal(path, postgres) == {}


def test_a_long_statement_is_waited_for_behind_a_pooler(path, embedded, monkeypatch):
    run(path, embedded)
    make_updates_slow(embedded, seconds=1)
    write(path, "UPDATE t SET v = 'x' WHERE id = 1")
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.3)

    with proxied(embedded, pools=True) as (_, through):
        run(path, through)

    assert unequal(path, embedded) == {}


def test_a_statement_that_takes_too_long_is_named(path, postgres, monkeypatch):
    run(path, postgres)
    make_updates_slow(postgres, seconds=30)
    write(path, "UPDATE t SET v = 'x' WHERE id = 1")
    monkeypatch.setattr(target, "STATEMENT_LIMIT_S", 1)

    failed = failure(path, postgres)

    assert "canceling statement due to statement timeout" in failed.error
    assert not failed.permanent


def test_a_request_to_end_is_received_in_the_middle_of_a_statement(path, postgres):
    run(path, postgres)
    make_updates_slow(postgres, seconds=30)
    write(path, "UPDATE t SET v = 'x' WHERE id = 1")
    report = a_report()

    def cancel():
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: sql(postgres, query), within_s=20)
        report.cancelled = True

    asking = threading.Thread(target=cancel)
    asking.start()
    with pytest.raises(WorkerError, match="cancelled; nothing was changed"):
        replication.run(replication.Params(path, postgres), report)
    asking.join()


def test_a_locked_table_is_named(path, postgres, monkeypatch):
    run(path, postgres)
    monkeypatch.setattr(target, "LOCK_LIMIT_S", 1)
    with psycopg.connect(postgres) as other:
        other.execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
        failed = failure(path, postgres)

    assert "lock timeout; another session holds the table" in failed.error
    assert not failed.permanent


def test_a_second_replication_into_the_same_schema_is_refused(path, postgres, monkeypatch):
    monkeypatch.setattr(target, "SCHEMA_LIMIT_S", 1)
    with target.connected(Destination(postgres, "public"), lambda: False):
        refused = failure(path, postgres)
        run(path, postgres, schema="elsewhere")

    assert "another replication into schema public of " in refused.error
    assert "is running, and was waited for 1 s" in refused.error
    assert not refused.permanent


WAITS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_a_replication_that_is_about_to_end_is_waited_for(isolation, path, postgres):
    first = target.connected(Destination(postgres, "public"), lambda: False)
    holder = first.__enter__()

    def end():
        until(lambda: sql(postgres, WAITS), within_s=20)
        holder.connection.commit()

    asking = threading.Thread(target=end)
    asking.start()
    option = isolation.replace(" ", r"\\ ")
    run(path, f"{postgres} options='-c default_transaction_isolation={option}'")
    asking.join()
    first.__exit__(None, None, None)

    assert unequal(path, postgres) == {}


def test_the_wait_for_another_replication_can_be_cancelled(path, postgres):
    report = a_report()

    def cancel():
        until(lambda: sql(postgres, WAITS), within_s=20)
        report.cancelled = True

    asking = threading.Thread(target=cancel)
    with target.connected(Destination(postgres, "public"), lambda: False):
        asking.start()
        with pytest.raises(WorkerError, match="cancelled; nothing was changed"):
            replication.run(replication.Params(path, postgres), report)
    asking.join()


@needs_account
@pytest.mark.long
def test_a_server_that_is_stopped_meanwhile_fails_the_run(path):
    with embedded_postgres.throwaway() as server:
        run(path, server.dsn)
        body = "$$BEGIN PERFORM pg_sleep(30); RETURN NEW; END$$ LANGUAGE plpgsql"
        sql(server.dsn, f"CREATE FUNCTION slow() RETURNS trigger AS {body}")
        trigger = "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()"
        sql(server.dsn, trigger)
        write(path, "UPDATE t SET v = 'x' WHERE id = 1")

        def stop():
            query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            until(lambda: sql(server.dsn, query), within_s=20)
            server.stop()

        asking = threading.Thread(target=stop)
        asking.start()
        failed = failure(path, server.dsn)
        asking.join()

    assert "terminating connection" in failed.error
    assert not failed.permanent


def test_a_database_that_is_not_utf8_is_refused(path, postgres):
    sql(postgres, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        failed = failure(path, psycopg.conninfo.make_conninfo(postgres, dbname="latin"))
    finally:
        sql(postgres, "DROP DATABASE latin WITH (FORCE)")

    assert "encoding is LATIN1, not UTF8" in failed.error


def test_a_source_that_is_not_there_is_named(tmp_path, postgres):
    failed = failure(tmp_path / "none.db", postgres)

    assert "none.db does not exist" in failed.error
    assert failed.permanent


def test_a_source_whose_writer_does_not_end_is_named(path, postgres, monkeypatch):
    import sqlite3

    from workers import sqlite

    monkeypatch.setattr(sqlite.open_existing, "__kwdefaults__", {
        "read_only": False, "busy_timeout_s": 0.2})  # fmt: skip
    with sqlite3.connect(path) as writer:
        writer.execute("INSERT INTO t (v) VALUES ('open')")
        failed = failure(path, postgres, capture="triggers")
        writer.rollback()

    assert "is locked by another program" in failed.error
    assert not failed.permanent


def test_no_secret_is_in_the_process_list_or_a_traceback(path, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from workers.replication import Params, run
from workers.report import Report
params = Params(Path({str(path)!r}), "postgresql://u:{SECRET}@127.0.0.1:{port}/x")
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


def test_libpqs_own_environment_leads_the_way(path, postgres, monkeypatch):
    given = psycopg.conninfo.conninfo_to_dict(postgres)
    for name, variable in (
        ("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"), ("dbname", "PGDATABASE"),
    ):  # fmt: skip
        monkeypatch.setenv(variable, str(given.get(name, "")))

    run(path, "")

    assert unequal(path, postgres) == {}


def test_empty_variables_of_libpq_are_as_good_as_unset(path, postgres, monkeypatch):
    names = (
        "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGAPPNAME",
        "PGCONNECT_TIMEOUT", "PGCLIENTENCODING",
    )  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, "")

    run(path, postgres)

    # psycopg itself accepts no empty one.
    monkeypatch.delenv("PGCONNECT_TIMEOUT")
    assert unequal(path, postgres) == {}
    assert "the local socket:5432" in failure(path, "dbname=nothing_there").error


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "SJIS"])
def test_no_encoding_of_the_client_stands_between(encoding, tmp_path, postgres, monkeypatch):
    path = a_source(tmp_path / "a.db", 'CREATE TABLE "☃" ("ключ é" TEXT PRIMARY KEY)')
    write(path, "INSERT INTO \"☃\" VALUES ('naïve 😀')")
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    schema = "схема {é} %s 'x' ☃"

    run(path, postgres, schema=schema)
    run(path, f"{postgres} client_encoding={encoding}", schema=schema, verify_only=True)

    monkeypatch.delenv("PGCLIENTENCODING")
    assert unequal(path, postgres, schema) == {}


@pytest.mark.parametrize("setting", ["extra_float_digits=0", "quote_all_identifiers=on"])
def test_no_setting_of_the_role_stands_between(setting, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, b BLOB)")
    write(path, "INSERT INTO t VALUES (1, 0.3, x'00ff')")
    set_so = f"{postgres} options='-c {setting}'"
    run(path, set_so, proof_budget=0)
    write(path, "UPDATE t SET r = 0.30000000000000004")

    result = run(path, set_so, proof_budget=0)

    assert result["updated"] == 1
    assert unequal(path, postgres) == {}


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
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    sql(postgres, made)

    failed = failure(path, postgres, verify_only=verify_only)

    assert f'"public"."t" is {word} in the target' in failed.error
    assert failed.permanent


def test_a_target_that_may_only_be_read_is_said_to_be_one(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")

    failed = failure(path, f"{postgres} options='-c default_transaction_read_only=on'")

    assert "a standby, or a role with default_transaction_read_only" in failed.error


@pytest.mark.parametrize(
    "function",
    [
        "md5(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$"
        " SELECT '00000000000000000000000000000000' $$",
        "pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$",
        "hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT NULL::bigint $$",
    ],
)
def test_functions_of_the_search_path_do_not_stand_in_for_postgresqls(
    function, tmp_path, postgres
):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2)",
    )
    sql(postgres, f"CREATE FUNCTION {function}")
    other = f"{postgres} options='-c search_path=public,pg_catalog'"
    run(path, other)

    assert run(path, other, verify_only=True)["differing"] == 0
