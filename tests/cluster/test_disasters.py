"""Hosts die, freeze and lose their connections while runs are due: nothing is doubled or lost.

Each attempt appends marks while it runs. After the faults every due slot and every request has
one outcome, no attempt was started twice, no run of `once` was repeated, and no two attempts
of the group ran at the same time.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from scripts import embedded_postgres
from tests.cluster.hosts import TIMES, Host, cluster, lines, rest
from tests.fix_postgres import needs_account
from tests.waiting import until

JOBS_OF_A_MINUTE = 12
# For the thousand slots: more jobs, each as short as the others.
JOBS_OF_A_THOUSAND, SLOTS = 100, 1000
# A mark each 50 ms; a killed attempt may have run for one interval more.
MARK_S = 0.05

pytestmark = [needs_account, pytest.mark.timeout(900)]


def text(account: Path, jobs_of_a_minute: int) -> str:
    """Return a jobs.yaml whose attempts write to the account while they run."""
    body = (
        f"i=0; while [ $i -lt %s ]; do echo $i $NIGHTSHIFT_JOB $NIGHTSHIFT_RUN $NIGHTSHIFT_ATTEMPT"
        f" $(date +%%s.%%N) >> {account}; sleep {MARK_S}; i=$((i+1)); done"
    )
    marks = [4 + number % JOBS_OF_A_MINUTE for number in range(jobs_of_a_minute)]
    jobs = [
        f"  due-{number}: {{command: '{body % count}', cron: '* * * * *'}}"
        for number, count in enumerate(marks)
    ]
    jobs += [f"  group-{n}: {{command: '{body % 8}', exclusive: nas}}" for n in range(3)]
    jobs += [f"  once: {{command: '{body % 20}', if_lost: never}}"]
    top = f'cluster: {{postgres: "${{DSN}}", host: "${{HOST}}", {TIMES}}}\nmax_concurrent: 6\n'
    return (
        f"{top}defaults: {{retry_delay: 1s, kill_grace: 0.5s, overlap: queue}}\njobs:\n"
        + "\n".join(jobs)
    )


class RandomFaults:
    """Random faults, one after the other, with requests in between."""

    def __init__(
        self, hosts: dict[str, Host], server: embedded_postgres.Server, dice: random.Random
    ) -> None:
        self.hosts, self.server, self.dice = hosts, server, dice
        self.asked = 0
        self.caused: Counter[str] = Counter()

    def ask(self) -> None:
        """Request a run on a host that is up, if it answers."""
        up = [host for host in self.hosts.values() if host.is_reached]
        job = self.dice.choice(("group-0", "group-1", "group-2", "once"))
        self.asked += self.dice.choice(up).ask("run", job).returncode == 0

    def kill(self) -> None:
        host = self.dice.choice(list(self.hosts.values()))
        host.kill()
        self.ask_for(self.dice.uniform(0, 6))
        host.start()

    def freeze(self) -> None:
        """Freeze a host for less than the lease, as promised to be safe."""
        host = self.dice.choice(list(self.hosts.values()))
        host.freeze()
        self.ask_for(self.dice.uniform(0.5, 3))
        host.thaw()

    def cut(self) -> None:
        host = self.dice.choice(list(self.hosts.values()))
        host.cut()
        self.ask_for(self.dice.uniform(0.5, 7))
        host.reconnect()

    def restart_server(self) -> None:
        self.server.stop()
        rest(self.dice.uniform(0, 2))
        self.server.start()

    def ask_for(self, seconds: float) -> None:
        """Go on with requests for this long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.ask()
            rest(0.2)

    def cause_faults(self, is_over: Callable[[], bool]) -> None:
        """Cause one random fault after another until it is over."""
        while not is_over():
            disaster = self.dice.choice((self.kill, self.freeze, self.cut, self.restart_server))
            print(f"{time.time():.1f} {disaster.__name__}", flush=True)
            self.caused[disaster.__name__] += 1
            disaster()
            self.ask_for(self.dice.uniform(1, 4))


def run_with_faults(
    server: embedded_postgres.Server,
    seed: int,
    account: Path,
    jobs_of_a_minute: int,
    is_over: Callable[[], bool],
) -> None:
    """Cause faults on three hosts, then compare the records of all runs."""
    print(f"seed {seed}")
    with cluster(server.dsn, text(account, jobs_of_a_minute)) as hosts:
        faults = RandomFaults(hosts, server, random.Random(seed))
        faults.cause_faults(is_over)
        for host in hosts.values():
            host.reconnect()
        try:
            settled(server.dsn)
        except AssertionError:
            print(*(f"--- {name}\n{host.log}" for name, host in hosts.items()), sep="\n")
            raise
        print("faults:", dict(faults.caused))
        check(server.dsn, account, faults.asked)


