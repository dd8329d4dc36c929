"""Today's service takes over a state folder that release 0.1.0 wrote until it was killed.

The release runs from git's history. It leaves everything a service can leave: history, runs
that are running, retrying and pending, a pause, an incident with an undelivered alert, one that
is acknowledged, a backup, and a change log of replication with a row in it. Twenty minutes
later today's service starts in the same folder, and loses nothing.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from supervisor.ledger.migrations import SCHEMA_VERSION
from tests.acceptance import raw_client
from tests.acceptance.clock import Clock, reach
from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
from tests.acceptance.ledger_reader import MINUTE, missing, outcomes, rows
from tests.drills.conftest import Figures
from tests.drills.released import Released, code_of
from tests.waiting import until
from tests.webhook import Webhook

pytestmark = pytest.mark.timeout(300)

TWO = datetime(2026, 2, 9, 2, tzinfo=UTC)
LATER = TWO + 20 * MINUTE
JOBS = """
timezone: UTC
max_concurrent: 5
shutdown_grace: 300ms
defaults: {kill_grace: 300ms}
notify: {slack: "%s"}
jobs:
  minutely: {command: ["true"], cron: "* * * * *"}
  loud: {command: "test -e repaired", cron: "0 2 * * *"}
  silenced: {command: "test -e repaired", cron: "0 2 * * *"}
  retried: {command: "test -e repaired", cron: "0 2 * * *", retries: 3, retry_delay: 10m}
  long: {command: "test -e repaired || sleep 900", cron: "0 2 * * *", exclusive: data}
  behind: {command: ["true"], cron: "0 2 * * *", exclusive: data}
  paused: {command: ["true"], cron: "10 2 * * *"}
  backup:
    worker: backup.run
    with: {database: shop.sqlite3, directory: backups}
  rotate:
    worker: rotation.run
    with: {directory: backups}
  replicate:
    worker: replication.run
    with: {database: shop.sqlite3, postgres: "%s", capture: triggers}
