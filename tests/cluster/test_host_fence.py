"""A host without its fence breaks what a cluster promises: two attempts of a group at once."""

import shutil
from collections import defaultdict
from pathlib import Path

import psycopg
import pytest

from tests.cluster import without_host_fence
from tests.cluster.hosts import TIMES, Host, cluster, lines
from tests.waiting import until

# Each attempt writes its name twenty times a second, for as long as it lives.
BODY = "while sleep 0.05; do echo $NIGHTSHIFT_ATTEMPT $(date +%s.%N) >> {account}; done"
WITHIN_S = 60

pytestmark = pytest.mark.timeout(240)


def with_fence(host: Host) -> None:
    """Leave a host as it is."""


def without_fence(host: Host) -> None:
    """Take the fence out of a host that is not started yet."""
    folder = host.sandbox.root / "without"
    folder.mkdir()
    shutil.copy(without_host_fence.__file__, folder / "sitecustomize.py")
    host.sandbox.environ["PYTHONPATH"] = str(folder)


def spans(account: Path) -> list[tuple[float, float]]:
    """Return when each attempt wrote first and last."""
    marks: dict[str, list[float]] = defaultdict(list)
    for attempt, at in lines(account):
        marks[attempt].append(float(at))
    return [(min(times), max(times)) for times in marks.values()]


@pytest.mark.parametrize("is_fenced", [True, False], ids=["fenced", "without"])
def test_a_host_that_is_cut_off_ends_its_part_or_two_attempts_run(
    postgres_server, tmp_path, is_fenced
):
    name = f"cluster_{'fenced' if is_fenced else 'without'}"
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    dsn = postgres_server.replace("dbname=postgres", f"dbname={name}")
    account = tmp_path / "account"
    text = (
        f'cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", {TIMES}}}\n'
        "defaults: {kill_grace: 0.5s, retry_delay: 1s}\n"
        f"jobs:\n  body: {{command: '{BODY.format(account=account)}', exclusive: nas}}\n"
    )
    prepare = with_fence if is_fenced else without_fence
    with cluster(dsn, text, "ab", prepare=prepare) as hosts:
        assert hosts["a"].ask("run", "body").returncode == 0
        until(lambda: account.exists(), within_s=WITHIN_S)
        with psycopg.connect(dsn, autocommit=True) as db:
            query = "SELECT host FROM nightshift_main.assignments"
            ((holder,),) = db.execute(query)

        hosts[holder].cut()
        until(lambda: len(spans(account)) > 1, within_s=WITHIN_S)
        found = spans(account)
        # Long enough for the first one to write again, if it lives.
        until(lambda: spans(account)[1][1] > found[1][0] + 1.0, within_s=WITHIN_S)

    first, second = spans(account)[:2]
    assert (first[1] < second[0]) is is_fenced
