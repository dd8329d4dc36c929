"""The clock moves under a running supervisor: no slot runs twice, and none lacks a record."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import A_MOMENT, NOTE, Clock, Clocked
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import MINUTE, missing, outcomes, rows
from tests.waiting import until

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STEPS = {"minutely": MINUTE, "hourly": HOUR, "daily": DAY}
JOBS = f"""
jobs:
  minutely: {{{NOTE}, cron: "* * * * *"}}
  hourly: {{{NOTE}, cron: "0 * * * *"}}
  daily: {{{NOTE}, cron: "0 2 * * *"}}
"""
TWO = datetime(2026, 2, 9, 2, tzinfo=UTC)


class Harness(Clocked):
    """A supervisor whose clock has just passed two o'clock."""

    def ran_at(self, job: str, slot: datetime) -> list[str]:
        """Return the times at which the job ran for this slot."""
        return [each for each in self.ran(job) if datetime.fromisoformat(each) == slot]

    def until_all_is_reported(self, last: datetime) -> None:
        """Wait until no slot from two o'clock to `last` has run twice or lacks a record."""
        for job, step in STEPS.items():
            assert missing(self.sandbox, job, TWO, last, step) == []
            assert len(self.ran(job)) == len(set(self.ran(job)))


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Sandbox(JOBS) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            harness = Harness(sandbox, clock, supervisor)
            harness.set(TWO - A_MOMENT)
            harness.until_ran(*STEPS, slot=TWO)
            yield harness


@pytest.mark.parametrize("step", [HOUR, DAY])
def test_put_forward_the_newest_slot_runs_and_the_others_have_rows(
    harness: Harness, step: timedelta
) -> None:
    harness.set(TWO + step + timedelta(seconds=5))

    harness.until_ran("minutely", "hourly", slot=TWO + step)
    if step == DAY:
        harness.until_ran("daily", slot=TWO + step)
    harness.set(TWO + step + MINUTE - A_MOMENT)
    harness.until_ran("minutely", slot=TWO + step + MINUTE)

    harness.until_all_is_reported(TWO + step + MINUTE)
    assert len(harness.ran("minutely")) == 3
    assert len(harness.ran("hourly")) == 2
    assert len(harness.ran("daily")) == (2 if step == DAY else 1)


def test_put_forward_by_a_day_a_gap_holds_what_is_too_much_for_rows(harness: Harness) -> None:
    harness.set(TWO + DAY + timedelta(seconds=5))
    harness.until_ran("minutely", slot=TWO + DAY)

    ((count,),) = rows(harness.sandbox, "SELECT count FROM gaps WHERE job = 'minutely'")
    missed = [each for each in outcomes(harness.sandbox, "minutely").values() if "missed" in each]

    assert (count, len(missed)) == (1440 - 101, 100)
    said = harness.sandbox.says("explain", "minutely", "--at", "2026-02-09 03:00")
    assert "1339 slots" in said
    assert "the clock was put forward" in said


def test_put_back_by_an_hour_what_is_interval_like_goes_on_and_no_fixed_time_is_repeated(
    harness: Harness,
) -> None:
    harness.set(TWO - HOUR + MINUTE - A_MOMENT)
    harness.until_ran("minutely", slot=TWO - HOUR + MINUTE)
    found = raw_client.status(harness.sandbox)
    shown = harness.sandbox.says("status")
    harness.set(TWO - MINUTE + timedelta(seconds=1))
    harness.until_ran("minutely", slot=TWO - MINUTE)
    harness.set(TWO - A_MOMENT)
    until(lambda: all(len(harness.ran_at(job, TWO)) == 2 for job in ("minutely", "hourly")))
    harness.set(TWO + MINUTE - A_MOMENT)
    harness.until_ran("minutely", slot=TWO + MINUTE)

    (incident,) = found["incidents"]
    assert (incident["kind"], incident["severity"]) == ("clock", "warning")
    assert "until 2026-02-09 02:00 UTC" in incident["cause"]
    assert found["notes"] == [incident["cause"]]
    assert "note    the clock was put back by" in shown
    assert harness.ran("daily") == ["2026-02-09T02:00:00Z"]
    assert raw_client.status(harness.sandbox)["incidents"] == []
    for job, step in STEPS.items():
        assert missing(harness.sandbox, job, TWO, TWO + MINUTE, step) == []


