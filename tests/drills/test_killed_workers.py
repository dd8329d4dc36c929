"""Every worker is killed once during its run, and each slot still ends in success.

The shipped jobs.yaml with all its eight jobs, a catalogue that has grown, and a real
PostgreSQL. The clock moves through the hours of a Sunday in steps of 15 minutes. At a random
moment of its run each job's worker gets SIGKILL from outside, once.
"""

import contextlib
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.find_processes import pids_of_instance, zombies_of
from tests.acceptance.ledger_reader import instance, missing, outcomes, rows
from tests.drills import shipped
from tests.drills.conftest import Figures
from tests.waiting import until
from tests.workers import fixtures_replication

pytestmark = pytest.mark.timeout(400)

QUARTER = timedelta(minutes=15)
MIDNIGHT = datetime(2026, 2, 8, tzinfo=UTC)  # a Sunday, when all eight are due
MORNING = MIDNIGHT + timedelta(hours=6, minutes=15)
HEALTH = "database-health-check"
# When each job is killed; health is due in every quarter and is killed in the second.
TURNS = {
    MIDNIGHT: "backup-database",
    MIDNIGHT + QUARTER: HEALTH,
    MIDNIGHT + timedelta(hours=1): "rotate-backups",
    MIDNIGHT + timedelta(hours=2): "sync-missing-sets",
    MIDNIGHT + timedelta(hours=3): "sync-missing-cards",
    MIDNIGHT + timedelta(hours=4): "replicate-to-pg",
    MIDNIGHT + timedelta(hours=5): "cleanup-stale-data",
    MIDNIGHT + timedelta(hours=6): "validate-data-integrity",
}


# Shares of the usual duration to wait before the kill; faster runs are requested again.
SHARES = (0.8, 0.4, 0.2, 0.1, 0.0)
SEED = "TEST_SEED"
# Read from the ledger, which has a run before its state is published.
OPEN = "SELECT job FROM runs WHERE state IN ('pending', 'running', 'retrying')"
FIRST = "SELECT reason FROM attempts WHERE run = ? AND number = 1 AND ended_at NOT NULL"


class Harness:
    """A supervisor at midnight, its clock, and a random generator for the kills."""

    def __init__(
        self, sandbox: Sandbox, clock: Clock, supervisor: int, dice: random.Random
    ) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.supervisor = supervisor
        self.dice = dice
        self.usual = shipped.durations(sandbox)
        self.killed: dict[str, int] = {}

    def go_to(self, slot: datetime) -> None:
        """Set the clock to this slot and wait until the service has handled it."""
        self.clock.set((slot - timedelta(milliseconds=100)).strftime("%Y-%m-%d %H:%M:%S.%f"))
        os.kill(self.supervisor, signal.SIGCHLD)  # makes it read the clock and does nothing else
        until(lambda: slot in outcomes(self.sandbox, HEALTH), within_s=60)

    def until_idle(self) -> None:
        """Wait until no run is open."""
        until(lambda: rows(self.sandbox, OPEN) == [], within_s=60)

    def kill(self, job: str) -> float:
        """Kill the job's worker at a random moment; return the seconds since its start."""
        for share in SHARES:
            moment_s = self.dice.uniform(0, share) * self.usual[job].total_seconds()
            if self._kill_after(moment_s, job):
                return moment_s
            self.until_idle()
            again = self.sandbox.ask("run", job)
            assert again.returncode == 0, again.stderr
        raise AssertionError(f"{job} always ended before the kill")

    def _kill_after(self, moment_s: float, job: str) -> bool:
        until(lambda: self._begun(job) or not self._is_open(job), within_s=60)
        begun = self._begun(job)
        if not begun:
            return False
        run, pid = begun[0]["id"], begun[0]["pid"]
        deadline = time.monotonic() + moment_s
        until(lambda: time.monotonic() >= deadline, within_s=60)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: rows(self.sandbox, FIRST, run) != [], within_s=60)
        if rows(self.sandbox, FIRST, run) != [("signal",)]:
            return False
        self.killed[job] = run
        return True

    def _begun(self, job: str) -> list[dict[str, Any]]:
        """Return its first attempt as published: the ledger gets the pid later."""
        runs = raw_client.status(self.sandbox)["runs"]
        return [r for r in runs if r["job"] == job and r["pid"] and r["attempt"] == 1]

    def _is_open(self, job: str) -> bool:
        return (job,) in rows(self.sandbox, OPEN)


def test_every_worker_is_killed_once_and_each_slot_ends_in_success(
    postgres: str, figures: Figures
) -> None:
    seed = int(os.environ.get(SEED, random.SystemRandom().randrange(10**6)))
    figures.add(SEED, seed)
    with shipped.shipped(postgres) as sandbox:
        shipped.write_catalogue(sandbox, sets=60, cards=2000)
        clock = Clock(sandbox, "2026-02-07 12:00:10")
        shipped.run_all(sandbox)
        shipped.write_catalogue(sandbox, sets=70, cards=3000)

        clock.set("2026-02-07 23:45:10")
        with supervised(sandbox) as supervisor:
            harness = Harness(sandbox, clock, supervisor.pid, random.Random(seed))
            slot = MIDNIGHT
            while slot < MORNING:
                harness.go_to(slot)
                if slot in TURNS:
                    moment_s = harness.kill(TURNS[slot])
                    figures.add(TURNS[slot], f"killed after {moment_s * 1000:.0f} ms")
                harness.until_idle()
                slot += QUARTER
            assert zombies_of(supervisor.pid) == []
            mark = instance(sandbox)

        check_result(sandbox, harness.killed, figures)
        assert fixtures_replication.unequal(sandbox.root / shipped.DATABASE, postgres) == {}
        assert pids_of_instance(mark) == []


def check_result(sandbox: Sandbox, killed: dict[str, int], figures: Figures) -> None:
    """Check the rows of all runs, the copies, and that no files are left over."""
    assert killed.keys() == set(TURNS.values())
    for job, run in killed.items():
        query = "SELECT number, reason, cause FROM attempts WHERE run = ? ORDER BY number"
        first, *others = rows(sandbox, query, run)
        assert first == (1, "signal", "killed by SIGKILL from outside (out of memory?)"), job
        assert [(number, reason) for number, reason, _ in others] == [(2, None)], (job, others)
        found = outcomes(sandbox, job)
        assert set(found.values()) == {"success schedule"}, job
        due = MIDNIGHT if job == HEALTH else next(at for at, name in TURNS.items() if name == job)
        step = QUARTER if job == HEALTH else timedelta(days=1)
        assert missing(sandbox, job, due, MORNING - QUARTER, step) == [], job
    assert rows(sandbox, "SELECT count(*) FROM incidents") == [(0,)]
    assert rows(sandbox, "SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]
    proven = sandbox.json("backups", "verify", "--all")["verified"]
    assert [each["error"] for each in proven if each["error"]] == []
    assert len(proven) >= 2
    assert shipped.leftovers(sandbox) == []
    ((count,),) = rows(sandbox, "SELECT count(*) FROM runs WHERE slot NOT NULL")
    figures.add("slots, each with one success", count)
    figures.add("copies, each proven again", len(proven))
