"""What a host sees of its cluster at one glance: a single statement, once in a while.

Each heartbeat is such a statement, too (`beat`); between two of them a host looks once.
Everything else is asked only when this says that there is something to do, so that an idle
host costs the server less than a transaction a second.
"""

import math
import time
from dataclasses import dataclass

from supervisor.cluster import engine, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.session import Connection


@dataclass(frozen=True, slots=True)
class Leading:
    """The engine's job that is the leadership; heartbeat: of its holder, None if it is gone."""

    job: int
    status: str
    worker: int | None
    heartbeat: str | None


@dataclass(frozen=True, slots=True)
class Glance:
    """config, sha256: the text of jobs.yaml in force. work: an attempt waits for a host.

    requests: one waits for this host, or for its leader. offset_s: this host's clock before
    PostgreSQL's, at least.
    """

    config: int | None
    sha256: str
    work: bool
    requests: bool
    leading: Leading | None
    offset_s: float


_COLUMNS = """newest.no, newest.sha256,
    EXISTS (SELECT 1 FROM procrastinate_jobs WHERE status = 'todo' AND queue_name <> %(leader)s),
    EXISTS (SELECT 1 FROM control_requests WHERE taken_at IS NULL
            AND (host = %(host)s OR (host IS NULL AND %(leads)s))),
    job.id, job.status::text, job.worker_id, worker.last_heartbeat::text,
    extract(epoch FROM clock_timestamp())::float8
FROM (SELECT 1) AS always
LEFT JOIN (SELECT no, sha256 FROM configs ORDER BY no DESC LIMIT 1) AS newest ON true
LEFT JOIN procrastinate_jobs AS job ON job.queue_name = %(leader)s
LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
"""


def look(db: Connection, settings: AgentSettings, leads: bool) -> Glance:
    """Return what there is to do. Raises: psycopg.Error."""
    return _seen(db, f"SELECT true, {_COLUMNS}", settings, 0, leads)[1]


def beat(db: Connection, settings: AgentSettings, worker: int, leads: bool) -> Glance | None:
    """Write a heartbeat and look; return None if the worker was removed. Raises: psycopg.Error."""
    text = f"WITH {engine.BEAT} SELECT EXISTS (SELECT 1 FROM beat), {_COLUMNS}"
    is_there, seen = _seen(db, text, settings, worker, leads)
    return seen if is_there else None


def _seen(
    db: Connection, text: str, settings: AgentSettings, worker: int, leads: bool
) -> tuple[bool, Glance]:
    queue = session.queue_of(settings.schema, "leader")
    given = {"leader": queue, "host": settings.host, "leads": leads, "worker": worker}
    before = time.time()
    row = db.execute(session.query(text), given).fetchone()
    half_s = (time.time() - before) / 2
    assert row is not None
    is_there, config, sha256, work, requests, job, status, holder, heartbeat, server = row
    leading = None if job is None else Leading(job, status, holder, heartbeat)
    found_s = before + half_s - server
    # PostgreSQL may have answered at any moment of the look.
    offset_s = math.copysign(max(0.0, abs(found_s) - abs(half_s)), found_s)
    return is_there, Glance(config, sha256 or "", work, requests, leading, offset_s)
