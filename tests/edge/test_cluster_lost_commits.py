"""A running leader on an older copy of PostgreSQL, as after a failover that loses commits."""

import subprocess

import pytest

from scripts import embedded_postgres
from supervisor.cluster import engine, install, session
from supervisor.cluster.exchange import Exchange
from supervisor.cluster.shared_ledger import Leadership, SharedLedger
from supervisor.core import events as ev
from supervisor.core.effects import Launch
from supervisor.ledger.errors import LedgerUnavailableError
from tests.edge.test_cluster_exchange import JOB, SCHEMA, at, begun, exchange, happened, run
from tests.fix_postgres import needs_account

pytestmark = [needs_account, pytest.mark.long]


@pytest.fixture
def shared(own_postgres: embedded_postgres.Server) -> SharedLedger:
    with session.connect(own_postgres.dsn, SCHEMA) as db:
        install.install(db, SCHEMA, None)
        db.execute(f'SET search_path = "{SCHEMA}"')
        db.execute("INSERT INTO configs (sha256, host) VALUES ('5e', 'a')")
        worker = engine.register(db)
        (job,) = engine.fetch(db, [session.queue_of(SCHEMA, "leader")], worker, 1)
    return SharedLedger(own_postgres.dsn, SCHEMA, Leadership(job.id, worker, 0))


def copied(server: embedded_postgres.Server, shared: SharedLedger) -> str:
    """Return the folder of a copy of the database as it is now."""
    shared.drop()
    server.stop()
    copy = f"{server.data}.copy"
    subprocess.run(["cp", "-a", str(server.data), copy], check=True)
    server.start()
    return copy


def restored(server: embedded_postgres.Server, shared: SharedLedger, copy: str) -> None:
    shared.drop()
    server.stop()
    subprocess.run(["rm", "-r", str(server.data)], check=True)
    subprocess.run(["mv", copy, str(server.data)], check=True)
    server.start()


def handed_out(leader: Exchange, shared: SharedLedger, number: int, later_s: float) -> None:
    begun(shared, run(number))
    leader.hand_out(Launch(run(number), JOB))
    leader.poll(at(later_s))


def test_a_leader_names_what_was_lost_and_interrupts_what_postgresql_does_not_know(
    own_postgres, shared
):
    leader = exchange(shared)
    handed_out(leader, shared, 1, 0)
    copy = copied(own_postgres, shared)
    handed_out(leader, shared, 2, 1)
    restored(own_postgres, shared, copy)

    with pytest.raises(LedgerUnavailableError, match="lost what it had confirmed, turns 2 to 2"):
        begun(shared, run(3))
    begun(shared, run(3))
    (end,) = leader.poll(at(3))

    assert "may begin twice" in shared.pop_damage()
    assert (type(end), end.run, end.state, end.reason) == (ev.Judged, 2, "interrupted", "lost")
    assert leader.held == {(1, 1)}
    assert happened(leader.poll(at(9))) == []
