"""A new service starts with the ledger of an older one that was killed while jobs ran.

The older one wrote version 1 (`ledger_v1.sql`, dumped by its own SQLite): a success, a failure
with an incident and an undelivered alert, and three open runs - running, retrying, and pending
behind the running one. Nine minutes later the new one starts. It copies the ledger, migrates
it, settles the open runs, goes on, and loses nothing. The next day closes the incident.
"""

import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from supervisor.ledger.migrations import SCHEMA_VERSION
from tests.acceptance.clock import Clock, reach
from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
from tests.acceptance.ledger_reader import MINUTE, missing, outcomes, rows
from tests.drills.conftest import Figures
from tests.waiting import until
from tests.webhook import Webhook

pytestmark = pytest.mark.timeout(300)

DUMP = Path(__file__).with_name("ledger_v1.sql")
TWO = datetime(2026, 2, 9, 2, tzinfo=UTC)
NINE_PAST = TWO + 9 * MINUTE
NEXT_DAY = TWO + timedelta(days=1)
JOBS = """
shutdown_grace: 300ms
defaults: {kill_grace: 300ms}
notify: {slack: "%s"}
jobs:
  sets: {command: ["true"], cron: "0 2 * * *"}
  cards: {command: ["true"], cron: "0 2 * * *"}
  report: {command: ["true"], cron: "0 2 * * *", deps: [cards]}
  backup: {command: ["true"], cron: "0 2 * * *", retries: 3, retry_delay: 10m}
  loud: {command: ["true"], cron: "0 2 * * *"}
  minutely: {command: ["true"], cron: "* * * * *"}
"""
DAILY = ("sets", "cards", "report", "backup", "loud")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as hook:
        yield hook


def with_another_mark(dump: str) -> str:
    """Return the dump with another instance mark.

    With the same mark, two drills at the same time would kill each other's runs as strays.
    """
    marked, count = re.subn(r"'instance','\w+'", f"'instance','{secrets.token_hex(16)}'", dump)
    assert count == 1
    return marked


def tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of an old ledger, by table."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        names = ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: ledger.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}


def ending(sandbox: Sandbox, run: int) -> tuple[Any, ...]:
    """Return state, attempts, interruptions and retries of a run."""
    query = "SELECT state, attempt, interruptions, retries_used FROM runs WHERE id = ?"
    (found,) = rows(sandbox, query, run)
    return found


def test_an_older_ledger_with_failures_goes_on_and_loses_nothing(
    hook: Webhook, figures: Figures
) -> None:
    with Sandbox(JOBS % hook.url) as sandbox:
        sandbox.state.mkdir(mode=0o700)
        path = sandbox.state / "ledger.sqlite3"
        with closing(sqlite3.connect(path)) as ledger:
            ledger.executescript(with_another_mark(DUMP.read_text()))
        before = tables(path)
        clock = Clock(sandbox, "2026-02-09 02:08:59")

        with supervised(sandbox) as supervisor:
            until(lambda: ending(sandbox, 4)[0] == "success", within_s=LIMIT_S)
            until(lambda: NINE_PAST in outcomes(sandbox, "minutely"), within_s=LIMIT_S)
            reach(sandbox, clock, supervisor, NEXT_DAY)
            for job in (*DAILY, "minutely"):
                until(
                    lambda job=job: "success" in outcomes(sandbox, job).get(NEXT_DAY, ""),
                    within_s=LIMIT_S,
                )
            sandbox.says("run", "loud", "--wait")  # the second success in a row sends the recovery
            until(lambda: any("loud" in call.body for call in hook.calls), within_s=LIMIT_S)
            explained = sandbox.says("explain", "minutely", "--at", "2026-02-09 02:04")

        check_rows(sandbox, before, figures)
        check_alerts(sandbox, hook, figures)
        assert "no supervisor" in explained


def check_rows(
    sandbox: Sandbox, before: dict[str, list[tuple[Any, ...]]], figures: Figures
) -> None:
    """Check that the copy is the old ledger, and that each old row is there and has ended well."""
    copy = sandbox.state / "ledger-v1.sqlite3"
    assert tables(copy) == before
    assert rows(sandbox, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    columns = "id, job, due, trigger, slot, place, opened_at"
    kept = rows(sandbox, f"SELECT {columns} FROM runs WHERE id <= 6 ORDER BY id")
    with closing(sqlite3.connect(copy)) as old:
        assert kept == old.execute(f"SELECT {columns} FROM runs ORDER BY id").fetchall()
    assert rows(sandbox, "SELECT * FROM runs WHERE id IN (1, 5, 6)") == [
        (*row, "", "") for row in before["runs"] if row[0] in (1, 5, 6)
    ]
    assert ending(sandbox, 2) == ("success", 2, 1, 0)  # running: again, without using a retry
    assert ending(sandbox, 3) == ("success", 1, 0, 0)  # pending: after it
    assert ending(sandbox, 4) == ("success", 2, 0, 1)  # retrying: at its time
    assert rows(sandbox, "SELECT reason FROM attempts WHERE run = 2 AND number = 1") == [
        ("crash",)
    ]
    assert rows(sandbox, "SELECT run FROM attempts WHERE ended_at IS NULL") == []
    for job in DAILY:
        assert missing(sandbox, job, TWO, NEXT_DAY, timedelta(days=1)) == [], job
    assert missing(sandbox, "minutely", TWO, NEXT_DAY, MINUTE) == []
    figures.add("ledger", f"version 1 to {SCHEMA_VERSION}, {len(before['runs'])} runs kept")
    figures.add("runs afterwards", rows(sandbox, "SELECT count(*) FROM runs")[0][0])


def check_alerts(sandbox: Sandbox, hook: Webhook, figures: Figures) -> None:
    """Check that the old alert is withheld with a reason, and that the recovery is sent."""
    query = "SELECT word, withheld, delivered_at IS NOT NULL FROM outbox WHERE job = 'loud'"
    assert rows(sandbox, query + " ORDER BY id") == [
        ("opened", "written before alerts were delivered", 0),
        ("recovered", "", 1),
    ]
    assert rows(sandbox, "SELECT count, closed_at IS NULL FROM incidents WHERE id = 1") == [(1, 0)]
    figures.add("messages", len(hook.calls))
