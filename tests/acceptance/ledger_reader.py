"""Read a ledger from outside, and check that every slot has exactly one outcome."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from tests.acceptance.daemon import Sandbox

MINUTE = timedelta(minutes=1)


def rows(sandbox: Sandbox, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query, while the ledger is being written or after."""
    uri = f"file:{sandbox.state}/ledger.sqlite3?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=5)) as ledger:
        return ledger.execute(query, values).fetchall()


def instance(sandbox: Sandbox) -> str:
    """Return the instance mark of all processes of this state folder."""
    ((found,),) = rows(sandbox, "SELECT value FROM meta WHERE key = 'instance'")
    return str(found)


def outcomes(sandbox: Sandbox, job: str) -> dict[datetime, str]:
    """Return slot -> `state trigger` for each slot that has a run."""
    query = "SELECT slot, state, trigger FROM runs WHERE job = ? AND slot NOT NULL"
    found = rows(sandbox, query, job)
    return {datetime.fromisoformat(slot): f"{state} {trigger}" for slot, state, trigger in found}


def missing(
    sandbox: Sandbox, job: str, first: datetime, last: datetime, step: timedelta
) -> list[str]:
    """Return the slots first, first + step ... last that have neither a run nor a gap."""
    held = outcomes(sandbox, job)
    gaps = [
        (datetime.fromisoformat(since), datetime.fromisoformat(until))
        for since, until in rows(sandbox, "SELECT since, until FROM gaps WHERE job = ?", job)
    ]
    lost, slot = [], first
    while slot <= last:
        if slot not in held and not any(since < slot <= until for since, until in gaps):
            lost.append(slot.isoformat())
        slot += step
    return lost
