"""Make a cluster of a running single host, and a single host of a cluster again.

Marks, pauses, incidents, waiting alerts, remembered runs and their numbers move; what a
run has printed stays where it is and is found by its number. Both hold the lock of the
state folder, so no supervisor runs meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from supervisor.cluster.session import Connection
from supervisor.cluster.shared_ledger import Leadership, SharedLedger, write_rows
from supervisor.ledger.file import open_ledger
from supervisor.ledger.rows import TABLES
from supervisor.state_dir import StateDir, put_aside

_AT_ONCE = 1000
_META = ("paused", "last_tick")
_OUTPUTS = ("log", "log.1", "log.2")


class TransferError(Exception):
    """Why nothing was moved; the text says what to do."""


def take(db: Connection, state: Path, host: str) -> int:
    """Copy the ledger in a state folder into a new cluster; return the number of runs.

    Raises: TransferError, StateDirError, sqlite3.Error, psycopg.Error.
    """
    lock = StateDir(state).lock()
    try:
        with closing(open_ledger(state / "ledger.sqlite3")) as ledger, db.transaction():
            row = db.execute("SELECT EXISTS (SELECT 1 FROM runs)").fetchone()
            if row is None or row[0]:
                raise TransferError("the cluster has runs already: only an empty one can take")
            for table in TABLES.values():
                found = ledger.execute(table.select())
                while rows := found.fetchmany(_AT_ONCE):
                    write_rows(db, table, rows, 1)
            for key, value in ledger.execute("SELECT key, value FROM meta"):
                if key in _META:
                    db.execute("INSERT INTO meta VALUES (%s, %s)", (key, value))
            db.execute("UPDATE shared SET value = '1' WHERE key = 'turn'")
            # Where the output of these runs lies; a fence below 0 is no job of the engine.
            db.execute(
                "INSERT INTO assignments (run, attempt, fence, job, body, host, local_run,"
                " ended_at) SELECT id, attempt, -id, job, '{}', %s, id, now() FROM runs"
                " WHERE attempt > 0",
                (host,),
            )
            count = db.execute("SELECT count(*) FROM runs").fetchone()
            return 0 if count is None else int(count[0])
    finally:
        os.close(lock)


def leave(db: Connection, dsn: str, schema: str, state: Path, host: str) -> tuple[int, list[Path]]:
    """Make the cluster's ledger that of a state folder.

    Returns the number of runs, and what was set aside: the host's own ledger and outputs.

    Raises: TransferError, StateDirError, OSError, sqlite3.Error, psycopg.Error.
    """
    row = db.execute(
        "SELECT string_agg(name, ', ') FROM hosts WHERE worker IS NOT NULL"
    ).fetchone()
    if row is not None and row[0]:
        raise TransferError(f"{row[0]} may be alive: stop the hosts, and wait for their leases")
    lock = StateDir(state).lock()
    try:
        made = state / "ledger.from-cluster"
        made.unlink(missing_ok=True)
        with closing(open_ledger(made)) as ledger:
            shared = SharedLedger(dsn, schema, Leadership(0, 0, 0))
            shared.copy_to(ledger, -1)
            shared.drop()
            count = ledger.execute("SELECT count(*) FROM runs").fetchone()[0]
            ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        aside = [put_aside(path) for path in _own(state)]
        (state / "runs").mkdir(mode=0o700)
        outputs = next((path for path in aside if path.name.startswith("runs.")), None)
        if outputs is not None:
            _link_outputs(db, outputs, state / "runs", host)
        for end in ("-wal", "-shm"):
            Path(f"{made}{end}").unlink(missing_ok=True)
        os.rename(made, state / "ledger.sqlite3")
        return int(count), aside
    finally:
        os.close(lock)


def _own(state: Path) -> Iterator[Path]:
    for name in ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "runs"):
        if (state / name).exists():
            yield state / name


def _link_outputs(db: Connection, outputs: Path, runs: Path, host: str) -> None:
    """Give the outputs that lie on this host the numbers that their runs have."""
    found = db.execute(
        "SELECT run, local_run FROM assignments WHERE host = %s AND local_run IS NOT NULL"
        " ORDER BY attempt",
        (host,),
    )
    for run, local_run in found:
        for end in _OUTPUTS:
            source, target = outputs / f"{local_run}.{end}", runs / f"{run}.{end}"
            if source.exists():
                target.unlink(missing_ok=True)
                os.link(source, target)
