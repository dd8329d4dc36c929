"""The hosts of a cluster as its leader sees them, for placing runs and for people."""

from collections.abc import Callable, Sequence

from supervisor.cluster.leader_look import HostRow
from supervisor.core.cluster_hosts import ClusterHost


def known(
    hosts: Sequence[HostRow], config: int, mono: float, silent_s: Callable[[int], float]
) -> tuple[ClusterHost, ...]:
    """Return all hosts.

    config: the number of the text of jobs.yaml in force. silent_s: for how long the
    heartbeat of a worker has been seen unchanged.
    """
    return tuple(
        ClusterHost(
            host.name,
            tuple(sorted(filter(None, host.labels.split(",")))),
            host.places,
            is_alive=host.worker is not None,
            has_text=host.config == config,
            runs=tuple(host.runs),
            seen_mono=mono - (0.0 if host.worker is None else silent_s(host.worker)),
        )
        for host in hosts
    )
