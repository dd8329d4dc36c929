"""PostgreSQL is down for an hour when replication is due.

The shipped jobs, a webhook, and a PostgreSQL server that the drill stops. Replication
retries, fails, and opens one incident. The health checks of that hour report `degraded` and
go on. The next day's run makes the replica equal, and one recovery is sent. No other message
about it is sent.
"""

import json
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from scripts import embedded_postgres
from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import rows
from tests.drills import shipped
from tests.drills.conftest import Figures
from tests.waiting import until
from tests.webhook import Webhook
from tests.workers import fixtures_replication

pytestmark = pytest.mark.timeout(240)

JOB, HEALTH = "replicate-to-pg", "database-health-check"
FOUR = datetime(2026, 2, 10, 4, tzinfo=UTC)  # a Tuesday
QUARTER, DAY = timedelta(minutes=15), timedelta(days=1)
DELIVERED = "SELECT word FROM outbox WHERE job = ? AND delivered_at NOT NULL ORDER BY id"
OPEN = "SELECT job FROM runs WHERE state IN ('pending', 'running', 'retrying')"


class Service:
    """A running supervisor and its clock."""

    def __init__(self, sandbox: Sandbox, clock: Clock, supervisor: int) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.supervisor = supervisor

    def run_quarter(self, slot: datetime) -> None:
        """Set the clock to this slot and wait until every run that is due has ended."""
        self.clock.set((slot - timedelta(milliseconds=100)).strftime("%Y-%m-%d %H:%M:%S.%f"))
        os.kill(self.supervisor, signal.SIGCHLD)  # makes it read the clock and does nothing else
        until(lambda: self.state(HEALTH, slot) and rows(self.sandbox, OPEN) == [], within_s=90)

    def state(self, job: str, slot: datetime) -> str:
        """Return the state of the run of this slot; "" before there is one."""
        query = "SELECT state FROM runs WHERE job = ? AND slot = ?"
        found = rows(self.sandbox, query, job, slot.isoformat())
        return str(found[0][0]) if found else ""

    def health(self, slot: datetime) -> str:
        """Return the verdict of the health check of this slot."""
        query = "SELECT result_json FROM runs WHERE job = ? AND slot = ?"
        ((result,),) = rows(self.sandbox, query, HEALTH, slot.isoformat())
        return str(json.loads(result)["word"])


def test_postgres_is_away_for_an_hour(
    own_postgres: embedded_postgres.Server, figures: Figures
) -> None:
    with Webhook() as hook, shipped.shipped(own_postgres.dsn) as sandbox:
        sandbox.environ["NOTIFICATION_WEBHOOK_URL"] = hook.url
        shipped.write_catalogue(sandbox, sets=10, cards=400)
        clock = Clock(sandbox, "2026-02-10 03:30:10")
        shipped.run_all(sandbox)
        with supervised(sandbox) as supervisor:
            service = Service(sandbox, clock, supervisor.pid)
            service.run_quarter(FOUR - QUARTER)
            before = service.health(FOUR - QUARTER)

            own_postgres.stop()
            hour = [FOUR + n * QUARTER for n in range(5)]
            for slot in hour:
                service.run_quarter(slot)
            words = [service.health(slot) for slot in hour]
            states = [service.state(JOB, FOUR)]

            own_postgres.start()
            shipped.write_catalogue(sandbox, sets=11, cards=500)
            service.run_quarter(FOUR + DAY - QUARTER)
            service.run_quarter(FOUR + DAY)
            states.append(service.state(JOB, FOUR + DAY))
            after = service.health(FOUR + DAY)
            # A quarter of an hour after the end of the run, which is some seconds after its slot.
            service.run_quarter(FOUR + DAY + 2 * QUARTER)
            until(lambda: ("recovered",) in rows(sandbox, DELIVERED, JOB), within_s=40)

        figures.add(
            "health before, meanwhile, after", f"{before}, {len(words)} rounds {words[0]}, {after}"
        )
        assert states == ["failed", "success"]
        assert "degraded" not in (before, after)
        assert set(words) == {"degraded"}
        check_result(sandbox, hook, figures)
        assert (
            fixtures_replication.unequal(sandbox.root / shipped.DATABASE, own_postgres.dsn) == {}
        )


def check_result(sandbox: Sandbox, hook: Webhook, figures: Figures) -> None:
    """Check one failure after all its attempts, one incident and two messages."""
    query = "SELECT attempt, retries_used, cause FROM runs WHERE job = ? AND slot = ?"
    ((attempts, retries, cause),) = rows(sandbox, query, JOB, FOUR.isoformat())
    assert (attempts, retries) == (3, 2)
    assert "PostgreSQL" in cause
    ((kind, count, closed),) = rows(
        sandbox, "SELECT kind, count, closed_at FROM incidents WHERE job = ?", JOB
    )
    assert (count, bool(closed)) == (1, True)
    assert rows(sandbox, DELIVERED, JOB) == [("opened",), ("recovered",)]
    figures.add("messages", len(hook.calls))
    assert rows(sandbox, "SELECT count(*) FROM incidents WHERE closed_at IS NULL") == [(0,)]
    figures.add("the run", f"{attempts} attempts, {cause[:90]}")
    figures.add("the incident", f"{kind}, opened and recovered, reported once each")
