"""Declare hosts dead that were silent for a whole lease, and end what they held.

The row of the worker is locked and compared before it is removed, so a heartbeat that is
on its way keeps the host alive. A fetch that is on its way fails, and its job stays free.
"""

from collections.abc import Collection

from supervisor.cluster import engine, session
from supervisor.cluster.hosts import UNSEEN
from supervisor.cluster.messages import Lost, send
from supervisor.cluster.session import Connection
from supervisor.core.config_model import Cluster


class DeadHosts:
    """What one leader has seen of the hosts."""

    def __init__(self, cluster: Cluster, waiting: Collection[str]) -> None:
        """Know nothing yet; waiting: the jobs whose attempts wait for their host."""
        self._cluster, self._waiting = cluster, frozenset(waiting)
        self._watch = UNSEEN

    def look(self, db: Connection, mono: float) -> None:
        """Look at all heartbeats, in a transaction, and report what the dead have left."""
        heartbeats = engine.heartbeats(db)
        self._watch = self._watch.look(heartbeats, mono, 3 * self._cluster.heartbeat_s)
        hosts = db.execute(
            "SELECT name, worker, fence_seconds FROM hosts WHERE worker IS NOT NULL"
        ).fetchall()
        for name, worker, fence_s in hosts:
            # A host ends what it runs by its own fence, which may be longer than ours.
            lease_s = max(self._cluster.lease_s, fence_s * 5 / 4)
            if worker in heartbeats and self._watch.silent_s(worker, mono) < lease_s:
                continue
            if worker not in heartbeats or engine.is_unchanged(db, worker, heartbeats[worker]):
                self._end_all(db, name, worker)

    def silent_s(self, worker: int, mono: float) -> float:
        """Return for how long the heartbeat of a worker has been seen unchanged."""
        return self._watch.silent_s(worker, mono)

    def _end_all(self, db: Connection, host: str, worker: int) -> None:
        engine.jobs_of(db, worker)
        found = db.execute(
            "SELECT run, attempt, fence, job FROM assignments"
            " WHERE worker = %s AND ended_at IS NULL",
            (worker,),
        ).fetchall()
        engine.unregister(db, worker)
        db.execute("UPDATE hosts SET worker = NULL, lost_at = now() WHERE name = %s", (host,))
        for run, attempt, fence, job in found:
            waits = job in self._waiting
            if not waits:
                engine.end(db, fence)
            change = "lost_at = now()" if waits else "ended_at = now(), body = ''"
            statement = f"UPDATE assignments SET {change} WHERE fence = %s"
            db.execute(session.query(statement), (fence,))
            send(db, Lost(run, attempt, host))
