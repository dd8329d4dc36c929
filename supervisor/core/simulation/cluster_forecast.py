"""Summarise the simulation of a cluster: as for one service, and by host.

Pure. Shared jobs are counted once, by the leader's turns; a job of each host is counted for
every host.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.config_model import Config
from supervisor.core.model import replace
from supervisor.core.simulation.cluster import unplaced
from supervisor.core.simulation.engine import Step
from supervisor.core.simulation.forecast import (
    Count,
    Forecast,
    ForecastBuilder,
    HostForecast,
    busiest,
    moved_slots,
)


def forecast_cluster(
    steps: Iterable[Step],
    config: Config,
    hosts: Sequence[ClusterHost],
    since: datetime,
    until: datetime,
) -> Forecast:
    """Return the summary of these steps, from `since` up to `until`."""
    leader, of_hosts = ForecastBuilder(), {host.name: ForecastBuilder() for host in hosts}
    own = {job.name for job in config.jobs if job.is_on_each}
    living, still_open, most_living = dict.fromkeys(of_hosts, 0), dict.fromkeys(of_hosts, 0), 0
    for step in steps:
        of_hosts.get(step.host, leader).add_step(step)
        if step.host:
            living[step.host] = len(step.scheduler.live_attempts)
            most_living = max(most_living, sum(living.values()))
            still_open[step.host] = sum(run.job in own for run in step.scheduler.runs.values())
    for account in (leader, *of_hosts.values()):
        account.close(until)
    accounts = tuple(of_hosts.values())
    waits = [wait for each in accounts for wait in each.waiting.waits.values() if wait.job in own]
    losses = [loss for each in accounts for loss in each.losses.values() if loss.job in own]
    return Forecast(
        since=since,
        until=until,
        max_concurrent=sum(host.places for host in hosts),
        most_living=most_living,
        full_s=0.0,
        open_runs=leader.open_runs + sum(still_open.values()),
        jobs=tuple(_counts(config, leader, of_hosts)),
        waits=tuple(
            sorted((*leader.waiting.waits.values(), *waits), key=lambda wait: -wait.total_s)
        ),
        losses=(*leader.losses.values(), *losses),
        daylight_saving=tuple(moved_slots(config.jobs, since, until)),
        busiest=busiest(leader.begun),
        hosts=tuple(
            HostForecast(host.name, host.labels, host.places, each.most_living, each.full_s)
            for host, each in zip(hosts, accounts, strict=True)
        ),
        unplaced=tuple(
            f"{job.name} needs {' and '.join(job.runs_on)}, and no host has "
            f"{'it' if len(job.runs_on) == 1 else 'all of them'}"
            for job in unplaced(config, hosts)
        ),
    )


def _counts(
    config: Config, leader: ForecastBuilder, of_hosts: dict[str, ForecastBuilder]
) -> Iterable[Count]:
    for job in config.jobs:
        if job.is_on_each:
            yield from (replace(of.count(job), host=name) for name, of in of_hosts.items())
        else:
            yield leader.count(job)
