"""Costs of files for growth.py: a ledger with many runs, a folder with many backups."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from growth_core import cpu_s

from supervisor.core.config_model import History as Limits
from supervisor.core.model import Attempt, Run, State, Trigger
from supervisor.ledger.queries import History, RunFilter
from supervisor.ledger.rows import ATTEMPTS, RUNS
from supervisor.ledger.store import Store
from workers import backup
from workers.backup import listing
from workers.report import Report
from workers.rotation import retention

BEGAN = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=30)
JOBS = 100
_KEEP_ALL = Limits(days=10_000, runs=10**9)


def of_runs(number: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the cost of a start, a purge and history queries with this many runs."""
    fill(folder, number)
    yield "start", cpu_s(lambda: Store(folder).close())
    store = Store(folder)
    while not store.purge(_KEEP_ALL, BEGAN).is_done:
        pass
    store.purge_logs(_KEEP_ALL.log_bytes, BEGAN)
    yield "purge, nothing to do", cpu_s(lambda: purge(store))
    store.close()
    with closing(History(folder)) as history:
        yield "history", cpu_s(lambda: history.runs(RunFilter()))
        yield "history of a job", cpu_s(lambda: history.runs(RunFilter(job="job-07")))
        yield "history --state failed", cpu_s(lambda: history.runs(RunFilter(state="failed")))
        yield "explain", cpu_s(lambda: explained(history, number))


def purge(store: Store) -> None:
    """Purge as the service does once a minute."""
    store.purge(_KEEP_ALL, BEGAN)
    store.purge_logs(_KEEP_ALL.log_bytes, BEGAN)


def explained(history: History, number: int) -> None:
    """Read what `nightshift explain JOB --at TIME` needs, in the middle of the history."""
    run = history.run(number // 2)
    assert run is not None
    assert history.runs_at(run.job, run.due)
    history.attempts(run.id)
    history.gap_at(run.job, run.due)


def fill(folder: Path, number: int) -> None:
    """Write a ledger with this many runs of JOBS jobs; one run in a hundred failed."""
    Store(folder).close()
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        db.execute("PRAGMA synchronous = OFF")
        with db:
            db.executemany(RUNS.upsert, (RUNS.encode(a_run(n)) for n in range(1, number + 1)))
            attempts = (Attempt(n, 1, BEGAN, 5, BEGAN) for n in range(1, number + 1))
            db.executemany(ATTEMPTS.upsert, (ATTEMPTS.encode(each) for each in attempts))


def a_run(number: int) -> Run:
    """Return a run of the slot of its turn."""
    due = BEGAN + timedelta(seconds=number // JOBS)
    state = State.SUCCESS if number % 97 else State.FAILED
    return Run(
        *(number, f"job-{number % JOBS:02d}", due, Trigger.SCHEDULE, state, due),
        attempt=1, opened_at=due, started_at=due, ended_at=due, log_bytes=number % 3,
    )  # fmt: skip


def of_backups(number: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the cost of listing a folder and planning a rotation with this many backups."""
    database, copies = folder / "a.sqlite3.db", folder / "copies"
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE t (a)")
    wanted = backup.Params(database, copies)
    now = datetime.now(UTC)
    backup.run(wanted, Report(lambda _: None, now))
    multiply(copies, number, now)
    found = listing.list_backups(copies)
    assert len(found) == number
    yield "backups", cpu_s(lambda: listing.list_backups(copies))
    policy = retention.Policy(last=7, daily=7, monthly=12)
    yield "plan of a rotation", cpu_s(lambda: retention.plan(found, policy, now, ZoneInfo("UTC")))


def multiply(copies: Path, number: int, now: datetime) -> None:
    """Copy the only backup of a folder, with its companion files, under names of earlier hours."""
    (made,) = listing.list_backups(copies)
    stamp = f"{made.taken_at:%Y-%m-%dT%H-%M-%SZ}"
    for hours in range(1, number):
        taken = f"{made.taken_at - timedelta(hours=hours):%Y-%m-%dT%H-%M-%SZ}"
        for path in copies.glob(f"{made.path.name}*"):
            copy = copies / path.name.replace(stamp, taken)
            if path == made.path:
                shutil.copyfile(path, copy)
            else:
                copy.write_text(path.read_text().replace(made.path.name, copy.name))
