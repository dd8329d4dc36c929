"""Prometheus metrics of a leader about the hosts of its cluster.

Only these have a label `host`. What is about jobs has the same labels as on a single host.
"""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.state import SchedulerState


def cluster_families(scheduler: SchedulerState, mono: float) -> Iterator[Metric]:
    """Yield the metric families of a leader; none of any other service.

    mono: the monotonic clock, in seconds.
    """
    if not scheduler.is_leader:
        return
    waiting = sum(live.attempt.pid is None for live in scheduler.live_attempts.values())
    yield GaugeMetricFamily(
        "nightshift_cluster_attempts_waiting",
        "Attempts that no host of the cluster has begun yet.",
        waiting,
    )
    cluster = scheduler.config.cluster
    leader = "" if cluster is None else cluster.host
    gauges: dict[str, tuple[str, Callable[[ClusterHost], float]]] = {
        "up": ("1 if the host was not declared dead.", lambda host: host.is_alive),
        "leads": ("1 if the host leads the cluster.", lambda host: host.name == leader),
        "outdated": (
            "1 if the host runs another text of jobs.yaml than the one in force.",
            lambda host: not host.has_text,
        ),
        "running": ("Attempts that the host has taken.", lambda host: host.running),
        "places": ("Attempts that the host may run at once.", lambda host: host.places),
    }
    for name, (about, value) in gauges.items():
        family = GaugeMetricFamily(f"nightshift_cluster_host_{name}", about, labels=["host"])
        for host in scheduler.hosts:
            family.add_metric([host.name], value(host))
        yield family
    age = GaugeMetricFamily(
        "nightshift_cluster_host_heartbeat_age_seconds",
        "For how long the leader has seen the heartbeat of a living host unchanged.",
        labels=["host"],
    )
    for host in scheduler.hosts:
        if host.is_alive:
            age.add_metric([host.name], max(0.0, mono - host.seen_mono))
    yield age
