"""`nightshift cluster`: make a cluster in PostgreSQL, show it, and change its hosts."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import msgspec

from supervisor.cli.command import CommandGroup, command, json_option, paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import Table, echo, print_json
from workers.units import format_count, format_duration

if TYPE_CHECKING:
    from supervisor.cluster.session import Connection
    from supervisor.core.config_model import Cluster


@click.group("cluster", cls=CommandGroup)
def cluster() -> None:
    """Several hosts with one jobs.yaml and one PostgreSQL (docs/cluster.md).

    \b
    Examples:
      nightshift cluster init postgresql://owner@db/ops --role nightshift
      nightshift cluster status
    """


@command("init")
@click.argument("dsn", envvar="NIGHTSHIFT_CLUSTER_DSN")
@click.option("--name", default="main", show_default=True, help="Name of the cluster.")
@click.option("--role", help="Existing role of PostgreSQL that the hosts connect as.")
@click.option("--upgrade", is_flag=True, help="Bring a schema of an older version up to date.")
@click.option("--take", is_flag=True, help="Take over the ledger of this host, which is stopped.")
def init(dsn: str, name: str, role: str | None, upgrade: bool, take: bool) -> int:
    """Make the schema of a cluster in the database DSN, as its owner.

    The role of the hosts gets the rights to rows and functions, and no more.

    \b
    Examples:
      nightshift cluster init postgresql://owner@db/ops --role nightshift
      nightshift stop && nightshift cluster init DSN --take
    """
    from supervisor.cluster import install, session
    from supervisor.config.parse_cluster import NAME, NAME_FORM

    if not NAME.fullmatch(name):
        raise CliError(ExitCode.USAGE, f'--name: expected {NAME_FORM}, got "{name[:63]}"')
    schema = session.schema_of(name)
    with _connected(dsn, name) as db:
        try:
            is_new = install.install(db, schema, role)
        except install.ClusterSchemaError as error:
            raise CliError(ExitCode.NO, str(error)) from error
        added = install.upgrade(db, schema) if upgrade else []
        wrong = install.check(db)
        if wrong:
            raise CliError(ExitCode.NO, wrong)
        taken = _take(db) if take else None
    echo(f"schema {schema} {'is made' if is_new else 'was there already'}")
    for column in added:
        echo(f"added {column}")
    if taken is not None:
        echo(f"took {format_count(taken, 'run')} of {paths().state}")
        echo("a job that uses files of this host now needs runs_on: host:NAME (docs/cluster.md)")
    echo("next: put this into jobs.yaml of every host, and start it")
    echo(f"  cluster: {{postgres: '${{NIGHTSHIFT_CLUSTER_DSN}}', name: {name}}}")
    return ExitCode.YES


@command("status")
@json_option
def status(as_json: bool) -> int:
    """Show the hosts of the cluster, who leads, and what runs where.

    Exits with 1 if nobody leads.
    """
    from supervisor.cluster import overview

    settings = _membership()
    with _connected(settings.postgres, settings.name) as db:
        seen = overview.read(db, settings.name)
    if as_json:
        print_json(msgspec.json.encode(seen))
        return ExitCode.YES if seen.leader else ExitCode.NO
    leader = f"led by {seen.leader} (leader {seen.epoch})" if seen.leader else "nobody leads"
    waits = format_count(seen.waiting, "attempt")
    text = "no text" if seen.config is None else f"text {seen.config}"
    echo(f"cluster {seen.name}: {leader}, {text} of jobs.yaml, {waits} waiting")
    table = Table("HOST", "STATE", "HEARTBEAT", "RUNS", "TEXT", "LABELS")
    for host in seen.hosts:
        age_s = host.heartbeat_age_seconds
        table.add(
            f"{host.name} (leads)" if host.leads else host.name,
            host.state,
            "-" if age_s is None else f"{format_duration(round(max(0.0, age_s)))} ago",
            f"{host.running} of {host.places}",
            "an old one" if host.config is None else str(host.config),
            " ".join(host.labels),
        )
    table.show()
    return ExitCode.YES if seen.leader else ExitCode.NO


@command("stand-down")
def stand_down() -> int:
    """Ask the leader to give up the leadership, so that another host takes it."""
    from supervisor.cluster import session

    settings = _membership()
    with _connected(settings.postgres, settings.name) as db:
        session.wake(db, session.schema_of(settings.name), "stand-down")
    echo("asked; nightshift cluster status shows who leads")
    return ExitCode.YES


@command("forget")
@click.argument("host")
def forget(host: str) -> int:
    """Say that a host is gone for good; what waited for it goes on elsewhere.

    It must be lost already: a host that is alive is ended with nightshift stop.
    """
    from supervisor.cluster import overview

    settings = _membership()
    with _connected(settings.postgres, settings.name) as db:
        found = overview.forget(db, settings.name, host)
    if found is None:
        raise CliError(ExitCode.USAGE, f'no host is called "{host}"')
    if not found:
        hint = "nightshift stop ends it there; it is lost when its lease is over"
        raise CliError(ExitCode.NO, f"{host} is alive, or was until now", hint)
    echo(f"{host} is forgotten")
    return ExitCode.YES


@command("leave")
def leave() -> int:
    """Make this host a single one again, with the history of the cluster.

    All hosts must be stopped. The host's own ledger and outputs are set aside. Then remove
    `cluster` from jobs.yaml and start it.
    """
    from supervisor.cluster import session, transfer

    settings, state = _membership(), paths().state
    schema = session.schema_of(settings.name)
    with _connected(settings.postgres, settings.name) as db, _moving():
        host = settings.host or ""
        count, aside = transfer.leave(db, settings.postgres, schema, state, host)
    for path in aside:
        echo(f"kept {path}")
    echo(f"{state} has {format_count(count, 'run')} of the cluster; remove cluster from jobs.yaml")
    return ExitCode.YES


for each in (init, status, stand_down, forget, leave):
    cluster.add_command(each)


def _take(db: "Connection") -> int:
    from supervisor.cluster import transfer

    try:
        host = _membership().host
    except CliError:  # jobs.yaml does not name the cluster yet
        host = None
    with _moving():
        return transfer.take(db, paths().state, host or socket.gethostname())


@contextmanager
def _moving() -> "Iterator[None]":
    """Turn what keeps a ledger from being moved into errors of the command."""
    import sqlite3

    from supervisor.cluster.transfer import TransferError
    from supervisor.ledger.file import LedgerVersionError
    from supervisor.state_dir import StateDirError

    try:
        yield
    except (TransferError, StateDirError, LedgerVersionError, sqlite3.Error) as error:
        raise CliError(ExitCode.NO, str(error)) from error


def _membership() -> "Cluster":
    """Return the block `cluster` of jobs.yaml. Raises: CliError."""
    from supervisor.config import load

    here = paths()
    config = load(here.config.absolute(), os.environ).config
    if config is None:
        raise CliError(ExitCode.USAGE, "jobs.yaml is refused", "nightshift check says why")
    if config.cluster is None:
        hint = "nightshift cluster init DSN says what to write there"
        raise CliError(ExitCode.USAGE, f"{here.config} has no cluster", hint)
    return config.cluster


@contextmanager
def _connected(dsn: str, name: str) -> "Iterator[Connection]":
    """Yield a connection to a cluster's schema; its errors are those of the command."""
    import psycopg

    from supervisor.cluster import session

    db = None
    try:
        db = session.connect(dsn, session.schema_of(name))
        yield db
    except ModuleNotFoundError as error:
        hint = "pip install 'nightshift-cron[cluster]'"
        raise CliError(ExitCode.NO, f"the engine is not installed: {error.name}", hint) from error
    except (psycopg.Error, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise CliError(ExitCode.NO, f"PostgreSQL: {lines[0]}") from error
    finally:
        session.close(db)
