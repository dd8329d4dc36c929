"""What several hosts cost, compared with the engine's own worker.

    python benchmarks/cluster.py [--rounds N] [--only PART,...]
                                 [--full-times] [--values FILE]

Three hosts and a PostgreSQL server (scripts/embedded_postgres.py, in memory) on this machine.
Parts:

latency   a request to its start, on the leader's host, on another one, by a stock worker
burst     1,000 slots of one minute to the last start, and 1,000 jobs deferred to stock workers
idle      transactions a second and PostgreSQL's CPU, for each host, over a minute
takeover  the leading host is killed with all its processes: to the next leader, and to the
          start of the lost runs. Scaled times, or the defaults with --full-times (takes minutes)
growth    100, 1,000 and 3,000 simulated hosts: the server's CPU, late looks, a leader's look
tick      CPU of the leader for a full minute with 10,000 jobs not due
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cluster_growth
import cluster_hosts
import cluster_idle
import measured as m
import options
import psycopg
from cluster_hosts import (
    BODY,
    DEFAULTS,
    HOSTS,
    Hosts,
    cluster,
    cpu_s,
    stock_dsn,
    stock_workers,
    wait,
)
from measured import ALL, Measured
from memory import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import embedded_postgres

SCALED = {"heartbeat": "0.5s", "fence": "2s", "lease": "4s"}
REQUESTS, SLOTS, MANY = 30, 1000, 10_000
NEVER = "0 0 29 2 *"


def main() -> None:
    """Run the parts and print what was measured."""
    parser = options.parser(__doc__, "what several hosts cost", rounds=1)
    parser.add_argument("--only", type=names, default=list(PARTS))
    parser.add_argument("--full-times", action="store_true", help="takeover with the defaults")
    given = parser.parse_args()
    options.end_on_signals()
    found = Measured()
    times = DEFAULTS if given.full_times else SCALED
    for _ in range(given.rounds):
        for name in given.only:
            with (
                tempfile.TemporaryDirectory(prefix="nsb-", dir="/tmp") as folder,
                embedded_postgres.throwaway() as server,
            ):
                PARTS[name](Path(folder), server, times, found)
            found.save(given.values)
            print(f"{time.strftime('%H:%M:%S')} {name} is done", file=sys.stderr)
    print(f"medians of {given.rounds} rounds; {machine()}\n")
    for (row, cores, side), values in found.values.items():
        number = found.median_of(row, cores, side)
        print(f"{row:<44} {side:<12} {number:>10.4g}   ({len(values)} values)")


def names(text: str) -> list[str]:
    """Parse names of parts. Raises: argparse.ArgumentTypeError."""
    found = text.split(",")
    if strange := [each for each in found if each not in PARTS]:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(PARTS)}, got {strange[0]!r}")
    return found


def latency(folder: Path, server: Any, times: dict[str, str], found: Measured) -> None:
    """Measure from a request to the start of its body."""
    jobs = {f"on-{host}": {"command": BODY, "runs_on": [f"host:{host}"]} for host in HOSTS}
    with cluster(folder / "c", server.dsn, jobs, DEFAULTS) as hosts:
        leader = hosts.leader()
        other = next(host for host in HOSTS if host != leader)
        for side, host in (("same host", leader), ("other host", other)):
            for _ in range(REQUESTS):
                before = hosts.starts().get(f"on-{host}")
                hosts.trial.ask(leader, "run", f"on-{host}")
                wait(lambda: hosts.starts().get(f"on-{host}") != before, "a start")  # noqa: B023
                due = hosts.query("SELECT due FROM runs ORDER BY id DESC LIMIT 1")[0]
                late_s = hosts.starts()[f"on-{host}"] - datetime.fromisoformat(due).timestamp()
                add(found, "cluster start", side, late_s)
                wait(lambda: not open_runs(hosts), "its end")
    deferred(folder, server.dsn, found, REQUESTS, one_by_one=True)


def burst(folder: Path, server: Any, times: dict[str, str], found: Measured) -> None:
    """Measure a thousand slots of one minute, to the last start."""
    slot = int(time.time()) // 60 * 60 + 120
    minute = time.gmtime(slot).tm_min
    jobs = {f"j{n}": {"command": BODY, "cron": f"{minute} * * * *"} for n in range(SLOTS)}
    with cluster(folder / "c", server.dsn, jobs, DEFAULTS) as hosts:
        wait(lambda: len(hosts.starts()) == SLOTS, "all starts")
        add(found, "cluster burst", "hosts", max(hosts.starts().values()) - slot)
        add(found, "cluster burst first", "hosts", min(hosts.starts().values()) - slot)
        add(
            found,
            "cluster burst incidents",
            "hosts",
            hosts.query("SELECT count(*) FROM incidents")[0],
        )
    deferred(folder, server.dsn, found, SLOTS, one_by_one=False)


def takeover(folder: Path, server: Any, times: dict[str, str], found: Measured) -> None:
    """Kill the leading host; measure to the next leader, and to the start of what was lost."""
    jobs = {"long": {"command": f"{BODY}; sleep 600", "retry_delay": "1s"}}
    with cluster(folder / "c", server.dsn, jobs, times) as hosts:
        leader = hosts.leader()
        survivor = next(host for host in HOSTS if host != leader)
        while True:  # until it runs on the host that leads
            hosts.trial.ask(leader, "run", "long")
            wait(lambda: running_on(hosts), "a start")
            if running_on(hosts) == leader:
                break
            hosts.trial.ask(leader, "cancel", "long")
            wait(lambda: not open_runs(hosts), "its end")
        began, turn = (
            hosts.starts()["long"],
            hosts.query("SELECT value FROM shared WHERE key = 'turn'"),
        )
        killed = time.time()
        cluster_hosts.cluster_trial.kill_tree(hosts.running.pop(leader))
        wait(
            lambda: (
                hosts.query("SELECT value FROM shared WHERE key = 'leading_host'")[0] != leader
            ),
            "a leader",
        )
        add(found, "cluster takeover", "hosts", time.time() - killed)
        wait(
            lambda: hosts.query("SELECT value FROM shared WHERE key = 'turn'") != turn,
            "its first turn",
        )
        add(found, "cluster takeover turn", "hosts", time.time() - killed)
        wait(lambda: hosts.starts()["long"] != began, "the lost attempt")
        add(
            found,
            "cluster lost attempt",
            "hosts",
            hosts.starts()["long"] - killed,
        )
        hosts.trial.ask(survivor, "cancel", "long")


def tick(folder: Path, server: Any, times: dict[str, str], found: Measured) -> None:
    """Measure the leader's CPU for a full minute with 10,000 jobs of which none is due.

    From a second before it to a second after it, so a heartbeat may be in it.
    """
    jobs = {f"j{n}": {"command": BODY, "cron": NEVER} for n in range(MANY)}
    with cluster(folder / "c", server.dsn, jobs, DEFAULTS) as hosts:
        (pid,) = leader_pids(hosts)
        time.sleep(10)
        wait(lambda: time.time() % 60 >= 59, "second 59")
        before = cpu_s(pid)
        wait(lambda: 1 <= time.time() % 60 < 2, "the full minute")
        add(found, "cluster minute", "hosts", cpu_s(pid) - before)


def deferred(folder: Path, dsn: str, found: Measured, count: int, one_by_one: bool) -> None:
    """Measure the stock worker with the same body."""
    from procrastinate import App, SyncPsycopgConnector

    lines = folder / "stock-lines"
    lines.touch()
    own = stock_dsn(dsn)
    app = App(connector=SyncPsycopgConnector(conninfo=own))
    with stock_workers(folder, own, lines), app.open():
        wait(lambda: stock_workers_there(own), "three stock workers")
        defer = app.configure_task("touch")

        def starts() -> dict[str, float]:
            return {name: float(at) for name, at in map(str.split, lines.read_text().splitlines())}

        if one_by_one:
            for number in range(count):
                asked = time.time()
                defer.defer(name=f"s{number}")
                wait(lambda: f"s{number}" in starts(), "a start")  # noqa: B023
                add(found, "cluster start", "stock", starts()[f"s{number}"] - asked)
            return
        asked = time.time()
        defer.batch_defer(*({"name": f"s{number}"} for number in range(count)))
        wait(lambda: len(starts()) == count, "all starts")
        add(found, "cluster burst", "stock", max(starts().values()) - asked)


def stock_workers_there(dsn: str) -> bool:
    """Return whether all stock workers have registered."""
    with psycopg.connect(dsn) as db:
        row = db.execute("SELECT count(*) FROM procrastinate_workers").fetchone()
    return row is not None and row[0] >= len(HOSTS)


def open_runs(hosts: Hosts) -> int:
    """Return the number of runs that are open."""
    text = "SELECT count(*) FROM runs WHERE state IN ('pending', 'running', 'retrying')"
    return int(hosts.query(text)[0])


def running_on(hosts: Hosts) -> str:
    """Return the host on which the only attempt runs; "" if it has not begun."""
    row = hosts.query(
        "SELECT host FROM assignments WHERE local_run IS NOT NULL AND ended_at IS NULL"
    )
    return row[0] if row else ""


def leader_pids(hosts: Hosts) -> list[int]:
    """Return the process of the leader: the one that has cluster.leader on its command line."""
    root = hosts.running[hosts.leader()].pid
    tree = cluster_hosts.cluster_trial.descendants(root)
    return [pid for pid in tree if b"cluster.leader" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def add(found: Measured, row: str, side: str, value: float) -> None:
    """Add a value; of latencies also to the row of their 99th percentile."""
    found.add(row, ALL, side, value)
    if row == "cluster start":
        found.add(f"{row} {m.P99}", ALL, side, value)


PARTS: dict[str, Callable[[Path, Any, dict[str, str], Measured], None]] = {
    "growth": cluster_growth.growth,
    "latency": latency,
    "burst": burst,
    "idle": cluster_idle.idle,
    "takeover": takeover,
    "tick": tick,
}

if __name__ == "__main__":
    main()
