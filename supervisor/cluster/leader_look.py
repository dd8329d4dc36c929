"""What a leader writes and sees once in each interval of heartbeats: a single statement.

It writes the leader's heartbeat and reads those of the hosts. Everything else is a
transaction of its own, which is begun only when there is something to do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.cluster import engine, session
from supervisor.cluster.exchange_state import Pair
from supervisor.cluster.server_clock import ServerClock, boottime
from supervisor.cluster.session import Connection


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as PostgreSQL has it.

    worker None: it was declared dead. heartbeat: the last one of its worker, as text that is
    only compared with itself; None: the worker is gone. runs: of which it holds an attempt.
    """

    name: str
    labels: str
    places: int
    worker: int | None
    config: int | None
    fence_s: float
    heartbeat: str | None
    runs: Sequence[int]


@dataclass(frozen=True, slots=True)
class LeaderLook:
    """config: the newest text of jobs.yaml. reports: some wait to be read.

    is_lost: an assignment that the leader holds is not there.
    """

    config: int | None
    reports: bool
    is_lost: bool
    hosts: tuple[HostRow, ...]


_REPORTS = "EXISTS (SELECT 1 FROM reports WHERE NOT id = ANY(%(known)s))"
_LOST = """EXISTS (
    SELECT FROM unnest(%(runs)s::bigint[], %(attempts)s::integer[]) AS held (run, attempt)
    WHERE NOT EXISTS (
        SELECT FROM assignments AS given
        WHERE given.run = held.run AND given.attempt = held.attempt))"""
_LOOK = f"""
WITH {engine.BEAT}, once AS MATERIALIZED (
    SELECT (SELECT count(*) FROM beat) AS beaten, (SELECT max(no) FROM configs) AS newest,
        {_REPORTS} AS reports, {_LOST} AS lost,
        extract(epoch FROM clock_timestamp())::float8 AS at)
SELECT beaten, newest, reports, lost, at, name, labels, places, worker, config, fence_seconds,
    last_heartbeat::text,
    ARRAY(SELECT run FROM assignments WHERE assignments.host = hosts.name AND ended_at IS NULL
        ORDER BY run)
FROM once LEFT JOIN hosts ON true
LEFT JOIN procrastinate_workers AS workers ON workers.id = hosts.worker ORDER BY name
"""


def look(
    db: Connection, worker: int, known: list[int], held: Iterable[Pair], clock: ServerClock
) -> LeaderLook | None:
    """Write the heartbeat of the leader, set its clock, and look; None: it was deposed.

    known: the reports that were read already. held: the assignments that have not ended.

    Raises: psycopg.Error.
    """
    before = boottime()
    pairs = list(held)
    given = {
        "worker": worker,
        "known": known,
        "runs": [run for run, _ in pairs],
        "attempts": [attempt for _, attempt in pairs],
    }
    rows = db.execute(session.query(_LOOK), given).fetchall()
    beaten, config, reports, is_lost, server_s, *_ = rows[0]
    clock.learn(server_s, before, boottime())
    if not beaten:
        return None
    hosts = tuple(HostRow(*row[5:]) for row in rows if row[5] is not None)
    return LeaderLook(config, reports, is_lost, hosts)


def has_reports(db: Connection, known: list[int]) -> bool:
    """Return whether there are reports beside the known ones. Raises: psycopg.Error."""
    row = db.execute(session.query(f"SELECT {_REPORTS}"), {"known": known}).fetchone()
    return row == (True,)