def settled(dsn: str) -> None:
    """Wait until every run is final; no slot is due in the seconds after that."""
    until(lambda: time.time() % 60 < 40, within_s=60)
    try:
        until(lambda: open_runs(dsn) == 0, within_s=120)
    except AssertionError:
        for table in ("hosts", "procrastinate_workers", "procrastinate_jobs", "configs"):
            print(table, *rows(dsn, f"SELECT * FROM {table}"), sep="\n  ")
        print(*rows(dsn, "SELECT * FROM assignments WHERE ended_at IS NULL"), sep="\n  ")
        not_over = "state IN ('pending', 'running', 'retrying')"
        print(*rows(dsn, f"SELECT id, job, state, attempt, cause FROM runs WHERE {not_over}"))
        raise


def open_runs(dsn: str) -> int:
    query = "SELECT count(*) FROM runs WHERE state IN ('pending', 'running', 'retrying')"
    return rows(dsn, query)[0][0]


def check(dsn: str, account: Path, asked: int) -> None:
    """Print the figures, then compare each of them with what is promised."""
    marks: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    begun = Counter[tuple[str, ...]]()
    for number, job, run, attempt, at in lines(account):
        begun[job, run, attempt] += number == "0"
        marks[job, int(run), int(attempt)].append(float(at))
    doubled = rows(dsn, "SELECT job, slot FROM runs WHERE slot IS NOT NULL GROUP BY 1, 2"
                        " HAVING count(*) > 1")  # fmt: skip
    lost = slots_without_outcome(dsn)
    begun_twice = [attempt for attempt, count in begun.items() if count > 1]
    of_once = Counter(run for job, run, _ in marks if job == "once")
    repeated = [run for run, count in of_once.items() if count > 1]
    overlaps = overlapping([times for (job, *_), times in marks.items() if "group" in job])
    states = Counter(state for (state,) in rows(dsn, "SELECT state FROM runs"))
    print(
        f"{slots(dsn)} slots, {asked} runs were asked for, {len(marks)} attempts began; {states}"
    )
    print(
        f"{len(doubled)} slots doubled, {len(lost)} lost, {len(overlaps)} overlaps of the group,"
    )
    print(f"{len(begun_twice)} attempts begun twice, {len(repeated)} runs of `once` repeated")

    assert doubled == []
    assert lost == []
    assert rows(dsn, "SELECT count(*) FROM runs WHERE trigger = 'manual'")[0][0] >= asked
    assert begun_twice == []
    assert repeated == []
    assert overlaps == []


def slots(dsn: str) -> int:
    """Return how many slots have a run."""
    return rows(dsn, "SELECT count(*) FROM runs WHERE slot IS NOT NULL")[0][0]


def slots_without_outcome(dsn: str) -> list[str]:
    """Return the minutes for which a job has neither a run nor a gap."""
    first, last = rows(dsn, "SELECT min(slot)::timestamptz, max(slot)::timestamptz FROM runs")[0]
    found = rows(
        dsn,
        """SELECT job, minute FROM (SELECT DISTINCT job FROM runs WHERE job LIKE 'due-%%') AS jobs,
            generate_series(%s::timestamptz, %s, '1 minute') AS minute
        WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.job = jobs.job
                          AND runs.slot::timestamptz = minute)
        AND NOT EXISTS (SELECT 1 FROM gaps WHERE gaps.job = jobs.job
                        AND minute > since::timestamptz AND minute <= until::timestamptz)""",
        first, last,
    )  # fmt: skip
    return [f"{job} {minute}" for job, minute in found]


def overlapping(attempts: list[list[float]]) -> list[tuple[float, float]]:
    """Return the begins of attempts that came before the end of the one before."""
    spans = sorted((min(times), max(times)) for times in attempts)
    return [(earlier[1], later[0]) for earlier, later in pairwise(spans) if later[0] < earlier[1]]


def rows(dsn: str, query: str, *values: object) -> list[tuple]:
    with psycopg.connect(dsn, options="-c search_path=nightshift_main") as db:
        return db.execute(query, values).fetchall()


@pytest.mark.long
def test_a_minute_of_disasters(own_postgres, tmp_path):
    end = time.monotonic() + 45
    seed = random.randrange(2**32)
    run_with_faults(
        own_postgres,
        seed,
        tmp_path / "account",
        JOBS_OF_A_MINUTE,
        lambda: time.monotonic() > end,
    )


@pytest.mark.drill
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_thousand_slots_of_disasters(own_postgres, tmp_path, seed):
    run_with_faults(
        own_postgres,
        seed,
        tmp_path / "account",
        JOBS_OF_A_THOUSAND,
        lambda: slots(own_postgres.dsn) >= SLOTS,
    )
