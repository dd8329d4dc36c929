"""The two views of one jobs.yaml in a cluster: what a host runs, and what the leader decides.

A shared job is decided by the leader; a host only runs the attempts that are assigned to
it. A job with `runs_on: each` is a job of the host alone, and the leader does not know it.
"""

from supervisor.core.config_model import Config, Job, Overlap
from supervisor.core.model import replace

# What a host must not decide by itself about a job of the cluster: when it is due, what it
# waits for, whether it is repeated, and what alerts are sent about it.
_LEFT_TO_THE_LEADER = {
    "cron": (),
    "deps": (),
    "retries": 0,
    "overlap": Overlap.QUEUE,
    "run_on_startup": False,
    "late_after_s": None,
    "heartbeat": None,
}


def of_host(config: Config) -> Config:
    """Return what a host of the cluster does by itself; unchanged without a cluster."""
    if config.cluster is None:
        return config
    return replace(config, jobs=tuple(map(_on_host, config.jobs)))


def of_leader(config: Config) -> Config:
    """Return what the leader decides for all hosts.

    Alerts about a host's own jobs stay with the host. Its address for metrics is another one.
    """
    assert config.cluster is not None
    shared = tuple(job for job in config.jobs if not job.is_on_each)
    most = config.cluster.max_concurrent or MOST_CONCURRENT
    on_each = tuple(job.name for job in config.jobs if job.is_on_each)
    address = config.cluster.metrics
    return replace(config, jobs=shared, max_concurrent=most, metrics=address, on_each=on_each)


# Without `cluster.max_concurrent` only the hosts' own pools limit what runs.
MOST_CONCURRENT = 100_000


def _on_host(job: Job) -> Job:
    return job if job.is_on_each else replace(job, **_LEFT_TO_THE_LEADER)
