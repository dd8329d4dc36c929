"""Hand attempts out to the cluster: a job of the engine and an assignment for each.

However many there are, each table is written by one statement.
"""

from collections.abc import Sequence

import msgspec

from supervisor.cluster import engine, session
from supervisor.cluster.messages import Order
from supervisor.cluster.session import Connection
from supervisor.core.effects import Launch


def hand_out(
    db: Connection,
    schema: str,
    config: int,
    launches: Sequence[Launch],
    labels: Sequence[tuple[str, ...]],
) -> list[int]:
    """Hand out attempts, in the transaction of the caller; return their fences in this order.

    config: the number of the text of jobs.yaml. labels: of each attempt, sorted.

    Raises: psycopg.Error.
    """
    texts = [",".join(each) for each in labels]
    queues = {text: session.queue_of(schema, text, config) for text in texts}
    db.execute(
        "INSERT INTO queues SELECT name, labels, %s FROM unnest(%s::text[], %s::text[])"
        " AS given (name, labels) ON CONFLICT DO NOTHING",
        (config, list(queues.values()), list(queues)),
    )
    jobs = [
        _job(schema, queues[text], launch) for launch, text in zip(launches, texts, strict=True)
    ]
    fences = engine.defer(db, jobs)
    rows = [
        (launch.run.id, launch.run.attempt, fence, launch.job.name, _body(launch))
        for launch, fence in zip(launches, fences, strict=True)
    ]
    db.execute(
        "INSERT INTO assignments (run, attempt, fence, job, body) SELECT * FROM"
        " unnest(%s::bigint[], %s::integer[], %s::bigint[], %s::text[], %s::text[])",
        list(map(list, zip(*rows, strict=True))),
    )
    return fences


def _job(schema: str, queue: str, launch: Launch) -> engine.NewJob:
    job, run = launch.job, launch.run
    group = f"group/{job.exclusive}" if job.exclusive else f"job/{job.name}"
    once = f"{schema}/{run.id}.{run.attempt}"
    return engine.NewJob(queue, "attempt", f"{schema}/{group}", once, "{}")


def _body(launch: Launch) -> str:
    run = launch.run
    order = Order(run.due, run.trigger.value, msgspec.json.decode(run.set_json), run.dry_run)
    return msgspec.json.encode(order).decode()
