"""The engine: Procrastinate's versioned SQL functions, without its Python.

Its functions carry versions (`_v1`), and its documentation allows other clients to call
them. They ask neither which worker nor which attempt calls, so whatever ends a job here
first locks its row and compares (source: procrastinate/sql/schema.sql of 3.10).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.cluster.session import Connection, query

_FUNCTIONS = (
    "procrastinate_defer_jobs_v1(procrastinate_job_to_defer_v1[])",
    "procrastinate_fetch_job_v2(character varying[], bigint)",
    "procrastinate_finish_job_v1(bigint, procrastinate_job_status, boolean)",
    "procrastinate_cancel_job_v1(bigint, boolean, boolean)",
    "procrastinate_retry_job_v2(bigint, timestamptz, integer, varchar, varchar)",
    "procrastinate_register_worker_v1()",
    "procrastinate_unregister_worker_v1(bigint)",
    "procrastinate_update_heartbeat_v1(bigint)",
)
# Keeps a job with its worker until the transaction ends, if that still holds it.
IS_MINE = (
    "SELECT 1 FROM procrastinate_jobs"
    " WHERE id = %s AND worker_id = %s AND status = 'doing' FOR SHARE"
)


# The rows of `beat` say whether the worker is still there: the engine's own function says
# nothing of it. Not synced: a lost heartbeat is none.
BEAT = """mine AS MATERIALIZED (
    SELECT id, set_config('synchronous_commit', 'off', true) FROM procrastinate_workers
    WHERE id = %(worker)s FOR UPDATE),
beat AS MATERIALIZED (SELECT procrastinate_update_heartbeat_v1(id) FROM mine)"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to hand out; queueing_lock: refuses a second one that waits; None: does not."""

    queue: str
    task: str
    lock: str
    queueing_lock: str | None
    args_json: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A job that a worker has taken; attempts: how often it was taken before."""

    id: int
    queue: str
    attempts: int


def missing_functions(db: Connection) -> list[str]:
    """Return the functions that this server's schema lacks."""
    return [
        name
        for name in _FUNCTIONS
        if db.execute("SELECT to_regprocedure(%s)", (name,)).fetchone() == (None,)
    ]


def defer(db: Connection, jobs: Sequence[NewJob]) -> list[int]:
    """Hand out jobs; return their ids in the same order."""
    rows = db.execute(
        """SELECT procrastinate_defer_jobs_v1(array_agg(
            ROW(queue, task, 0, lock, queueing, args::jsonb, NULL::timestamptz)
            ::procrastinate_job_to_defer_v1 ORDER BY place))
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY AS given (queue, task, lock, queueing, args, place)""",
        (
            [job.queue for job in jobs],
            [job.task for job in jobs],
            [job.lock for job in jobs],
            [job.queueing_lock for job in jobs],
            [job.args_json for job in jobs],
        ),
    ).fetchone()
    assert rows is not None
    return sorted(rows[0])  # ids grow in the order of the rows


def fetch(db: Connection, queues: Sequence[str], worker: int, most: int) -> list[Fetched]:
    """Take at most so many jobs that may start now."""
    found = db.execute(
        "SELECT (job).id, (job).queue_name, (job).attempts FROM ("
        " SELECT procrastinate_fetch_job_v2(%s::varchar[], %s) AS job"
        " FROM generate_series(1, %s)) AS fetched WHERE (job).id IS NOT NULL",
        (list(queues), worker, most),
    )
    return [Fetched(*row) for row in found]


def is_held(db: Connection, job: int, worker: int) -> bool:
    """Lock the job against a change of its holder; return whether this worker holds it."""
    return db.execute(query(IS_MINE), (job, worker)).fetchone() is not None


def finish_all(db: Connection, jobs: Sequence[int], worker: int) -> set[int]:
    """End those of the jobs that this worker still holds; return them."""
    found = db.execute(
        "WITH mine AS MATERIALIZED (SELECT id FROM procrastinate_jobs WHERE id = ANY(%s)"
        " AND worker_id = %s AND status = 'doing' ORDER BY id FOR UPDATE)"
        " SELECT id, procrastinate_finish_job_v1(id, 'failed', true) FROM mine",
        (list(jobs), worker),
    )
    return {int(number) for number, _ in found}


def end(db: Connection, job: int) -> None:
    """End a job whose holder is known to be gone."""
    db.execute("SELECT procrastinate_finish_job_v1(%s, 'failed', true)", (job,))


def withdraw(db: Connection, job: int) -> bool:
    """Take back a job that no host has fetched; return whether it was so."""
    row = db.execute("SELECT procrastinate_cancel_job_v1(%s, false, true)", (job,)).fetchone()
    return row is not None and row[0] is not None


def give_back(db: Connection, job: int) -> None:
    """Let a job be taken again; its `attempts` grows."""
    db.execute("SELECT procrastinate_retry_job_v2(%s, NULL, NULL, NULL, NULL)", (job,))


def register(db: Connection) -> int:
    """Return the number of a new worker."""
    row = db.execute("SELECT worker_id FROM procrastinate_register_worker_v1()").fetchone()
    assert row is not None
    return int(row[0])


def unregister(db: Connection, worker: int) -> None:
    """Remove a worker; its jobs stay, with no holder."""
    db.execute("SELECT procrastinate_unregister_worker_v1(%s)", (worker,))


def beat(db: Connection, worker: int) -> bool:
    """Write a heartbeat; return False if the worker was removed."""
    found = db.execute(query(f"WITH {BEAT} SELECT 1 FROM beat"), {"worker": worker}).fetchone()
    return found is not None


def heartbeats(db: Connection) -> dict[int, str]:
    """Return the last heartbeat of every worker, as text: it is only compared with itself."""
    return {
        int(number): str(text)
        for number, text in db.execute(
            "SELECT id, last_heartbeat::text FROM procrastinate_workers"
        )
    }


def is_unchanged(db: Connection, worker: int, heartbeat: str) -> bool:
    """Lock the worker against a heartbeat; return whether its last one is still this."""
    row = db.execute(
        "SELECT last_heartbeat::text FROM procrastinate_workers WHERE id = %s FOR UPDATE",
        (worker,),
    ).fetchone()
    return row is not None and row[0] == heartbeat


def jobs_of(db: Connection, worker: int) -> Iterable[int]:
    """Lock and return the jobs that a worker holds."""
    found = db.execute(
        "SELECT id FROM procrastinate_jobs WHERE worker_id = %s AND status = 'doing'"
        " ORDER BY id FOR UPDATE",
        (worker,),
    )
    return [int(number) for (number,) in found]