def test_put_back_by_a_day_it_says_until_when_jobs_are_silent(harness: Harness) -> None:
    harness.set(TWO - DAY + MINUTE - A_MOMENT)
    harness.until_ticked(TWO - DAY + MINUTE)

    (incident,) = raw_client.status(harness.sandbox)["incidents"]
    assert incident["kind"] == "clock"
    assert "stay silent until then" in incident["cause"]
    assert harness.ran("minutely") == ["2026-02-09T02:00:00Z"]

    harness.set(TWO + MINUTE - A_MOMENT)
    harness.until_ran("minutely", slot=TWO + MINUTE)
    harness.until_all_is_reported(TWO + MINUTE)
    assert raw_client.status(harness.sandbox)["incidents"] == []


def test_put_back_by_a_day_jobs_may_be_asked_to_go_on(harness: Harness) -> None:
    harness.set(TWO - DAY + timedelta(seconds=5))
    until(lambda: raw_client.status(harness.sandbox)["incidents"])

    harness.sandbox.says("resume", "--from-now")
    harness.set(TWO - DAY + MINUTE - A_MOMENT)
    harness.until_ran("minutely", slot=TWO - DAY + MINUTE)

    assert harness.ran("minutely") == ["2026-02-09T02:00:00Z", "2026-02-08T02:01:00Z"]
    assert raw_client.status(harness.sandbox)["incidents"] == []


def test_a_service_suspended_over_three_slots_runs_the_newest_of_them(harness: Harness) -> None:
    harness.set(TWO + MINUTE - 3 * A_MOMENT)
    harness.until_ticked(TWO)
    harness.supervisor.send_signal(signal.SIGSTOP)
    harness.clock.move(120)

    until(lambda: harness.clock.now > TWO + 3 * MINUTE)
    harness.supervisor.send_signal(signal.SIGCONT)
    harness.until_ran("minutely", slot=TWO + 3 * MINUTE)

    assert harness.ran("minutely") == ["2026-02-09T02:00:00Z", "2026-02-09T02:03:00Z"]
    harness.until_all_is_reported(TWO + 3 * MINUTE)
    assert outcomes(harness.sandbox, "minutely")[TWO + MINUTE] == "missed schedule"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_an_edit_and_a_restart_run_nothing_that_was_not_due(end: signal.Signals) -> None:
    with Sandbox(JOBS) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            harness = Harness(sandbox, clock, supervisor)
            harness.set(TWO - A_MOMENT)
            for job in STEPS:  # a run still open would be an overlap afterwards
                until(lambda job=job: outcomes(sandbox, job).get(TWO) == "success schedule")
            supervisor.send_signal(end)
            supervisor.wait(10)
        edited = JOBS.replace("0 2 * * *", "58 1 * * *").replace("0 * * * *", "1 * * * *")
        sandbox.config.write_text(edited + f"  added: {{{NOTE}, cron: '*/2 * * * *'}}\n")
        clock.set("2026-02-09 02:02:05")
        with supervised(sandbox):
            until(lambda: outcomes(sandbox, "minutely").get(TWO + 2 * MINUTE))
            until(lambda: not raw_client.status(sandbox)["runs"])
            found = {job: outcomes(sandbox, job) for job in (*STEPS, "added")}
            incidents = raw_client.status(sandbox)["incidents"]

    assert list(found["daily"]) == [TWO]
    assert sorted(found["hourly"]) == [TWO, TWO + MINUTE]
    assert found["hourly"][TWO + MINUTE] == "success catch_up"
    assert found["added"] == {}
    assert incidents == []
