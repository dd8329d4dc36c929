"""The hosts of a simulation: given as options, those of the running cluster, or this one."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from supervisor.config import parse_cluster, scalars
from supervisor.config.problems import BadValueError
from supervisor.core.cluster_hosts import ClusterHost, label_of
from supervisor.core.config_model import EACH, Cluster, Config
from supervisor.core.model import replace


@dataclass(frozen=True, slots=True)
class SimulatedHosts:
    """The hosts (none: not a cluster), and where they are known from, as text."""

    hosts: tuple[ClusterHost, ...] = ()
    source: str = ""


def hosts_of(config: Config, given: Sequence[str]) -> SimulatedHosts:
    """Return the hosts to simulate. given: `NAME` or `NAME:LABEL,LABEL` each.

    Raises:
        click.BadParameter: a host or a label without a valid name, or a host named twice.
    """
    if given:
        hosts = tuple(_host(text, config.max_concurrent) for text in given)
        named = [host.name for host in hosts]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise click.BadParameter(f'--host: "{twice}" is given twice')
        return SimulatedHosts(hosts, "hosts: as given, each with max_concurrent places")
    if config.cluster is None:
        return SimulatedHosts()
    return _known(config, config.cluster)


def as_cluster(config: Config) -> Config:
    """Return the config with a cluster, if it has none: --host simulates one."""
    return config if config.cluster is not None else replace(config, cluster=Cluster(""))


def _host(text: str, places: int) -> ClusterHost:
    name, _, listed = text.partition(":")
    if not name or "," in name:
        raise click.BadParameter(f'--host: expected NAME or NAME:LABEL,LABEL, got "{text}"')
    if not parse_cluster.HOST.fullmatch(name):
        raise click.BadParameter(f'--host: expected {parse_cluster.HOST_FORM}, got "{name}"')
    try:
        labels = scalars.labels(listed)
    except BadValueError as error:
        raise click.BadParameter(f"--host: {error.message}") from error
    if EACH in labels:
        raise click.BadParameter(f'--host: "{EACH}" is no label of a host')
    return ClusterHost(name, tuple(sorted({*labels, label_of(name)})), places)


def _known(config: Config, cluster: Cluster) -> SimulatedHosts:
    try:
        # Late: only a cluster needs it, and its extra may not be installed.
        import psycopg

        from supervisor.cluster import overview, session
    except ModuleNotFoundError as error:
        return _alone(config, cluster, f"{error.name} is not installed")
    db = None
    try:
        db = session.connect(cluster.postgres, session.schema_of(cluster.name))
        seen = overview.read(db, cluster.name).hosts
    except (psycopg.Error, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return _alone(config, cluster, f"PostgreSQL: {lines[0]}")
    finally:
        session.close(db)
    living = [host for host in seen if host.state != "lost"]
    if not living:
        return _alone(config, cluster, f"no host of the cluster {cluster.name} is alive")
    hosts = tuple(ClusterHost(host.name, host.labels, host.places) for host in living)
    return SimulatedHosts(hosts, f"hosts: those of the cluster {cluster.name} that are alive")


def _alone(config: Config, cluster: Cluster, why: str) -> SimulatedHosts:
    name = cluster.host or "this"
    labels = tuple(sorted({*cluster.labels, label_of(name)}))
    host = ClusterHost(name, labels, config.max_concurrent)
    return SimulatedHosts((host,), f"hosts: this one alone ({why}); --host names others")
