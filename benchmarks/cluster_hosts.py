"""Three hosts of a cluster for benchmarks, and the stock worker of Procrastinate as a peer.

Every body appends a line `NAME SECONDS` to one file when it starts, so all sides are timed by
the same clock and in the same way.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import cluster_trial

HOSTS = cluster_trial.HOSTS
SCHEMA = "nightshift_bench"
DEFAULTS = {"heartbeat": "5s", "fence": "30s", "lease": "60s"}
PATIENCE_S = 300.0
BODY = 'echo "$NIGHTSHIFT_JOB $(date +%s.%N)" >> "$NIGHTSHIFT_LINES"'
PLACES = 8
_STOCK = """
import asyncio, os, subprocess, sys
import procrastinate
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1]))
@app.task(name="touch")
def touch(name):
    body = 'echo "$0 $(date +%s.%N)" >> "$NIGHTSHIFT_LINES"'
    subprocess.run(["/bin/sh", "-c", body, name], check=True)
async def work():
    async with app.open_async():
        await app.run_worker_async(concurrency=int(sys.argv[2]), install_signal_handlers=False)
asyncio.run(work())
"""


@dataclass
class Hosts:
    """A cluster: its folder, the owner's DSN, and its supervisors by host."""

    trial: cluster_trial.Trial
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def starts(self) -> dict[str, float]:
        """Return when each body started last, in seconds since 1970."""
        pairs = (line.split() for line in self.trial.lines.read_text().splitlines())
        return {name: float(at) for name, at in pairs}

    def query(self, text: str) -> Any:
        """Return the first row of a query in the cluster's schema."""
        with psycopg.connect(self.trial.dsn, autocommit=True) as db:
            db.execute(f'SET search_path = "{SCHEMA}"')
            return db.execute(text).fetchone()

    def leader(self) -> str:
        """Return the host that leads, once all are alive and it answers."""
        wait(lambda: self.trial.leader() is not None, "a leader")
        return self.trial.leader() or ""


@contextlib.contextmanager
def cluster(
    folder: Path, dsn: str, jobs: dict[str, Any], times: dict[str, str]
) -> Iterator[Hosts]:
    """Run three hosts with these jobs; times: heartbeat, fence and lease."""
    folder.mkdir()
    trial = cluster_trial.Trial(folder, dsn)
    block = {"postgres": "${NIGHTSHIFT_CLUSTER_DSN}", "name": "bench",
             "host": "${NIGHTSHIFT_HOST}", **times}  # fmt: skip
    config = {"timezone": "UTC", "max_concurrent": PLACES, "cluster": block, "jobs": jobs}
    (folder / "jobs.yaml").write_text(json.dumps(config))
    trial.lines.touch()
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(f'DROP SCHEMA IF EXISTS "{SCHEMA}" CASCADE')
    status, text = trial.ask("a", "cluster", "init", dsn, "--name", "bench")
    if status:
        raise RuntimeError(text)
    with cluster_trial.hosts(trial) as running:
        found = Hosts(trial, running)
        found.leader()
        yield found


@contextlib.contextmanager
def stock_workers(folder: Path, dsn: str, lines: Path) -> Iterator[None]:
    """Run three stock workers, each with as many places as a host, on their own schema."""
    program = folder / "stock.py"
    program.write_text(_STOCK)
    environ = {**os.environ, "NIGHTSHIFT_LINES": str(lines)}
    command = [sys.executable, str(program), dsn, str(PLACES)]
    workers = [subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) for _ in HOSTS]
    try:
        yield
    finally:
        for each in workers:
            each.kill()
            each.wait()


def stock_dsn(dsn: str) -> str:
    """Return the DSN of a database with the engine's schema alone."""
    from procrastinate.schema import SchemaManager

    own = dsn.replace("dbname=postgres", "dbname=stock")
    with psycopg.connect(dsn, autocommit=True) as db:
        if db.execute("SELECT 1 FROM pg_database WHERE datname = 'stock'").fetchone() is None:
            db.execute("CREATE DATABASE stock")
            with psycopg.connect(own, autocommit=True) as made:
                made.execute(SchemaManager.get_schema())  # type: ignore[arg-type]
    return own


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, its ended children not included."""
    words = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(words[0]) / 1e9


def backend_cpu_s(server: int) -> float:
    """Return the CPU seconds of a PostgreSQL server's processes, ended ones included."""
    total = 0
    for pid in cluster_trial.descendants(server):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, words[11:13])) + (
                sum(map(int, words[13:15])) if pid == server else 0
            )
    return total / os.sysconf("SC_CLK_TCK")


def wait(condition: Callable[[], object], for_what: str) -> None:
    """Return when the condition holds. Raises: RuntimeError."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {PATIENCE_S:.0f}s for {for_what}")
        time.sleep(0.05)
