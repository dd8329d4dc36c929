"""The clock of one running service is set forward and back, several times.

An hour forward, an hour back, a day forward, two hours back until a user runs
`resume --from-now`, and forward again. Jobs record each slot they ran for. A slot runs twice
only if the user released it, or if the job is interval-like and the slot is in the repeated
hour. No slot lacks a record.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import A_MOMENT, NOTE, Clock, Clocked
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import MINUTE, missing, outcomes, rows
from tests.drills.conftest import Figures
from tests.waiting import until

pytestmark = pytest.mark.timeout(90)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = {"minutely": MINUTE, "five": 5 * MINUTE, "hourly": HOUR, "daily": DAY}
JOBS = f"""
max_concurrent: 8
jobs:
  minutely: {{{NOTE}, cron: "* * * * *"}}
  five: {{{NOTE}, cron: "*/5 * * * *"}}
  hourly: {{{NOTE}, cron: "0 * * * *"}}
  daily: {{{NOTE}, cron: "0 2 * * *"}}
"""
TWO = datetime(2026, 2, 9, 2, tzinfo=UTC)


class Service(Clocked):
    """A running service that the test takes through many minutes."""

    def run_minutes(self, first: datetime, minutes: int) -> None:
        """Take the clock through these minutes, each handled before the next one begins."""
        for slot in (first + n * MINUTE for n in range(minutes)):
            self.set(slot - A_MOMENT)
            self.until_ticked(slot)

    def until_all_ran(self, slot: datetime) -> None:
        """Wait for the minute's job and for all runs beside it."""
        self.until_ran("minutely", slot=slot)
        until(lambda: not raw_client.status(self.sandbox)["runs"])

    def incidents(self) -> list[str]:
        """Return the kinds of the open incidents."""
        return [each["kind"] for each in raw_client.status(self.sandbox)["incidents"]]


def test_the_clock_of_one_service_is_set_six_times(figures: Figures) -> None:
    with Sandbox(JOBS) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            service = Service(sandbox, clock, supervisor)
            last, released = set_six_times(service)

        for job, step in STEPS.items():
            assert missing(sandbox, job, TWO, last, step) == [], job
            twice = [slot for slot, times in Counter(service.ran(job)).items() if times > 1]
            assert all(times <= 2 for times in Counter(service.ran(job)).values())
            repeated = released if job == "daily" else (*released, (TWO, TWO + HOUR + MINUTE))
            for slot in map(datetime.fromisoformat, twice):
                assert any(since < slot <= until for since, until in repeated)
            query = "SELECT count(*) FROM runs WHERE job = ? AND state = 'success'"
            assert rows(sandbox, query, job) == [(len(service.ran(job)),)]
            report_job(sandbox, job, len(service.ran(job)), len(twice), figures)
        assert rows(sandbox, "SELECT job, kind FROM incidents WHERE closed_at IS NULL") == []


def set_six_times(service: Service) -> tuple[datetime, tuple[tuple[datetime, datetime], ...]]:
    """Set the clock six times; return the last slot, and the spans that the user released."""
    service.run_minutes(TWO, 2)
    service.until_all_ran(TWO + MINUTE)

    service.set(TWO + HOUR + MINUTE + timedelta(seconds=5))
    service.until_all_ran(TWO + HOUR + MINUTE)

    service.run_minutes(TWO + 2 * MINUTE, 5)
    service.until_all_ran(TWO + 6 * MINUTE)
    assert len(service.ran("daily")) == 1, "daily ran again in the repeated hour"
    assert service.incidents() == ["clock"]
    service.run_minutes(TWO + HOUR + 2 * MINUTE, 3)
    service.until_all_ran(TWO + HOUR + 4 * MINUTE)

    tomorrow = TWO + DAY + HOUR + 5 * MINUTE
    service.set(tomorrow + timedelta(seconds=5))
    service.until_all_ran(tomorrow)

    silent = tomorrow - 2 * HOUR
    service.set(silent + timedelta(seconds=5))
    until(lambda: service.incidents() == ["clock"])
    before = {job: service.ran(job) for job in STEPS}
    service.run_minutes(silent + MINUTE, 3)
    assert {job: service.ran(job) for job in STEPS} == before, (
        "a job ran while the clock was behind"
    )

    service.sandbox.says("resume", "--from-now")
    until(lambda: service.incidents() == [])
    service.run_minutes(silent + 4 * MINUTE, 6)
    service.until_all_ran(silent + 9 * MINUTE)

    service.set(tomorrow + MINUTE + timedelta(seconds=5))
    service.until_all_ran(tomorrow + MINUTE)
    return tomorrow + MINUTE, ((silent + 3 * MINUTE, tomorrow),)


def report_job(sandbox: Sandbox, job: str, ran: int, twice: int, figures: Figures) -> None:
    """Report the counts of one job."""
    missed = sum("missed" in each for each in outcomes(sandbox, job).values())
    ((in_gaps,),) = rows(sandbox, "SELECT total(count) FROM gaps WHERE job = ?", job)
    figures.add(
        job, f"{ran} ran, {twice} again when released, {missed} missed, {in_gaps:.0f} in gaps"
    )
