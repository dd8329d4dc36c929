"""The clock of one living service is set forward and back, all in one life.

An hour forward, an hour back, a day forward, two hours back until a person says
`resume --from-now`, and forward again. Jobs write down each slot they ran for: none
ran twice but those that the person released and interval-like ones of the repeated
hour, and none is without a row.
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
    """One that is led through many minutes."""

    def live_through(self, first: datetime, minutes: int) -> None:
        """These full minutes, each reached from just before it, until each has been acted on."""
        for slot in (first + n * MINUTE for n in range(minutes)):
            self.set(slot - A_MOMENT)
            self.until_ticked(slot)

    def until_all_ran(self, slot: datetime) -> None:
        """Wait for the minute's job, and for all that runs beside it."""
        self.until_ran("minutely", slot=slot)
        until(lambda: not raw_client.status(self.sandbox)["runs"])

    def incidents(self) -> list[str]:
        """Kinds of the open ones."""
        return [each["kind"] for each in raw_client.status(self.sandbox)["incidents"]]


def test_the_clock_is_set_six_times_in_one_life(figures: Figures) -> None:
    with Sandbox(JOBS) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            service = Service(sandbox, clock, supervisor)
            last, released = play(service)

        for job, step in STEPS.items():
            assert missing(sandbox, job, TWO, last, step) == [], job
            twice = [slot for slot, times in Counter(service.ran(job)).items() if times > 1]
            assert all(times <= 2 for times in Counter(service.ran(job)).values())
            repeated = released if job == "daily" else (*released, (TWO, TWO + HOUR + MINUTE))
            for slot in map(datetime.fromisoformat, twice):
                assert any(since < slot <= until for since, until in repeated)
            query = "SELECT count(*) FROM runs WHERE job = ? AND state = 'success'"
            assert rows(sandbox, query, job) == [(len(service.ran(job)),)]
            tell(sandbox, job, len(service.ran(job)), len(twice), figures)
        assert rows(sandbox, "SELECT job, kind FROM incidents WHERE closed_at IS NULL") == []


def play(service: Service) -> tuple[datetime, tuple[tuple[datetime, datetime], ...]]:
    """The settings of the clock; the last slot, and the spans that a person released."""
    service.live_through(TWO, 2)
    service.until_all_ran(TWO + MINUTE)

    service.set(TWO + HOUR + MINUTE + timedelta(seconds=5))
    service.until_all_ran(TWO + HOUR + MINUTE)

    service.live_through(TWO + 2 * MINUTE, 5)
    service.until_all_ran(TWO + 6 * MINUTE)
    assert len(service.ran("daily")) == 1, "no fixed time comes again"
    assert service.incidents() == ["clock"]
    service.live_through(TWO + HOUR + 2 * MINUTE, 3)
    service.until_all_ran(TWO + HOUR + 4 * MINUTE)

    tomorrow = TWO + DAY + HOUR + 5 * MINUTE
    service.set(tomorrow + timedelta(seconds=5))
    service.until_all_ran(tomorrow)

    silent = tomorrow - 2 * HOUR
    service.set(silent + timedelta(seconds=5))
    until(lambda: service.incidents() == ["clock"])
    before = {job: service.ran(job) for job in STEPS}
    service.live_through(silent + MINUTE, 3)
    assert {job: service.ran(job) for job in STEPS} == before, "it stays silent"

    service.sandbox.says("resume", "--from-now")
    until(lambda: service.incidents() == [])
    service.live_through(silent + 4 * MINUTE, 6)
    service.until_all_ran(silent + 9 * MINUTE)

    service.set(tomorrow + MINUTE + timedelta(seconds=5))
    service.until_all_ran(tomorrow + MINUTE)
    return tomorrow + MINUTE, ((silent + 3 * MINUTE, tomorrow),)


def tell(sandbox: Sandbox, job: str, ran: int, twice: int, figures: Figures) -> None:
    """The account of one job."""
    missed = sum("missed" in each for each in outcomes(sandbox, job).values())
    ((in_gaps,),) = rows(sandbox, "SELECT total(count) FROM gaps WHERE job = ?", job)
    figures.tell(
        job, f"{ran} ran, {twice} again when released, {missed} missed, {in_gaps:.0f} in gaps"
    )
