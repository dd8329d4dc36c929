"""Hundreds and thousands of simulated hosts: their real statements over few connections.

Each simulated host looks (glance.py) and sends heartbeats at its own times, spread over the
interval. Measured are the server's CPU, how late looks begin, and a leader's look at all hosts.
"""

import threading
import time
from pathlib import Path
from typing import Any

import cluster_hosts
import measured as m
from measured import ALL, Measured

from supervisor.cluster import engine, glance, install, leader_look, session
from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.dead_hosts import DeadHosts
from supervisor.cluster.server_clock import ServerClock
from supervisor.core.config_model import Cluster

SCHEMA, LINES, SECONDS, BEAT_S = "nightshift_growth", 8, 15.0, 5.0
# Hosts, and the seconds between two looks of each.
SIZES = ((100, 1.0), (1000, 1.0), (3000, 5.0))


def growth(folder: Path, server: Any, times: dict[str, str], found: Measured) -> None:
    """Measure the server with growing numbers of idle hosts."""
    with session.connect(server.dsn, SCHEMA) as db:
        install.install(db, SCHEMA, None)
        db.execute(f'SET search_path = "{SCHEMA}"')
        db.execute("INSERT INTO configs (sha256, host) VALUES ('5e', 'h0')")
        workers: list[int] = []
        for hosts, every_s in SIZES:
            workers += [joined(db, number) for number in range(len(workers), hosts)]
            measure_hosts(db, server, workers, every_s, found)


def joined(db: session.Connection, number: int) -> int:
    """Return the worker of a new host."""
    worker = engine.register(db)
    db.execute(
        "INSERT INTO hosts (name, uid, worker, version, labels, places, may_lead, config,"
        " fence_seconds) VALUES (%s, 'u', %s, '', %s, 3, true, 1, 40)",
        (f"h{number}", worker, f"host:h{number}"),
    )
    return worker


def measure_hosts(
    db: session.Connection, server: Any, workers: list[int], every_s: float, found: Measured
) -> None:
    """Let these hosts look and send heartbeats for a while; add the measurements."""
    pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    late: list[float] = []
    begin = time.monotonic() + 0.5
    parts = [workers[first::LINES] for first in range(LINES)]
    threads = [
        threading.Thread(target=look_and_beat, args=(server.dsn, part, every_s, begin, late))
        for part in parts
    ]
    for each in threads:
        each.start()
    cpu_s, watch = cluster_hosts.backend_cpu_s(pid), DeadHosts(cluster("h0"), ())
    looks, clock = [], ServerClock()
    while time.monotonic() < begin + SECONDS:
        before = time.monotonic()
        seen = leader_look.look(db, workers[0], [], (), clock)
        watch.look(seen.hosts if seen else (), before)
        looks.append(time.monotonic() - before)
        time.sleep(1.0)
    for each in threads:
        each.join()
    share = (cluster_hosts.backend_cpu_s(pid) - cpu_s) / (time.monotonic() - begin)
    name = f"{len(workers):,} hosts"
    found.add(f"cluster {name}: PostgreSQL", ALL, "hosts", share)
    found.add(f"cluster {name}: look", ALL, "hosts", sorted(looks)[len(looks) // 2])
    found.add(f"cluster {name}: late {m.P99}", ALL, "hosts", *late)


def look_and_beat(
    dsn: str, workers: list[int], every_s: float, begin: float, late: list[float]
) -> None:
    """Look and send heartbeats for these hosts at their times, over one connection."""
    plan = [
        (begin + (number + place / len(workers)) * pause_s, worker, pause_s == every_s)
        for place, worker in enumerate(workers)
        for pause_s in {every_s, BEAT_S}
        for number in range(round(SECONDS / pause_s))
    ]
    with session.connect(dsn, SCHEMA) as db:
        for instant, worker, is_look in sorted(plan):
            time.sleep(max(0.0, instant - time.monotonic()))
            late.append(time.monotonic() - instant)
            if is_look:
                glance.look(db, settings_of(worker), leads=False)
            if not is_look or every_s == BEAT_S:
                engine.beat(db, worker)


def cluster(host: str) -> Cluster:
    """Return the block of a host."""
    return Cluster("", "growth", host)


def settings_of(worker: int) -> AgentSettings:
    """Return the settings of a simulated host."""
    return AgentSettings("", "/state", "", 3, cluster(f"h{worker}"))
