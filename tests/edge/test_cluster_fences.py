"""Each fence in PostgreSQL is needed: what it prevents happens where it is taken out.

The statements are the real ones on a real server. A fence is taken out here alone, by
replacing the function that is it.
"""

import contextlib
from datetime import UTC, datetime

import pytest

from scripts import embedded_postgres
from supervisor.cluster import (
    assignment_rows,
    engine,
    install,
    leader_look,
    session,
    shared_ledger,
)
from supervisor.cluster.assignment_rows import Worker
from supervisor.cluster.dead_hosts import DeadHosts
from supervisor.cluster.shared_ledger import DeposedError, Leadership, SharedLedger
from supervisor.core.config_model import Cluster
from supervisor.core.effects import Launch
from supervisor.core.model import State
from tests.edge.test_cluster_exchange import (
    JOB,
    SCHEMA,
    at,
    begun,
    db,
    exchange,
    fetched,
    joined,
    run,
    shared,
)
from tests.fix_postgres import needs_account

__all__ = ["db", "shared"]

ENDED_AT = datetime(2026, 2, 9, 2, 1, tzinfo=UTC)
both = pytest.mark.parametrize("is_fenced", [True, False], ids=["fenced", "without"])


def handed_out(shared, *numbers):
    """Record runs, and hand them out."""
    leader = exchange(shared)
    begun(shared, *map(run, numbers))
    for number in numbers:
        leader.hand_out(Launch(run(number), JOB))
        leader.poll(at(number))


@both
def test_a_host_ends_only_what_it_holds_or_two_attempts_of_a_group_run(
    db, shared, monkeypatch, is_fenced
):
    def finish_anything(db, jobs, worker):
        for job in jobs:
            engine.end(db, job)
        return set(jobs)

    handed_out(shared, 1, 2)  # of one job, which is a group of its own
    before = fetched(db)
    (first,) = engine.jobs_of(db, before)
    engine.unregister(db, before)
    engine.give_back(db, first)
    after = fetched(db)
    if not is_fenced:
        monkeypatch.setattr(engine, "finish_all", finish_anything)

    engine.finish_all(db, [first], before)  # it was declared dead, and reports too late

    # The attempt of `after` goes on. May the second one begin beside it?
    (queue,) = db.execute("SELECT name FROM queues").fetchone()
    beside = engine.fetch(db, [queue], engine.register(db), 1)
    assert (beside == []) is is_fenced
    assert (list(engine.jobs_of(db, after)) == [first]) is is_fenced


@both
def test_a_leader_records_while_it_leads_or_a_final_run_changes(
    postgres, db, shared, monkeypatch, is_fenced
):
    begun(shared, run(1))
    job, worker = shared.leadership.job, shared.leadership.worker
    engine.unregister(db, worker)
    engine.give_back(db, job)
    successor = engine.register(db)
    engine.fetch(db, [session.queue_of(SCHEMA, "leader")], successor, 1)
    after = SharedLedger(postgres, SCHEMA, Leadership(job, successor, 1))
    begun(after, run(1, state=State.SUCCESS, ended_at=ENDED_AT))
    if not is_fenced:
        statement = shared_ledger._NEXT_TURN
        without = statement.replace("AND EXISTS (SELECT 1 FROM mine)", "")
        monkeypatch.setattr(shared_ledger, "_NEXT_TURN", without)

    with contextlib.suppress(DeposedError):
        begun(shared, run(1, state=State.INTERRUPTED, ended_at=ENDED_AT))

    (state,) = db.execute("SELECT state FROM runs WHERE id = 1").fetchone()
    assert (state == "success") is is_fenced


@both
def test_a_heartbeat_on_its_way_keeps_a_host_or_a_living_one_is_declared_dead(
    db, shared, monkeypatch, is_fenced
):
    worker = joined(db, "b", "host:b")
    hosts = leader_look.look(db, shared.leadership.worker, [], [], shared.clock).hosts
    dead = DeadHosts(Cluster("", "test", "a", lease_s=60.0), ())
    silent = [dead.look(hosts, float(mono)) for mono in range(0, 65, 5)][-1]
    assert [host.name for host in silent] == ["b"]
    if not is_fenced:
        monkeypatch.setattr(engine, "is_unchanged", lambda db, worker, heartbeat: True)

    engine.beat(db, worker)  # after the look, before the leader's transaction
    with db.transaction():
        dead.end(db, silent)

    is_alive = engine.beat(db, worker)
    assert is_alive is is_fenced


@needs_account
@pytest.mark.long
@both
def test_a_fetch_is_on_disk_before_it_is_known_or_a_crash_hands_it_out_twice(is_fenced):
    settings = {"fsync": "on", "synchronous_commit": "on", "wal_writer_delay": "10s"}
    with embedded_postgres.throwaway(settings) as server:
        with session.connect(server.dsn, SCHEMA) as db:
            install.install(db, SCHEMA, None)
            db.execute(f'SET search_path = "{SCHEMA}"')
            db.execute("INSERT INTO configs (sha256, host) VALUES ('5e', 'a')")
            leads = engine.register(db)
            (job,) = engine.fetch(db, [session.queue_of(SCHEMA, "leader")], leads, 1)
            shared = SharedLedger(server.dsn, SCHEMA, Leadership(job.id, leads, 0))
            handed_out(shared, 1)
            shared.drop()
            workers = [Worker(joined(db, name, ""), name, ()) for name in "bc"]
            if not is_fenced:
                db.execute("SET synchronous_commit = off")
            (taken,) = assignment_rows.fetch(db, workers[0], 1, 1)
            server.crash()
        server.start()

        with session.connect(server.dsn, SCHEMA) as db:
            again = assignment_rows.fetch(db, workers[1], 1, 1)

    assert ([each.key for each in again] == [taken.key]) is not is_fenced
