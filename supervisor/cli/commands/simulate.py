"""`nightshift simulate`: predict the coming days of jobs.yaml with the supervisor's rules.

Nothing is run and nothing is written. The service is assumed to be running already, so
there are no start-up runs.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from supervisor.cli import forecast_tables
from supervisor.cli.command import Number, coming_days, command, json_option, paths, utc_option
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import print_value
from supervisor.cli.run_local import definitions
from supervisor.cli.simulated_hosts import as_cluster, hosts_of
from supervisor.cli.simulated_rotation import BackupFolders, Rotation
from supervisor.cli.simulation_input import SimulationInput, read_input
from supervisor.cli.time_format import time_format
from supervisor.config.result import gc_paused
from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.config_model import Config, Notify
from supervisor.core.events import At, Restored
from supervisor.core.model import replace
from supervisor.core.simulation.cluster import simulate_cluster
from supervisor.core.simulation.cluster_forecast import forecast_cluster
from supervisor.core.simulation.engine import simulate
from supervisor.core.simulation.forecast import Forecast, forecast
from supervisor.core.simulation.sampling import DurationProfile, outcome_sampler
from workers.units import format_count

DEFAULT_DAYS = 7
# The largest integer range that JSON readers keep exact.
SEED = Number(0, 2**53)


@dataclass(frozen=True, slots=True)
class Days:
    """Output of `simulate`; durations: the origin of the habits, as text."""

    seed: int
    durations: str
    habits: Mapping[str, DurationProfile]
    forecast: Forecast
    rotation: tuple[Rotation, ...]


@command("simulate")
@click.option("--days", type=coming_days, default=DEFAULT_DAYS, help="How many days (default 7).")
@click.option("--from", "since", metavar="TIME", help="Start at this instant (default: now).")
@click.option("--seed", type=SEED, default=0, help="Random seed (default 0).")
@click.option(
    "--fail",
    multiple=True,
    metavar="JOB=P",
    help="Let JOB fail with this probability, 0 to 1; repeatable.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME[:LABEL,...]",
    help="Simulate a cluster with this host; repeatable (default: the hosts that are alive).",
)
@json_option
@utc_option
def simulate_(
    days: int,
    since: str | None,
    seed: int,
    fail: tuple[str, ...],
    hosts: tuple[str, ...],
    as_json: bool,
    utc: bool,
) -> int:
    """Simulate the coming days: what will run, wait, be skipped and be kept.

    The rules are those of the supervisor, the clock is not; nothing is run. How
    long an attempt takes is known from the ledger, where there is one.

    \b
    Examples:
      nightshift simulate --days 30
      nightshift simulate --from 2026-10-24 --fail backup-database=0.2
      nightshift simulate --config new.yaml --json
      nightshift simulate --host a:db --host b:web,gpu --host c
    """
    here = paths()
    config = definitions(here.config)
    when = time_format("UTC" if utc else config.timezone)
    start = when.now if since is None else when.instant(since, "--from")
    failures = _failures(fail, [job.name for job in config.jobs])
    known = read_input(here, [job.name for job in config.jobs], start, failures)
    simulated = hosts_of(config, hosts)
    found = in_days(config, known, start, days, seed, simulated.hosts)
    if as_json:
        print_value(found)
    else:
        sources = list(filter(None, (simulated.source, f"durations: {known.source}")))
        forecast_tables.show(found.forecast, found.habits, sources, when)
        forecast_tables.show_rotation(found.rotation, when)
    return ExitCode.YES


def in_days(
    config: Config,
    known: SimulationInput,
    start: datetime,
    days: int,
    seed: int,
    hosts: tuple[ClusterHost, ...] = (),
) -> Days:
    """Simulate `days` days after `start` with these definitions, on these hosts of a cluster.

    Raises:
        CliError: the period leaves the years 1 to 9999.
    """
    jobs = tuple(replace(job, run_on_startup=False, heartbeat=None) for job in config.jobs)
    # No alerts are sent, and heartbeats would add an event in every minute.
    running = replace(config, jobs=jobs, notify=Notify(), heartbeat=None)
    shelves = BackupFolders(jobs, start)
    try:
        until = start + timedelta(days=days)
        with gc_paused():
            predicted = _predicted(running, known, (start, until), seed, hosts, shelves)
    except OverflowError as error:
        text = f"{format_count(days, 'day')} from {start.date()} would leave the years 1 to 9999"
        raise CliError(ExitCode.USAGE, text) from error
    return Days(seed, known.source, known.habits, predicted, shelves.summaries(until))


def _predicted(
    config: Config,
    known: SimulationInput,
    period: tuple[datetime, datetime],
    seed: int,
    hosts: tuple[ClusterHost, ...],
    shelves: BackupFolders,
) -> Forecast:
    sampler, (start, until) = outcome_sampler(known.habits, seed), period
    if not hosts:
        restored = Restored(At(start, 0.0), config, known.memory)
        steps = simulate(restored, until, sampler)
        return forecast(shelves.watch(steps), config, start, until)
    config = as_cluster(config)
    restored = Restored(At(start, 0.0), config, known.memory)
    steps = simulate_cluster(restored, hosts, until, sampler)
    return forecast_cluster(shelves.watch(steps), config, hosts, start, until)


def _failures(given: tuple[str, ...], jobs: list[str]) -> dict[str, float]:
    """Parse JOB=P options into job -> probability.

    Raises:
        click.BadParameter: an unknown job, or a probability outside 0 to 1.
    """
    found = {}
    for text in given:
        job, equals, number = text.partition("=")
        if job not in jobs:
            near = difflib.get_close_matches(job, jobs, 1)
            hint = f': did you mean "{near[0]}"?' if near else ""
            raise click.BadParameter(f'--fail {text}: there is no job "{job}"{hint}')
        try:
            chance = float(number)
        except ValueError:
            chance = -1.0
        if not equals or not 0.0 <= chance <= 1.0:
            raise click.BadParameter(
                f'--fail {job}: expected a probability from 0 to 1, got "{number}"'
            )
        found[job] = chance
    return found
