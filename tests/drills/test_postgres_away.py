"""PostgreSQL is gone for an hour at the hour of replication.

The shipped jobs, a webhook and a server of its own that is stopped. Replication
retries, fails, and opens one incident; the rounds of that hour call the service
degraded and go on. The next day's run makes the replica equal, and one recovery
is reported. Until then nobody receives of it a second time.
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
    """A living supervisor, and the hand at its clock."""

    def __init__(self, sandbox: Sandbox, clock: Clock, supervisor: int) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.supervisor = supervisor

    def live_through(self, slot: datetime) -> None:
        """This quarter begins, and all that is due has ended."""
        self.clock.set((slot - timedelta(milliseconds=100)).strftime("%Y-%m-%d %H:%M:%S.%f"))
        os.kill(self.supervisor, signal.SIGCHLD)  # it looks at its clock, and does nothing else
        until(lambda: self.state(HEALTH, slot) and rows(self.sandbox, OPEN) == [], within_s=90)

    def state(self, job: str, slot: datetime) -> str:
        """Of the run of this slot; "" before there is one."""
        query = "SELECT state FROM runs WHERE job = ? AND slot = ?"
        found = rows(self.sandbox, query, job, slot.isoformat())
        return str(found[0][0]) if found else ""

    def health(self, slot: datetime) -> str:
        """The word of the round of this slot."""
        query = "SELECT result_json FROM runs WHERE job = ? AND slot = ?"
        ((result,),) = rows(self.sandbox, query, HEALTH, slot.isoformat())
        return str(json.loads(result)["word"])


def test_postgres_is_away_for_an_hour(
    own_postgres: embedded_postgres.Server, figures: Figures
) -> None:
    with Webhook() as hook, shipped.shipped(own_postgres.dsn) as sandbox:
        sandbox.environ["NOTIFICATION_WEBHOOK_URL"] = hook.url
        shipped.feed(sandbox, sets=10, cards=400)
        clock = Clock(sandbox, "2026-02-10 03:30:10")
        shipped.run_all(sandbox)
        with supervised(sandbox) as supervisor:
            service = Service(sandbox, clock, supervisor.pid)
            service.live_through(FOUR - QUARTER)
            before = service.health(FOUR - QUARTER)

            own_postgres.stop()
            hour = [FOUR + n * QUARTER for n in range(5)]
            for slot in hour:
                service.live_through(slot)
            words = [service.health(slot) for slot in hour]
            states = [service.state(JOB, FOUR)]

            own_postgres.start()
            shipped.feed(sandbox, sets=11, cards=500)
            service.live_through(FOUR + DAY - QUARTER)
            service.live_through(FOUR + DAY)
            states.append(service.state(JOB, FOUR + DAY))
            after = service.health(FOUR + DAY)
            # A quarter of an hour after the end of the run, which is some seconds after its slot.
            service.live_through(FOUR + DAY + 2 * QUARTER)
            until(lambda: ("recovered",) in rows(sandbox, DELIVERED, JOB), within_s=40)

        figures.tell(
            "health before, meanwhile, after", f"{before}, {len(words)} rounds {words[0]}, {after}"
        )
        assert states == ["failed", "success"]
        assert "degraded" not in (before, after)
        assert set(words) == {"degraded"}
        judge(sandbox, hook, figures)
        assert (
            fixtures_replication.unequal(sandbox.root / shipped.DATABASE, own_postgres.dsn) == {}
        )


def judge(sandbox: Sandbox, hook: Webhook, figures: Figures) -> None:
    """One failure after all its attempts, one incident, two messages."""
    query = "SELECT attempt, retries_used, cause FROM runs WHERE job = ? AND slot = ?"
    ((attempts, retries, cause),) = rows(sandbox, query, JOB, FOUR.isoformat())
    assert (attempts, retries) == (3, 2)
    assert "PostgreSQL" in cause
    ((kind, count, closed),) = rows(
        sandbox, "SELECT kind, count, closed_at FROM incidents WHERE job = ?", JOB
    )
    assert (count, bool(closed)) == (1, True)
    assert rows(sandbox, DELIVERED, JOB) == [("opened",), ("recovered",)]
    figures.tell("messages", len(hook.calls))
    assert rows(sandbox, "SELECT count(*) FROM incidents WHERE closed_at IS NULL") == [(0,)]
    figures.tell("the run", f"{attempts} attempts, {cause[:90]}")
    figures.tell("the incident", f"{kind}, opened and recovered, reported once each")
