"""Supervisor, fork server, keepers and workers are killed, singly and together, at any time.

Within two seconds no process of theirs is left; the next start settles every row.
The seed of a series of kills is printed: TEST_SEED=<seed> repeats the series.
"""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.find_processes import children, parent, pids_of_instance, zombies_of
from tests.acceptance.ledger_reader import MINUTE, instance, missing, outcomes, rows
from tests.signals import kill, send
from tests.waiting import until

GONE_WITHIN_S = 2.0
# ALONE writes to `doubled` if another of its runs, or a process of one, is still alive;
# ORPHANS leaves orphans all the time.
ALONE = "exec 9> alone.lock; flock -n 9 || echo $NIGHTSHIFT_RUN >> doubled; sleep 1"
ORPHANS = "while :; do setsid sleep 600 & sleep 0.05; done"
WORKER = """
import signal, subprocess, sys
def steady(params, report):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        subprocess.run(["sleep", "0.05"])
"""
JOBS = f"""
max_concurrent: 8
shutdown_grace: 500ms
defaults: {{kill_grace: 1s, retry_delay: 100ms}}
jobs:
  alone: {{command: '{ALONE}', cron: "* * * * *", run_on_startup: true, retries: 9}}
  orphans: {{command: '{ORPHANS}', run_on_startup: true}}
  worker: {{worker: "steady:steady", run_on_startup: true}}
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "steady.py").write_text(WORKER)
        sandbox.environ["PYTHONPATH"] = str(sandbox.root)
        yield sandbox


def fork_server_of(supervisor: int) -> int:
    """Return the fork server's pid; 0: there is none at this moment."""
    return next((pid for pid in children(supervisor) if _leads(pid)), 0)


def keepers_of(supervisor: int) -> list[int]:
    fork_server = fork_server_of(supervisor)
    return children(fork_server) if fork_server else []


def workers_of(supervisor: int) -> list[int]:
    return [pid for keeper in keepers_of(supervisor) for pid in children(keeper)]


