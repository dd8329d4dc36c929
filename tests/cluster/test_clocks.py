"""Hosts with wrong clocks, one minutes ahead and one that runs too fast, beside a right one.

The calendar uses PostgreSQL's clock, and liveness uses no wall clock. So a host with a wrong
clock works as any other, but does not lead. Only Python's time of day is moved
(`tests.acceptance.clock`): libfaketime 0.9.10 fails with Python 3.11, whose `time.sleep` ends
with EINVAL if the monotonic clocks are not moved, and whose threads wait too long if they are.
"""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.cluster.hosts import TIMES, Host, cluster
from tests.waiting import until

JOBS = f"""
cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", {TIMES}}}
max_concurrent: 4
defaults: {{retry_delay: 1s}}
jobs:
  minutely: {{command: 'true', cron: '* * * * *'}}
  clock: {{command: 'date +%s'}}
  long: {{command: [sleep, '600'], kill_grace: 1s}}
"""
# Seconds that `a` is ahead; and that `b` gains in each second.
AHEAD_S, GAINS, EACH_S = 90.0, 0.2, 0.1

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def hosts(postgres_server: str) -> Iterator[dict[str, Host]]:
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute("CREATE DATABASE clocks_apart TEMPLATE template0")
    dsn = postgres_server.replace("dbname=postgres", "dbname=clocks_apart")
    with cluster(dsn, JOBS, "abcd", off_s={"a": AHEAD_S, "b": GAINS}) as hosts:
        over = threading.Event()
        thread = threading.Thread(target=run_away, args=(hosts["b"], over))
        thread.start()
        try:
            yield hosts
        finally:
            over.set()
            thread.join()


def run_away(host: Host, over: threading.Event) -> None:
    """Let a clock run too fast until `over`."""
    assert host.clock is not None
    while not over.wait(EACH_S):
        host.clock.move(GAINS * EACH_S)


def rows(hosts: dict[str, Host], query: str) -> list[tuple]:
    dsn = hosts["c"].sandbox.environ["DSN"]
    with psycopg.connect(dsn, options="-c search_path=nightshift_main") as db:
        return db.execute(query).fetchall()


def leader(hosts: dict[str, Host]) -> str:
    ((host,),) = rows(hosts, "SELECT value FROM shared WHERE key = 'leading_host'")
    return str(host)


def test_a_host_with_a_wrong_clock_runs_what_is_requested(hosts):
    for name in "ab":
        done = hosts["c"].ask("run", "clock", "--on", name, "--wait")
        assert done.returncode == 0, done.stderr

    shown = json.loads(hosts["d"].ask("history", "clock", "--json").stdout)["runs"]

    assert [run["cause"] for run in shown] == ["on b", "on a"]


def test_a_host_with_a_wrong_clock_does_not_lead_even_on_request(hosts):
    for name in "ab":
        until(lambda name=name: "off PostgreSQL's: it may not lead" in hosts[name].log, 60)

    hosts[leader(hosts)].ask("cluster", "stand-down")
    until(lambda: hosts["c"].ask("cluster", "status").returncode == 0, within_s=60)

    assert leader(hosts) in "cd"


def test_a_slot_is_opened_once_and_not_before_its_time(hosts):
    query = "SELECT slot, slot::timestamptz - clock_timestamp() FROM runs WHERE slot IS NOT NULL"
    before = len(rows(hosts, query))
    until(lambda: len(rows(hosts, query)) > before, within_s=90)

    found = rows(hosts, query)

    assert len({slot for slot, _ in found}) == len(found)
    assert max(early for _, early in found) <= timedelta(0)


def test_a_lost_host_is_found_and_a_wrong_clock_is_no_loss(hosts):
    lost = leader(hosts)
    hosts[lost].ask("run", "long", "--on", lost)
    until(lambda: rows(hosts, "SELECT 1 FROM assignments WHERE job = 'long' AND host = "
                              f"'{lost}' AND local_run IS NOT NULL"), 60)  # fmt: skip
    hosts[lost].kill()

    until(lambda: leader(hosts) != lost, within_s=60)
    until(lambda: rows(hosts, f"SELECT 1 FROM hosts WHERE name = '{lost}' AND worker IS NULL"), 60)

    assert leader(hosts) in "cd"
    gone = rows(hosts, "SELECT name FROM hosts WHERE worker IS NULL OR lost_at IS NOT NULL")
    assert gone == [(lost,)]
