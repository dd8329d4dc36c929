"""Declare hosts dead that were silent for a whole lease, and end what they held.

The row of the worker is locked and compared before it is removed, so a heartbeat that is
on its way keeps the host alive. A fetch that is on its way fails, and its job stays free.
"""

from collections.abc import Collection, Sequence

from supervisor.cluster import engine, session
from supervisor.cluster.hosts import UNSEEN
from supervisor.cluster.leader_look import HostRow
from supervisor.cluster.messages import Lost, send
from supervisor.cluster.session import Connection
from supervisor.core.config_model import Cluster


class DeadHosts:
    """What one leader has seen of the hosts."""

    def __init__(self, cluster: Cluster, waiting: Collection[str]) -> None:
        """Know nothing yet; waiting: the jobs whose attempts wait for their host."""
        self._cluster, self._waiting = cluster, frozenset(waiting)
        self._watch = UNSEEN

    def look(self, hosts: Sequence[HostRow], mono: float) -> list[HostRow]:
        """Compare the heartbeats with those before; return the hosts that seem dead."""
        heartbeats = {
            host.worker: host.heartbeat
            for host in hosts
            if host.worker is not None and host.heartbeat is not None
        }
        self._watch = self._watch.look(heartbeats, mono, 3 * self._cluster.heartbeat_s)
        return [
            host
            for host in hosts
            if host.worker is not None
            and (host.heartbeat is None or self._is_silent(host, host.worker, mono))
        ]

    def end(self, db: Connection, silent: Sequence[HostRow]) -> None:
        """End, in a transaction, what hosts have left that are dead; report it."""
        for host in silent:
            assert host.worker is not None
            if host.heartbeat is None or engine.is_unchanged(db, host.worker, host.heartbeat):
                self._end_all(db, host.name, host.worker)

    def _is_silent(self, host: HostRow, worker: int, mono: float) -> bool:
        # A host ends what it runs by its own fence, which may be longer than ours.
        lease_s = max(self._cluster.lease_s, host.fence_s * 5 / 4)
        return self._watch.silent_s(worker, mono) >= lease_s

    def silent_s(self, worker: int, mono: float) -> float:
        """Return for how long the heartbeat of a worker has been seen unchanged."""
        return self._watch.silent_s(worker, mono)

    def _end_all(self, db: Connection, host: str, worker: int) -> None:
        jobs = engine.jobs_of(db, worker)
        found = db.execute(
            "SELECT run, attempt, fence, job FROM assignments"
            " WHERE worker = %s AND ended_at IS NULL",
            (worker,),
        ).fetchall()
        # An older version may have fetched a job without its assignment.
        for job in set(jobs) - {fence for _, _, fence, _ in found}:
            engine.give_back(db, job)
        engine.unregister(db, worker)
        db.execute(
            "UPDATE hosts SET worker = NULL, lost_at = now() WHERE name = %s AND worker = %s",
            (host, worker),  # it may be joining again
        )
        for run, attempt, fence, job in found:
            waits = job in self._waiting
            if not waits:
                engine.end(db, fence)
            change = "lost_at = now()" if waits else "ended_at = now(), body = ''"
            statement = f"UPDATE assignments SET {change} WHERE fence = %s"
            db.execute(session.query(statement), (fence,))
            send(db, Lost(run, attempt, host))


def forget(db: Connection, host: str) -> None:
    """End what has waited for a host; the next exchange reads the reports of it."""
    found = db.execute(
        "UPDATE assignments SET ended_at = now() WHERE host = %s AND lost_at IS NOT NULL"
        " AND ended_at IS NULL RETURNING run, attempt, fence",
        (host,),
    ).fetchall()
    for run, attempt, fence in found:
        engine.end(db, fence)
        send(db, Lost(run, attempt, host, is_final=True))
