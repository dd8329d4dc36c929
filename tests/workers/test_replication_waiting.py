"""A replication waits for statements, locks and other replications, each up to a limit."""

import threading

import psycopg
import pytest

from tests.waiting import until
from tests.workers.fixtures_replication import (
    a_report,
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

WAITS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def make_updates_slow(dsn, seconds):
    """Delay every update of a row of `t` by this many seconds."""
    body = f"$$BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END$$ LANGUAGE plpgsql"
    sql(dsn, f"CREATE FUNCTION slow() RETURNS trigger AS {body}")
    sql(dsn, "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()")


def test_a_long_statement_is_waited_for(source, postgres, monkeypatch):
    run(source, postgres)
    make_updates_slow(postgres, seconds=1)
    write(source, "UPDATE t SET v = 'x' WHERE id = 1")
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.3)

    run(source, postgres)

    assert unequal(source, postgres) == {}


def test_a_long_statement_is_waited_for_behind_a_pooler(source, embedded, monkeypatch):
    run(source, embedded)
    make_updates_slow(embedded, seconds=1)
    write(source, "UPDATE t SET v = 'x' WHERE id = 1")
    monkeypatch.setattr(deadline_connection, "SILENCE_S", 0.3)

    with proxied(embedded, pools=True) as (_, through):
        run(source, through)

    assert unequal(source, embedded) == {}


def test_a_statement_that_takes_too_long_is_named(source, postgres, monkeypatch):
    run(source, postgres)
    make_updates_slow(postgres, seconds=30)
    write(source, "UPDATE t SET v = 'x' WHERE id = 1")
    monkeypatch.setattr(target, "STATEMENT_LIMIT_S", 1)

    failed = failure(source, postgres)

    assert "canceling statement due to statement timeout" in failed.error
    assert not failed.permanent


def test_a_request_to_end_is_received_in_the_middle_of_a_statement(source, postgres):
    run(source, postgres)
    make_updates_slow(postgres, seconds=30)
    write(source, "UPDATE t SET v = 'x' WHERE id = 1")
    report = a_report()

    def cancel():
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        until(lambda: sql(postgres, query), within_s=20)
        report.cancelled = True

    asking = threading.Thread(target=cancel)
    asking.start()
    with pytest.raises(WorkerError, match="cancelled; nothing was changed"):
        replication.run(replication.Params(source, postgres), report)
    asking.join()


def test_a_locked_table_is_named(source, postgres, monkeypatch):
    run(source, postgres)
    monkeypatch.setattr(target, "LOCK_LIMIT_S", 1)
    with psycopg.connect(postgres) as other:
        other.execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
        failed = failure(source, postgres)

    assert "lock timeout; another session holds the table" in failed.error
    assert not failed.permanent


def test_a_second_replication_into_the_same_schema_is_refused(source, postgres, monkeypatch):
    monkeypatch.setattr(target, "SCHEMA_LIMIT_S", 1)
    with target.connected(Destination(postgres, "public"), lambda: False):
        refused = failure(source, postgres)
        run(source, postgres, schema="elsewhere")

    assert "another replication into schema public of " in refused.error
    assert "is running, and was waited for 1 s" in refused.error
    assert not refused.permanent


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_a_replication_that_is_about_to_end_is_waited_for(isolation, source, postgres):
    first = target.connected(Destination(postgres, "public"), lambda: False)
    holder = first.__enter__()

    def end():
        until(lambda: sql(postgres, WAITS), within_s=20)
        holder.connection.commit()

    asking = threading.Thread(target=end)
    asking.start()
    option = isolation.replace(" ", r"\\ ")
    run(source, f"{postgres} options='-c default_transaction_isolation={option}'")
    asking.join()
    first.__exit__(None, None, None)

    assert unequal(source, postgres) == {}


def test_the_wait_for_another_replication_can_be_cancelled(source, postgres):
    report = a_report()

    def cancel():
        until(lambda: sql(postgres, WAITS), within_s=20)
        report.cancelled = True

    asking = threading.Thread(target=cancel)
    with target.connected(Destination(postgres, "public"), lambda: False):
        asking.start()
        with pytest.raises(WorkerError, match="cancelled; nothing was changed"):
            replication.run(replication.Params(source, postgres), report)
    asking.join()


def test_a_source_whose_writer_does_not_end_is_named(source, postgres, monkeypatch):
    import sqlite3

    from workers import sqlite

    monkeypatch.setattr(sqlite.open_existing, "__kwdefaults__", {
        "read_only": False, "busy_timeout_s": 0.2})  # fmt: skip
    with sqlite3.connect(source) as writer:
        writer.execute("INSERT INTO t (v) VALUES ('open')")
        failed = failure(source, postgres, capture="triggers")
        writer.rollback()

    assert "is locked by another program" in failed.error
    assert not failed.permanent
