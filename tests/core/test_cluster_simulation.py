"""Forecast of a cluster: labels, places of each host, jobs of each host."""

import math
from datetime import timedelta

from supervisor.core import events as ev
from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.config_model import Cluster, Config, Overlap
from supervisor.core.simulation.cluster import simulate_cluster
from supervisor.core.simulation.cluster_forecast import forecast_cluster
from supervisor.core.simulation.engine import Ending, simulate
from supervisor.core.simulation.forecast import forecast
from tests.core.core_harness import in_file, instant, job

START = instant("2026-01-05 00:00")
HOSTS = (
    ClusterHost("a", ("db", "host:a"), 1),
    ClusterHost("b", ("host:b", "web"), 2),
)


def planned(*jobs, hosts=HOSTS, days=1, takes_s=10.0):
    """Return the forecast of these jobs on these hosts."""
    config = Config(in_file(jobs), cluster=Cluster("dsn"))
    until = START + timedelta(days=days)
    restored = ev.Restored(ev.At(START, 0.0), config, ev.Memory())
    steps = simulate_cluster(restored, hosts, until, lambda _: Ending(takes_s))
    return forecast_cluster(steps, config, hosts, START, until)


def alone(*jobs, max_concurrent, takes_s=10.0):
    """Return the forecast of these jobs on a single host."""
    config = Config(in_file(jobs), max_concurrent=max_concurrent)
    until = START + timedelta(days=1)
    restored = ev.Restored(ev.At(START, 0.0), config, ev.Memory())
    steps = simulate(restored, until, lambda _: Ending(takes_s))
    return forecast(steps, config, START, until)


def test_a_cluster_of_one_host_is_like_that_host_alone():
    jobs = [
        job("a", cron="*/10 * * * *", timeout_s=600.0),
        job("b", cron="*/20 * * * *", deps=["a"]),
        job("c", cron="5 * * * *", exclusive="g", retries=1),
        job("d", cron="5 * * * *", exclusive="g", timeout_s=5.0),
    ]
    only = (ClusterHost("a", ("host:a",), 4),)

    found, expected = planned(*jobs, hosts=only), alone(*jobs, max_concurrent=4)

    assert found.jobs == expected.jobs
    assert [(each.job, each.cause) for each in found.losses] == [("d", "timeout after 5s (on a)")]
    assert (found.most_living, found.open_runs) == (1, expected.open_runs)


def test_a_job_runs_where_its_labels_are_and_waits_for_a_place_there():
    jobs = [job(name, cron="0 2 * * *", runs_on=("db",)) for name in ("x", "y")]

    found = planned(*jobs, takes_s=60.0)

    [wait] = found.waits
    assert (wait.job, wait.waited_for, wait.total_s) == ("y", "a place on a host with db", 60.0)
    assert [(host.name, host.most_living) for host in found.hosts] == [("a", 1), ("b", 0)]
    assert [(count.success, count.busy_s) for count in found.jobs] == [(1, 60.0), (1, 60.0)]


def test_the_places_of_each_host_limit_what_runs_there():
    jobs = [job(name, cron="0 2 * * *") for name in "vwxyz"]

    found = planned(*jobs, takes_s=60.0)

    assert [(each.name, each.most_living, each.full_s) for each in found.hosts] == [
        ("a", 1, 120.0),
        ("b", 2, 60.0),
    ]
    assert (found.most_living, found.max_concurrent) == (3, 3)
    assert sorted(wait.job for wait in found.waits) == ["y", "z"]


def test_what_no_host_may_run_is_said_and_waits_for_ever():
    gpu = job("g", cron="0 2 * * *", runs_on=("gpu",), overlap=Overlap.SKIP)

    found = planned(gpu, job("off", runs_on=("gpu",), enabled=False), days=2)

    assert found.unplaced == ("g needs gpu, and no host has it",)
    [wait] = found.waits
    assert (wait.waited_for, wait.total_s) == ("a place on a host with gpu", 46 * 3600.0)
    assert (found.jobs[0].runs, found.jobs[0].skipped, found.open_runs) == (2, 1, 1)


def test_a_job_of_each_host_is_counted_for_every_host_and_takes_its_places():
    own = job("own", cron="0 2 * * *", runs_on=("each",))
    shared = job("x", cron="1 2 * * *", runs_on=("db",))

    found = planned(own, shared, takes_s=300.0)

    assert [(count.job, count.host, count.success) for count in found.jobs] == [
        ("own", "a", 1),
        ("own", "b", 1),
        ("x", "", 1),
    ]
    assert found.hosts[0].full_s == 600.0


def test_a_run_that_is_replaced_ends_on_its_host_or_was_never_begun():
    running = job("r", cron="0,1 2 * * *", overlap=Overlap.REPLACE)
    waiting = job("w", cron="0,1 3 * * *", runs_on=("gpu",), overlap=Overlap.REPLACE)

    found = planned(running, waiting, takes_s=600.0)

    r, w = found.jobs
    assert (r.runs, r.success, r.other, r.busy_s) == (2, 1, 1, 660.0)
    assert (w.runs, w.other, w.attempts) == (2, 1, 2)


def test_what_never_ends_is_ended_at_its_timeout_by_its_host():
    found = planned(job("a", cron="0 2 * * *", timeout_s=300.0), takes_s=math.inf)

    assert (found.jobs[0].failed, found.jobs[0].busy_s) == (1, 300.0)