def _leads(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False


def until_all_run(sandbox: Sandbox, supervisor: int) -> None:
    """Wait until all three jobs have processes and their pids have been reported."""
    until(lambda: len(workers_of(supervisor)) >= 3 and Path(sandbox.root, "alone.lock").exists())
    until(lambda: all(run["pid"] for run in raw_client.status(sandbox)["runs"]))


# --- one death ------------------------------------------------------------------------


def test_nothing_outlives_the_supervisor(sandbox: Sandbox) -> None:
    with supervised(sandbox) as supervisor:
        mark = instance(sandbox)
        until_all_run(sandbox, supervisor.pid)

        supervisor.kill()
        supervisor.wait()

        until(lambda: not pids_of_instance(mark), within_s=GONE_WITHIN_S)


def test_nothing_outlives_the_fork_server_but_the_service_goes_on(sandbox: Sandbox) -> None:
    with supervised(sandbox) as supervisor:
        until_all_run(sandbox, supervisor.pid)
        fork_server = fork_server_of(supervisor.pid)
        before = {fork_server, *keepers_of(supervisor.pid), *workers_of(supervisor.pid)}

        kill(fork_server)

        until(
            lambda: not before & set(pids_of_instance(instance(sandbox))), within_s=GONE_WITHIN_S
        )
        until(lambda: len(workers_of(supervisor.pid)) >= 2)
        assert zombies_of(supervisor.pid) == []
        assert raw_client.status(sandbox)["keeper_deaths"] >= 3


def test_a_killed_keeper_ends_its_run_and_the_run_is_retried(sandbox: Sandbox) -> None:
    with supervised(sandbox) as supervisor:
        until_all_run(sandbox, supervisor.pid)
        (run,) = [r for r in raw_client.status(sandbox)["runs"] if r["job"] == "orphans"]
        others = {r["pid"] for r in raw_client.status(sandbox)["runs"] if r["job"] == "worker"}

        kill(parent(run["pid"]))

        until(lambda: raw_client.run(sandbox, run["id"])["attempt"] == 2)
        assert others <= set(workers_of(supervisor.pid))
        assert "the process that kept it died" in sandbox.says("explain", "orphans")


def test_a_worker_that_is_killed_has_failed_by_a_foreign_signal(sandbox: Sandbox) -> None:
    with supervised(sandbox) as supervisor:
        until_all_run(sandbox, supervisor.pid)
        (run,) = [r for r in raw_client.status(sandbox)["runs"] if r["job"] == "worker"]

        kill(run["pid"])

        until(lambda: raw_client.run(sandbox, run["id"])["state"] == "failed")
        assert (
            raw_client.run(sandbox, run["id"])["cause"]
            == "killed by SIGKILL from outside (out of memory?)"
        )


# --- all at once ----------------------------------------------------------------------


def kill_all_three(supervisor: int) -> None:
    """Kill all three in one instant, so that none of them can react."""
    doomed = [supervisor, fork_server_of(supervisor), *keepers_of(supervisor)]
    send(signal.SIGSTOP, *doomed)
    kill(*doomed)


def test_the_next_start_kills_what_outlived_all_three_and_settles_rows(
    sandbox: Sandbox,
) -> None:
    with supervised(sandbox) as supervisor:
        until_all_run(sandbox, supervisor.pid)
        mark = instance(sandbox)
        kill_all_three(supervisor.pid)
        supervisor.wait()
    left = pids_of_instance(mark)

    with supervised(sandbox, "--log-format", "text") as supervisor:
        again = set(pids_of_instance(mark))

    assert left
    assert not again & set(left)
    assert "strays of a dead predecessor" in Path(sandbox.root, "log").read_text()
    causes = rows(sandbox, "SELECT cause FROM runs WHERE id <= 3 AND state = 'interrupted'")
    assert set(causes) <= {("the supervisor died",)}
    of_the_first_life = rows(sandbox, "SELECT state, reason FROM runs WHERE id <= 3")
    assert {state for state, _ in of_the_first_life} <= {"interrupted", "success"}
    assert pids_of_instance(mark) == []


def test_two_services_on_one_host_do_not_touch_each_others_jobs(sandbox: Sandbox) -> None:
    with Sandbox(JOBS) as other:
        Path(other.root, "steady.py").write_text(WORKER)
        other.environ["PYTHONPATH"] = str(other.root)
        with supervised(other) as neighbour:
            until_all_run(other, neighbour.pid)
            runs = [r["pid"] for r in other.json("status")["runs"] if r["job"] != "alone"]
            with supervised(sandbox) as supervisor:
                until_all_run(sandbox, supervisor.pid)
                kill_all_three(supervisor.pid)
                supervisor.wait()

            with supervised(sandbox):
                sandbox.says("stop")

            assert set(runs) <= set(workers_of(neighbour.pid))


# --- a series of deaths ---------------------------------------------------------------


def supervisor_alone(pid: int, dice: random.Random) -> list[int]:
    return [pid]


def the_fork_server(pid: int, dice: random.Random) -> list[int]:
    return [found for found in [fork_server_of(pid)] if found]


def a_keeper(pid: int, dice: random.Random) -> list[int]:
    found = keepers_of(pid)
    return [dice.choice(found)] if found else []


def a_worker(pid: int, dice: random.Random) -> list[int]:
    found = workers_of(pid)
    return [dice.choice(found)] if found else []


def all_three(pid: int, dice: random.Random) -> list[int]:
    return [pid, *the_fork_server(pid, dice), *keepers_of(pid)]


Choice = Callable[[int, random.Random], list[int]]
VICTIMS: tuple[Choice, ...] = (supervisor_alone, the_fork_server, a_keeper, a_worker, all_three)


def wait_for(seconds: float) -> None:
    """Wait for this time, the only such wait: the moment of a death is the thing under test."""
    deadline = time.monotonic() + seconds
    until(lambda: time.monotonic() >= deadline)


def go_to_next_minute(clock: Clock, sandbox: Sandbox, supervisor: int) -> None:
    """Move the clock to just before the next minute; a live service is made to read it."""
    clock.move(59.9 - clock.now.second - clock.now.microsecond / 1e6)
    if sandbox.socket.exists():
        os.kill(supervisor, signal.SIGHUP)


def kill_repeatedly(sandbox: Sandbox, clock: Clock, kills: int, seed: int) -> None:
    """Kill a random process after each new minute begins, and restart a dead supervisor."""
    dice = random.Random(seed)
    with open(sandbox.root / "log", "w") as log:
        supervisor = sandbox.begin("start", stdout=log, stderr=log)
        until(lambda: raw_client.is_healthy(sandbox))
        for _ in range(kills):
            if supervisor.poll() is not None:
                supervisor = sandbox.begin("start", stdout=log, stderr=log)
            go_to_next_minute(clock, sandbox, supervisor.pid)
            wait_for(dice.uniform(0, 0.8))
            kill(*dice.choice(VICTIMS)(supervisor.pid, dice))
            wait_for(0.02)
        supervisor.kill()
        supervisor.wait()


def count_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def kill_and_check(sandbox: Sandbox, kills: int) -> None:
    """Kill at random, then check that nothing was lost, doubled or left over."""
    seed = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"TEST_SEED={seed}", file=sys.stderr)
    clock = Clock(sandbox, "2026-02-09 01:59:59")
    with supervised(sandbox) as supervisor:
        until(lambda: len(raw_client.status(sandbox)["runs"]) == 2)
        go_to_next_minute(clock, sandbox, supervisor.pid)
        until(lambda: "success schedule" in outcomes(sandbox, "alone").values())
        until(lambda: len(raw_client.status(sandbox)["runs"]) == 2)
        descriptors = count_descriptors(supervisor.pid)
        first = min(outcomes(sandbox, "alone"))

    kill_repeatedly(sandbox, clock, kills, seed)
    with supervised(sandbox) as supervisor:
        until(lambda: len(raw_client.status(sandbox)["runs"]) == 2)
        mark, last = instance(sandbox), clock.now.replace(second=0, microsecond=0)
        # A keeper waiting for a run holds a few, and more keepers wait when launches were late.
        until(lambda: count_descriptors(supervisor.pid) <= descriptors + 2)
        zombies = zombies_of(supervisor.pid)

    assert missing(sandbox, "alone", first, last, MINUTE) == []
    assert rows(sandbox, "SELECT run, number FROM attempts WHERE ended_at IS NULL") == []
    assert rows(sandbox, "SELECT id FROM runs WHERE state IN ('pending', 'running')") == []
    assert not Path(sandbox.root, "doubled").exists()
    assert zombies == []
    assert pids_of_instance(mark) == []
    assert os.listdir(sandbox.state / "tmp") == []
    assert len(os.listdir(sandbox.state)) <= 12


def test_a_dozen_kills_at_any_moment_leave_one_outcome_a_slot(sandbox: Sandbox) -> None:
    kill_and_check(sandbox, 12)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_kills_at_any_moment_leave_one_outcome_a_slot(sandbox: Sandbox) -> None:
    kill_and_check(sandbox, 100)
