"""The rows of assignments as a host reads and fetches them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from supervisor.cluster import session
from supervisor.cluster.messages import Order
from supervisor.cluster.session import Connection
from supervisor.core.assignment_key import AssignmentKey

_COLUMNS = "run, attempt, fence, job, body, force"
# The queues of a text whose labels this host has; without any, none is fetched from.
_FETCH_JOBS = """SELECT (job).id FROM (
    SELECT procrastinate_fetch_job_v2(ARRAY(
        SELECT name FROM queues WHERE config = %s
        AND (labels = '' OR string_to_array(labels, ',') <@ %s)
    )::varchar[], %s) AS job FROM generate_series(1, %s)
) AS each WHERE (job).id IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment of this host that has not ended."""

    run: int
    attempt: int
    fence: int
    job: str
    order: Order
    force: str

    @property
    def key(self) -> AssignmentKey:
        """Return the name under which the supervisor knows it."""
        return AssignmentKey(self.run, self.attempt, self.fence, self.order.trigger)


@dataclass(frozen=True, slots=True)
class Worker:
    """Who fetches: the number of the engine's worker, and the host it works for."""

    number: int
    host: str
    labels: Collection[str]


def fetch(db: Connection, worker: Worker, config: int, most: int) -> list[Assignment]:
    """Take at most so many attempts of a text of jobs.yaml. Raises: psycopg.Error."""
    with db.transaction():
        given = (config, sorted(worker.labels), worker.number, most)
        fences = [fence for (fence,) in db.execute(_FETCH_JOBS, given)]
        if not fences:
            return []
        # A statement of its own: the function also fetches jobs that were committed after the
        # statement began that calls it, and their assignments are not seen in that one.
        found = db.execute(
            session.query(
                "UPDATE assignments SET host = %s, worker = %s WHERE fence = ANY(%s)"
                f" RETURNING {_COLUMNS}"
            ),
            (worker.host, worker.number, fences),
        )
        return list(map(_assignment, found))


def held(db: Connection, worker: Worker) -> list[Assignment]:
    """Return what a worker holds. Raises: psycopg.Error."""
    found = db.execute(
        session.query(
            f"SELECT {_COLUMNS} FROM assignments"
            " WHERE host = %s AND worker = %s AND ended_at IS NULL ORDER BY fence"
        ),
        (worker.host, worker.number),
    )
    return list(map(_assignment, found))


def _assignment(row: tuple[Any, ...]) -> Assignment:
    run, attempt, fence, job, body, force = row
    return Assignment(run, attempt, fence, job, msgspec.json.decode(body, type=Order), force)