"""
OPEN = {"long": "running", "retried": "retrying", "behind": "pending"}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return code_of("0.1.0", tmp_path)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as hook:
        yield hook


def execute_in_shop(sandbox: Sandbox, *statements: str) -> list[tuple[Any, ...]]:
    """Execute statements in the source database and return the rows of the last one."""
    found: list[tuple[Any, ...]] = []
    with closing(sqlite3.connect(sandbox.root / "shop.sqlite3")) as shop:
        for statement in statements:
            found = shop.execute(statement).fetchall()
        shop.commit()
    return found


def table(path: Path, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query of an old ledger, by column."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        ledger.row_factory = sqlite3.Row
        return [dict(row) for row in ledger.execute(query)]


def run_until_killed(sandbox: Sandbox, old: Released, clock: Clock, hook: Webhook) -> None:
    """Run the release until it is killed while jobs run, retry and wait."""
    hook.always(503)
    execute_in_shop(
        sandbox,
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO goods VALUES (1, 'lamp'), (2, 'bridge')",
    )
    with old.serving() as service:
        old.says("run", "backup", "--wait")
        old.says("run", "replicate", "--wait")
        execute_in_shop(sandbox, "INSERT INTO goods VALUES (3, 'chair')")
        old.says("pause", "paused", "--for", "3d", "--reason", "moving")
        reach(sandbox, clock, service, TWO)
        for job, state in {**OPEN, "loud": "failed", "silenced": "failed"}.items():
            until(lambda j=job, s=state: outcomes(sandbox, j).get(TWO, "").startswith(s), LIMIT_S)
        until(lambda: "success" in outcomes(sandbox, "minutely").get(TWO, ""), LIMIT_S)
        refused = "SELECT 1 FROM outbox WHERE delivered_at IS NULL AND attempts > 0"
        until(lambda: rows(sandbox, refused), LIMIT_S)  # the others wait behind it, in order
        ((incident,),) = rows(sandbox, "SELECT id FROM incidents WHERE job = 'silenced'")
        old.says("incidents", "ack", str(incident), "--for", "3d", "--reason", "known")


def test_a_state_folder_of_the_release_goes_on_without_loss(
    code: Path, hook: Webhook, postgres: str, figures: Figures
) -> None:
    with Sandbox(JOBS % (hook.url, postgres)) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:58:30")
        run_until_killed(sandbox, Released(sandbox, code), clock, hook)
        triggers = execute_in_shop(sandbox, "SELECT name, sql FROM sqlite_master ORDER BY name")
        (sandbox.root / "repaired").touch()
        hook.always(200)
        asked = len(hook.calls)
        clock.set(LATER.strftime("%Y-%m-%d %H:%M:%S"))

        assert "no mistakes" in sandbox.says("check")
        with supervised(sandbox):
            for job in (*OPEN, "minutely"):
                slot = LATER if job == "minutely" else TWO
                until(lambda j=job, s=slot: "success" in outcomes(sandbox, j).get(s, ""), LIMIT_S)
            until(lambda: any("loud" in call.body for call in hook.calls[asked:]), LIMIT_S)
            check_data(sandbox, postgres, triggers)
            status = raw_client.status(sandbox)

        check_ledger(sandbox, figures)
        (paused,) = [job for job in status["jobs"] if job["name"] == "paused"]
        assert paused["paused_until"].startswith("2026-02-12")
        assert status["config"]["problems"] == []
        figures.add("alerts that had waited", len(hook.calls) - asked)


def check_ledger(sandbox: Sandbox, figures: Figures) -> None:
    """Check that every row is there, ended rows are unchanged, and open ones have ended."""
    ((copy,), now) = (
        list(sandbox.state.glob("ledger-v*.sqlite3")),
        sandbox.state / "ledger.sqlite3",
    )
    kept = {run["id"]: run for run in table(now, "SELECT * FROM runs")}
    runs = table(copy, "SELECT * FROM runs")
    ended = [run for run in runs if run["ended_at"]]
    for run in ended:
        assert {name: kept[run["id"]][name] for name in run} == run
    for run in (run for run in runs if not run["ended_at"]):
        assert kept[run["id"]]["state"] == "success", run["job"]
        assert (kept[run["id"]]["job"], kept[run["id"]]["slot"]) == (run["job"], run["slot"])
    assert {run["job"] for run in runs if not run["ended_at"]} == set(OPEN)
    ((silenced, acked),) = rows(
        sandbox, "SELECT count, acked_until FROM incidents WHERE job = 'silenced'"
    )
    assert silenced == 1
    assert acked.startswith("2026-02-12")
    assert missing(sandbox, "minutely", TWO - MINUTE, LATER, MINUTE) == []
    assert outcomes(sandbox, "paused")[TWO + 10 * MINUTE].startswith("skipped")
    assert rows(sandbox, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    figures.add("ledger", f"{copy.name}, {len(runs)} runs, {len(ended)} of them ended")


def check_data(sandbox: Sandbox, postgres: str, triggers: list[tuple[Any, ...]]) -> None:
    """Check that the copy is valid, the change log continues, and both sides are equal."""
    assert "damaged" not in sandbox.says("backups", "verify", "--all")
    sandbox.says("backups", "restore", "latest", "--target", "look.sqlite3")
    with closing(sqlite3.connect(sandbox.root / "look.sqlite3")) as look:
        assert look.execute("SELECT count(*) FROM goods").fetchone() == (2,)
    sandbox.says("run", "rotate", "--wait")
    assert len(list((sandbox.root / "backups").glob("*.gz"))) == 1

    sandbox.says("run", "replicate", "--wait")
    (run, *_) = sandbox.json("history", "replicate")["runs"]
    assert run["state"] == "success"
    assert run["result"]["inserted"] == 1, run["result"]
    assert (
        execute_in_shop(sandbox, "SELECT name, sql FROM sqlite_master ORDER BY name") == triggers
    )
    with psycopg.connect(postgres) as target:
        names = target.execute("SELECT id, name FROM goods ORDER BY id").fetchall()
    assert names == [(1, "lamp"), (2, "bridge"), (3, "chair")]


def test_the_shipped_jobs_of_the_release_are_accepted(code: Path) -> None:
    with Sandbox((code / "jobs.yaml").read_text()) as sandbox:
        assert "8 jobs, no mistakes" in sandbox.says("check")
