"""What an idle cluster asks of PostgreSQL: single statements, counted on the real protocol."""

import tempfile

from supervisor.cluster import engine, glance
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.core.config_model import Cluster
from tests.edge.test_cluster_exchange import at, db, exchange, joined, shared

__all__ = ["db", "shared"]

HOST = AgentSettings("", "/state", "", 1, Cluster("", "test", "b"))


def statements(connection, action):
    """Return what an action gives, and how many statements it has sent over a connection."""
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
