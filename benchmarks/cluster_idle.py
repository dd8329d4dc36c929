"""PostgreSQL load of idle hosts, compared with idle stock workers.

Only load that the hosts cause is counted: one connection takes all samples, and the server's
own background work (autovacuum, the background writer) is off, because it would read every new
table and page for minutes after a start. The first minute is left out: a session's statistics
arrive ten seconds late, and its first executions of a statement are planned again.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster_hosts
import psycopg
from cluster_hosts import BODY, DEFAULTS, HOSTS, cluster, stock_dsn, stock_workers
from measured import ALL, Measured

SETTLE_S, IDLE_S = 60.0, 60.0
QUIET = ("autovacuum = off", "bgwriter_lru_maxpages = 0")
_COUNTED = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"


@dataclass(frozen=True, slots=True)
class Sample:
    """transactions: of the database. cpu_s: of the server's live processes."""

    transactions: int
    cpu_s: float


def idle(folder: Path, server: Any, times: dict[str, str], found: Measured) -> None:
    """Measure transactions a second and PostgreSQL's CPU for each host."""
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        for setting in QUIET:
            admin.execute(f"ALTER SYSTEM SET {setting}")
        admin.execute("SELECT pg_reload_conf()")
        with cluster(folder / "c", server.dsn, {"never": {"command": BODY}}, DEFAULTS) as hosts:
            measure(admin, server, "postgres", found, "hosts")
            found_lines = hosts.query(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nightshift'"
            )
            found.add("cluster connections", ALL, "hosts", found_lines[0] / len(HOSTS))
        own = stock_dsn(server.dsn)
        with stock_workers(folder, own, folder / "lines"):
            measure(admin, server, "stock", found, "stock")


def measure(
    admin: "psycopg.Connection[Any]", server: Any, database: str, found: Measured, side: str
) -> None:
    """Add what a database costs in a minute, for each host."""
    time.sleep(SETTLE_S)
    with sampled(admin, server, database) as samples:
        time.sleep(IDLE_S)
    before, after = samples
    each = IDLE_S * len(HOSTS)
    # The samples themselves are transactions of the database that the hosts use.
    counted = after.transactions - before.transactions - (database == admin.info.dbname)
    found.add("cluster idle transactions", ALL, side, counted / each)
    found.add("cluster idle PostgreSQL", ALL, side, (after.cpu_s - before.cpu_s) / each)


@contextlib.contextmanager
def sampled(
    admin: "psycopg.Connection[Any]", server: Any, database: str
) -> Iterator[list[Sample]]:
    """Yield a list that gets a sample at the beginning and one at the end."""
    samples = [sample(admin, server, database)]
    yield samples
    samples.append(sample(admin, server, database))


def sample(admin: "psycopg.Connection[Any]", server: Any, database: str) -> Sample:
    """Return what the server has done so far."""
    row = admin.execute(_COUNTED, (database,)).fetchone()
    pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    own = admin.info.backend_pid
    pids = [each for each in cluster_hosts.cluster_trial.descendants(pid) if each != own]
    return Sample(0 if row is None else int(row[0]), sum(map(cluster_hosts.cpu_s, pids)))
