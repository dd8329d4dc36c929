"""Nine thousand runs in a row, as many as a day of minute jobs: resource use stays flat.

Six kinds of jobs are requested over the socket, again as soon as all have ended. Every 80
rounds, while no job runs, the processes of the service are measured from outside. The third
and the last quarter are compared: for some five thousand runs the supervisor gains a few MB
(caches, the newest changes), and then stays constant.
"""

import contextlib
import http.client
import os
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.find_processes import children, is_dead, pids_of_instance
from tests.acceptance.ledger_reader import instance, rows
from tests.drills.conftest import Figures
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)

ROUNDS, EVERY = 1600, 80
# Memory used by Python objects is constant to the byte; malloc's fragmentation is not.
GROWN = 1.05
WORKER = """
def small(params, report):
    report.progress(1, 1, "rows")
    return {"sum": 3}
"""
JOBS = """
max_concurrent: 4
history: {runs: 100000}
defaults: {kill_grace: 300ms}
jobs:
  list: {command: ["true"]}
  worker: {worker: "small:small"}
  fails: {command: ["false"]}
  prints: {command: "head -c 65536 /dev/zero | tr '\\\\0' '.'"}
  orphan: {command: "sleep 600 & true"}
  borrows: {command: "rm $(mktemp)"}
"""
NAMES = ("list", "worker", "fails", "prints", "orphan", "borrows")
OPEN = "SELECT count(*) FROM runs WHERE ended_at IS NULL"


@dataclass(frozen=True, slots=True)
class Usage:
    """Resource use of the service while no job runs."""

    supervisor_rss: int
    fork_server_rss: int
    keeper_rss: int
    descriptors: int
    threads: int
    keepers: int
    tmp_files: int


QUANTITIES: dict[str, Callable[[Usage], int]] = {
    "supervisor RSS": lambda one: one.supervisor_rss,
    "fork server RSS": lambda one: one.fork_server_rss,
    "RSS a keeper": lambda one: one.keeper_rss,
    "descriptors": lambda one: one.descriptors,
    "threads": lambda one: one.threads,
    "keepers": lambda one: one.keepers,
    "files in tmp": lambda one: one.tmp_files,
}


def measure(sandbox: Sandbox, supervisor: int) -> Usage:
    """Measure from outside, while no run lives and the spare keepers have exited."""
    ours = instance(sandbox)
    (fork_server,) = (pid for pid in children(supervisor) if pid in pids_of_instance(ours))
    keepers = [pid for pid in children(fork_server) if not is_dead(pid)]
    family = (supervisor, fork_server, *keepers)
    return Usage(
        supervisor_rss=_status(supervisor, "VmRSS:") * 1024,
        fork_server_rss=_status(fork_server, "VmRSS:") * 1024,
        keeper_rss=sum(_status(pid, "VmRSS:") for pid in keepers) * 1024 // len(keepers),
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in family),
        threads=sum(_status(pid, "Threads:") for pid in family),
        keepers=len(keepers),
        tmp_files=len(os.listdir(sandbox.state / "tmp")),
    )


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith(name))


def ask(sandbox: Sandbox, job: str) -> None:
    """Request a run of the job with POST, on its own connection."""
    client = http.client.HTTPConnection("localhost")
    client.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(client):
        client.sock.connect(str(sandbox.socket))
        client.request("POST", f"/v1/jobs/{job}/run", "{}", {"Content-Type": "application/json"})
        assert client.getresponse().status == 202, job


def run_rounds(sandbox: Sandbox, supervisor: int) -> list[Usage]:
    """Run all rounds and return the measurements."""
    measured = []
    for number in range(1, ROUNDS + 1):
        for job in NAMES:
            ask(sandbox, job)
        until(lambda: rows(sandbox, OPEN) == [(0,)], within_s=60)
        until(lambda: raw_client.status(sandbox)["pool"]["running"] == 0, within_s=20)
        if number % EVERY == 0:
            measured.append(measure(sandbox, supervisor))
    return measured


def test_nine_thousand_runs_leave_the_service_as_it_was(figures: Figures) -> None:
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "small.py").write_text(WORKER)
        sandbox.environ["PYTHONPATH"] = str(sandbox.root)
        with supervised(sandbox) as supervisor:
            began = time.perf_counter()
            measured = run_rounds(sandbox, supervisor.pid)
            figures.add("rounds", f"{ROUNDS} in {time.perf_counter() - began:.0f} s")
            mark = instance(sandbox)

        states = rows(sandbox, "SELECT state, count(*) FROM runs GROUP BY state ORDER BY state")
        figures.add("runs", ", ".join(f"{count} {state}" for state, count in states))
        assert dict(states) == {"failed": ROUNDS, "success": ROUNDS * (len(NAMES) - 1)}
        assert pids_of_instance(mark) == []
    check_growth(measured, figures)


def check_growth(measured: list[Usage], figures: Figures) -> None:
    """Compare the third quarter with the last; the first measurement is reported too."""
    quarter = len(measured) // 4
    grown = []
    for name, of in QUANTITIES.items():
        third = statistics.mean(map(of, measured[2 * quarter : 3 * quarter]))
        last = statistics.mean(map(of, measured[-quarter:]))
        figures.add(name, f"{_short(of(measured[0]))} -> {_short(third)} -> {_short(last)}")
        grown += [name] * (last > third * GROWN)
    assert grown == []


def _short(value: float) -> str:
    return f"{value / 1e6:.1f} MB" if value > 1e5 else f"{value:.1f}"
