"""Take attempts back that no host has fetched: they are handed out again, or wait.

Each function works in the transaction of the caller, adds what follows to `done`, and
raises psycopg.Error.
"""

from collections.abc import Mapping
from dataclasses import replace

from supervisor.cluster import engine
from supervisor.cluster.exchange_state import Done, Given, Pair
from supervisor.cluster.session import Connection
from supervisor.core import events as ev
from supervisor.core.cluster_hosts import in_words


def withdraw(db: Connection, done: Done, run: int, attempt: int, fence: int) -> bool:
    """Take an attempt back; return False if a host has fetched it."""
    if not engine.withdraw(db, fence):
        return False
    db.execute("DELETE FROM assignments WHERE run = %s AND attempt = %s", (run, attempt))
    done.ended.append((run, attempt))
    return True


def of_older_texts(db: Connection, config: int, done: Done, at: ev.At) -> None:
    """Take back what waits under an older text: hosts look for that of the newest alone."""
    found = db.execute(
        "SELECT run, attempt, fence FROM assignments AS given"
        " JOIN procrastinate_jobs AS job ON job.id = fence AND status = 'todo'"
        " JOIN queues ON queues.name = queue_name AND config <> %s",
        (config,),
    ).fetchall()
    for run, attempt, fence in found:
        if withdraw(db, done, run, attempt, fence):
            done.events.append(ev.NotBegun(at, run, attempt))


def overdue(known: Mapping[Pair, Given], lease_s: float, at: ev.At) -> dict[Pair, Given]:
    """Return what no host is known to have begun within a lease."""
    return {
        pair: given
        for pair, given in known.items()
        if not given.begun and at.mono - given.since_mono >= lease_s
    }


def of_no_host(
    db: Connection,
    config: int,
    lease_s: float,
    waiting: Mapping[Pair, Given],
    done: Done,
    at: ev.At,
) -> None:
    """Take back what no host has begun within a lease, if none has the labels."""
    hosts = _labels_of_hosts(db, config) if waiting else []
    for (run, attempt), given in waiting.items():
        if any(set(given.labels) <= labels for labels in hosts):
            continue  # such a host is busy
        if withdraw(db, done, run, attempt, given.fence):
            text = f"waited {lease_s:.0f}s for {in_words(given.labels)} to take it"
            done.events.append(ev.NotBegun(at, run, attempt, text))
        else:
            done.given[run, attempt] = replace(given, begun=True)


def _labels_of_hosts(db: Connection, config: int) -> list[set[str]]:
    found = db.execute(
        "SELECT labels FROM hosts WHERE worker IS NOT NULL AND config = %s", (config,)
    )
    return [set(filter(None, labels.split(","))) for (labels,) in found]
