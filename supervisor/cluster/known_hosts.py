"""The hosts of a cluster as its leader reads them, for placing runs and for people."""

from collections.abc import Callable

from supervisor.cluster.session import Connection
from supervisor.core.cluster_hosts import ClusterHost

_HOSTS = """
SELECT name, labels, places, worker, config,
    (SELECT count(*) FROM assignments WHERE assignments.host = hosts.name AND ended_at IS NULL)
FROM hosts ORDER BY name
"""


def read(
    db: Connection, config: int, mono: float, silent_s: Callable[[int], float]
) -> tuple[ClusterHost, ...]:
    """Return all hosts. Raises: psycopg.Error.

    config: the number of the text of jobs.yaml in force. silent_s: for how long the
    heartbeat of a worker has been seen unchanged.
    """
    return tuple(
        ClusterHost(
            name,
            tuple(sorted(filter(None, labels.split(",")))),
            places,
            is_alive=worker is not None,
            has_text=text == config,
            running=running,
            seen_mono=mono - (0.0 if worker is None else silent_s(worker)),
        )
        for name, labels, places, worker, text, running in db.execute(_HOSTS)
    )
