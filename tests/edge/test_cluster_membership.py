"""A host that joins again after a boot, and the end of its heartbeats, on a real PostgreSQL."""

import subprocess
import sys

import pytest

from supervisor.cluster import assignment_rows, engine, membership
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.assignment_rows import Worker
from supervisor.cluster.local_host import LocalHost
from supervisor.cluster.membership import Membership
from supervisor.core.config_model import Cluster
from supervisor.core.effects import Launch
from tests.edge.test_cluster_exchange import JOB, at, begun, db, exchange, happened, run, shared

__all__ = ["db", "shared"]

# A host whose clock raises an unexpected error after it has joined.
BROKEN = """
import signal, sys
from pathlib import Path
from supervisor.cluster import session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.local_host import LocalHost
from supervisor.cluster.membership import Membership
from supervisor.core.config_model import Cluster
dsn, folder = sys.argv[1:]
settings = AgentSettings("", folder, "", 3, Cluster(dsn, "test", "a", heartbeat_s=0.01))
settings.folder.mkdir()
readings = iter([1.0])
member = Membership(settings, LocalHost(Path(folder)), lambda: False, lambda: next(readings))
with session.connect(dsn, settings.schema) as db:
    member.join(db, 1)
    member.begin()
    signal.pause()
"""


@pytest.fixture
def join(db, tmp_path, monkeypatch):
    """Return a function that lets host a join after a boot, and returns its worker."""
    cluster = Cluster("", "test", "a", heartbeat_s=0.01)
    settings = AgentSettings("", str(tmp_path), "", 3, cluster)
    settings.folder.mkdir()

    def join(boot):
        monkeypatch.setattr(membership, "_machine", lambda _: f"machine, boot {boot}")
        member = Membership(settings, LocalHost(tmp_path / "none"), lambda: False)
        member.join(db, 1)
        return Worker(member.worker, "a", settings.labels)

    return join


@pytest.fixture
def fetched(db, shared, join):
    """Return the host's first worker, which holds an attempt."""
    leader = exchange(shared)
    begun(shared, run(1))
    leader.hand_out(Launch(run(1), JOB))
    leader.poll(at())
    worker = join("1")
    assert len(assignment_rows.fetch(db, worker, 1, 3)) == 1
    return worker


def test_a_host_holds_after_a_boot_what_it_held_before(db, fetched, join):
    after = join("2")

    (held,) = assignment_rows.held(db, after)
    assert (held.run, held.attempt) == (1, 1)
    assert engine.is_held(db, held.fence, after.number)
    assert fetched.number not in engine.heartbeats(db)


def test_what_was_declared_lost_before_a_boot_is_not_held(db, shared, fetched, join):
    leader = exchange(shared, lease_s=0.0)
    db.execute("UPDATE hosts SET fence_seconds = 0")
    leader.poll(at())

    after = join("2")

    assert assignment_rows.held(db, after) == []
    assert [type(each).__name__ for each in happened(leader.poll(at(6)))] == ["HostLost"]


def test_a_host_that_is_restarted_without_a_boot_stays_the_same(db, fetched, join):
    assert join("1").number == fetched.number


def test_an_error_that_ends_the_heartbeats_ends_the_process(db, postgres, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN, postgres, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ended.returncode, "StopIteration" in ended.stderr) == (1, True)
