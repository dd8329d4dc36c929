"""A host that was declared dead joins again, whatever kept it away."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.cluster.hosts import TIMES, Host, answers, cluster
from tests.waiting import until

JOBS = f"""
cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", {TIMES}}}
jobs:
  hello: {{command: 'true'}}
"""
# Every step below ends in seconds; a busy machine may take its time.
WITHIN_S = 60

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dsn(postgres_server: str) -> str:
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute("CREATE DATABASE cluster_rejoined TEMPLATE template0")
    return postgres_server.replace("dbname=postgres", "dbname=cluster_rejoined")


@pytest.fixture(scope="module")
def hosts(dsn: str) -> Iterator[dict[str, Host]]:
    with cluster(dsn, JOBS, "ab") as hosts:
        yield hosts


def worker_of(dsn: str, name: str) -> int | None:
    """Return the worker of a host; None: it was declared dead."""
    with psycopg.connect(dsn) as db:
        query = "SELECT worker FROM nightshift_main.hosts WHERE name = %s"
        return db.execute(query, (name,)).fetchone()[0]


def leader(dsn: str) -> str:
    with psycopg.connect(dsn) as db:
        query = "SELECT value FROM nightshift_main.shared WHERE key = 'leading_host'"
        return db.execute(query).fetchone()[0]


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize(
    ("away", "back"), [(Host.cut, Host.reconnect), (Host.freeze, Host.thaw)], ids=["cut", "frozen"]
)
def test_a_host_that_was_away_for_longer_than_the_lease_joins_again(hosts, dsn, away, back, leads):
    leading = leader(dsn)
    host = next(each for each in hosts.values() if (each.name == leading) is leads)

    away(host)
    until(lambda: worker_of(dsn, host.name) is None, within_s=WITHIN_S)
    back(host)

    until(lambda: worker_of(dsn, host.name) is not None, within_s=WITHIN_S)
    for each in hosts.values():
        until(lambda each=each: answers(each), within_s=WITHIN_S)
    done = hosts["a"].ask("run", "hello", "--on", host.name, "--wait")
    assert done.returncode == 0, done.stderr
