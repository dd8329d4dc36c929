"""What `nightshift cluster status` shows, read from PostgreSQL by the command itself."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from supervisor.cluster import session
from supervisor.cluster.messages import Forgotten, send
from supervisor.cluster.session import Connection
from supervisor.core import cluster_hosts


class HostStatus(Struct, frozen=True):
    """A host as PostgreSQL has it. state: alive, silent (no heartbeat for a while) or lost."""

    name: str
    state: str
    leads: bool
    labels: tuple[str, ...]
    version: str
    config: int | None
    running: int
    places: int
    heartbeat_age_seconds: float | None


class ClusterView(Struct, frozen=True):
    """A cluster. waiting: attempts that no host has taken yet."""

    name: str
    leader: str | None
    epoch: int
    config: int | None
    last_tick_at: datetime | None
    waiting: int
    hosts: tuple[HostStatus, ...]


def read(db: Connection, name: str) -> ClusterView:
    """Return the state of a cluster. Raises: psycopg.Error."""
    queue = session.queue_of(session.schema_of(name), "leader")
    leading = db.execute(
        """SELECT jobs.attempts, hosts.name FROM procrastinate_jobs AS jobs
        LEFT JOIN shared ON shared.key = 'leading_host'
        LEFT JOIN hosts ON hosts.name = shared.value AND jobs.status = 'doing'
        WHERE jobs.queue_name = %s""",
        (queue,),
    ).fetchone()
    epoch, leader = leading if leading is not None else (0, None)
    (config,) = _one(db, "SELECT max(no) FROM configs")
    (waiting,) = _one(db, "SELECT count(*) FROM assignments WHERE host IS NULL")
    tick = db.execute("SELECT value::json->>'at' FROM meta WHERE key = 'last_tick'").fetchone()
    return ClusterView(
        name,
        leader,
        epoch + (leader is not None),
        config,
        None if tick is None else datetime.fromisoformat(tick[0]),
        waiting,
        tuple(_hosts(db, leader)),
    )


def _hosts(db: Connection, leader: str | None) -> list[HostStatus]:
    found = db.execute(
        """SELECT hosts.name, labels, version, config, places, hosts.worker,
            extract(epoch FROM now() - last_heartbeat)::float8,
            (SELECT count(*) FROM assignments
             WHERE assignments.host = hosts.name AND ended_at IS NULL)
        FROM hosts LEFT JOIN procrastinate_workers AS workers ON workers.id = hosts.worker
        ORDER BY hosts.name"""
    )
    shown = []
    for name, labels, version, config, places, worker, age_s, running in found:
        state = cluster_hosts.state_of(None if worker is None else age_s)
        listed = tuple(filter(None, labels.split(",")))
        shown.append(
            HostStatus(
                name, state, name == leader, listed, version, config, running, places, age_s
            )
        )
    return shown


def _one(db: Connection, text: str) -> tuple[Any, ...]:
    row = db.execute(session.query(text)).fetchone()
    assert row is not None
    return row


def forget(db: Connection, name: str, host: str) -> bool | None:
    """Remove a host that is lost; return False if it is alive, None if it is unknown.

    Raises: psycopg.Error.
    """
    with db.transaction():
        row = db.execute("SELECT worker FROM hosts WHERE name = %s FOR UPDATE", (host,)).fetchone()
        if row is None:
            return None
        if row[0] is not None:
            return False
        send(db, Forgotten(host))
        db.execute("DELETE FROM hosts WHERE name = %s", (host,))
        session.wake(db, session.schema_of(name), "leader")
    return True
