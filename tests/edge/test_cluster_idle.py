"""PostgreSQL statements of an idle cluster, counted in the real protocol."""

import tempfile
from datetime import UTC, datetime

from supervisor.cluster import engine, glance
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.core.config_model import Cluster, History
from supervisor.core.effects import Launch
from tests.edge.test_cluster_exchange import (
    JOB,
    ON_DB,
    at,
    begun,
    db,
    exchange,
    joined,
    run,
    shared,
)

__all__ = ["db", "shared"]

HOST = AgentSettings("", "/state", "", 1, Cluster("", "test", "b"))


def statements(connection, action):
    """Return the result of an action, and how many statements it has sent over a connection."""
    with tempfile.TemporaryFile("w+") as trace:
        connection.pgconn.trace(trace.fileno())
        try:
            found = action()
        finally:
            connection.pgconn.untrace()
        trace.seek(0)
        return found, trace.read().count("ReadyForQuery")


def test_an_exchange_with_nothing_to_do_is_one_statement(db, shared):
    leader = exchange(shared)
    joined(db, "b", "host:b")
    leader.poll(at())

    seen, count = statements(shared.connection(), lambda: leader.poll(at(6)))

    assert [host.name for host in seen[0].hosts] == ["b"]
    assert count == 1


def test_an_exchange_that_is_not_due_asks_for_reports_alone(db, shared):
    leader = exchange(shared)
    leader.poll(at())

    found, count = statements(shared.connection(), lambda: leader.poll(at(2)))

    assert (found, count) == ([], 1)


def test_a_heartbeat_looks_in_the_same_statement(db, shared):
    worker = joined(db, "b", "host:b")
    before = engine.heartbeats(db)[worker]

    seen, count = statements(db, lambda: glance.beat(db, HOST, worker, leads=False))

    assert (seen.config, seen.sha256, seen.work) == (1, "5e", False)
    assert engine.heartbeats(db)[worker] != before
    assert count == 1


def test_a_heartbeat_of_a_removed_worker_sees_nothing(db, shared):
    worker = joined(db, "b", "host:b")
    engine.unregister(db, worker)

    assert glance.beat(db, HOST, worker, leads=False) is None


def test_the_queues_of_older_texts_are_purged_when_nothing_waits_there(db, shared):
    leader = exchange(shared)
    begun(shared, run(1), run(2, ON_DB))
    leader.hand_out(Launch(run(1), JOB))
    leader.hand_out(Launch(run(2, ON_DB), ON_DB))
    leader.poll(at())
    shared.purge([], History(), datetime.now(UTC))
    before = db.execute("SELECT count(*) FROM queues").fetchone()
    db.execute("INSERT INTO configs (sha256, host) VALUES ('6f', 'b')")
    (fence,) = db.execute("SELECT fence FROM assignments WHERE run = 1").fetchone()
    engine.withdraw(db, fence)

    shared.purge([], History(), datetime.now(UTC))

    assert before == (2,)
    assert db.execute("SELECT labels FROM queues").fetchall() == [("db",)]
