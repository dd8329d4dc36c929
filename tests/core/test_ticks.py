"""Ticks: what is opened at a full minute, and never again."""

import pytest

from supervisor.core import control_requests
from supervisor.core.model import JobRecord, Run, State, Trigger
from tests.core.core_harness import Harness, instant, job
from tests.core.simulated_ledger import Ledger


def test_a_slot_is_opened_at_its_minute():
    harness = Harness(job("a", cron="0 2 * * *"))

    harness.at("01:59")
    before = harness.states("a")
    harness.at("02:00")

    assert before == []
    assert harness.run("a").slot == instant("2026-01-05 02:00")
    assert harness.states("a") == ["running"]


def test_a_tick_that_comes_some_seconds_late_is_on_time():
    harness = Harness(job("a", cron="0 2 * * *"))

    harness.sleeps_until("02:00:40")

    assert harness.run("a").trigger == "schedule"
    assert harness.run("a").due == instant("2026-01-05 02:00")


def test_a_slot_that_is_looked_at_a_minute_later_is_caught_up():
    harness = Harness(job("a", cron="0 2 * * *"))

    harness.sleeps_until("02:01:00")

    assert harness.run("a").trigger == "catch_up"
    assert harness.run("a").due == instant("2026-01-05 02:00")


def test_a_slot_that_was_seen_is_never_opened_again_though_no_row_is_left_of_it():
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 02:00"))})

    harness = Harness(job("a", cron="0 2 * * *"), start="2026-01-05 01:00", remembers=seen)
    harness.at("23:00")

    assert harness.runs("a") == []


def test_a_slot_is_opened_once_though_the_clock_passes_it_twice():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:05")
    harness.ends("a")

    harness.clock_is_set_to("2026-01-05 01:55")
    harness.at("02:10")

    assert harness.slots("a") == ["05 02:00"]


def test_a_clock_that_goes_back_more_than_an_hour_opens_an_incident_that_says_until_when():
    harness = Harness(job("a", cron="* * * * *"))
    harness.at("06:00")

    harness.clock_is_set_to("2026-01-05 03:00")

    [incident] = harness.incidents()
    assert incident.kind == "clock"
    assert incident.severity == "critical"
    assert "2026-01-05 06:00 UTC" in incident.cause


def test_the_incident_of_the_clock_names_the_job_that_stays_silent_the_longest():
    harness = Harness(job("a", cron="0 6 * * *"), job("b", cron="0 5 * * *"))
    harness.at("06:30")

    harness.clock_is_set_to("2026-01-05 03:00")

    assert "2026-01-05 06:00 UTC" in harness.incidents()[0].cause


def test_a_removed_job_or_one_without_cron_opens_no_clock_incident():
    harness = Harness(job("gone", cron="0 6 * * *"), job("a", cron="0 6 * * *"))
    harness.at("06:30")
    harness.reloads(job("a"))

    harness.clock_is_set_to("2026-01-05 03:00")

    assert harness.incidents() == []


def test_the_incident_of_the_clock_is_one_over_a_restart():
    harness = Harness(job("a", cron="* * * * *"))
    harness.at("06:00")
    harness.clock_is_set_to("2026-01-05 03:00")
    harness.stops()

    harness.starts("03:01")

    assert harness.words() == ["clock opened"]


def test_a_clock_that_goes_back_past_no_seen_slot_is_no_incident():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("12:00")

    harness.clock_is_set_to("2026-01-05 03:00")

    assert harness.incidents() == []


def test_the_incident_of_the_clock_closes_when_jobs_run_again():
    harness = Harness(job("a", cron="* * * * *"))
    harness.at("06:00")
    harness.clock_is_set_to("2026-01-05 03:00")

    harness.at("06:15")

    assert harness.words() == ["clock opened", "clock recovered"]


def test_resume_from_now_lowers_the_mark_and_closes_the_incident():
    harness = Harness(job("a", cron="*/10 * * * *"))
    harness.at("06:00")
    harness.ends("a")
    harness.clock_is_set_to("2026-01-05 03:05")

    harness.asks(control_requests.ResumeJob("", from_now=True))
    closed = harness.incidents() == []
    harness.at("03:10")
    harness.ends("a")
    harness.at("03:20")

    assert closed
    assert harness.run("a").slot == instant("2026-01-05 03:20")
    assert harness.words() == ["clock opened", "clock recovered"]


def test_a_plain_resume_leaves_the_marks_where_they_are():
    harness = Harness(job("a", cron="*/10 * * * *"))
    harness.at("06:00")
    harness.clock_is_set_to("2026-01-05 03:05")

    harness.asks(control_requests.ResumeJob(""))
    harness.at("05:50")

    assert harness.run("a").due == instant("2026-01-05 06:00")
    assert harness.words() == ["clock opened"]


def test_resume_from_now_of_one_job_leaves_the_others_silent():
    harness = Harness(job("a", cron="0 * * * *"), job("b", cron="0 * * * *"))
    harness.at("06:30")
    harness.clock_is_set_to("2026-01-05 03:30")

    harness.asks(control_requests.ResumeJob("a", from_now=True))
    harness.at("04:00")

    assert harness.run("a").due == instant("2026-01-05 04:00")
    assert harness.run("b").due == instant("2026-01-05 06:00")
    assert harness.words() == ["clock opened"]


def test_resume_from_now_keeps_an_old_row_without_its_slot():
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("06:30")
    harness.ends("a")
    harness.clock_is_set_to("2026-01-05 04:30")

    harness.asks(control_requests.ResumeJob("", from_now=True))
    harness.at("06:00")

    first, *_, second = [
        run for run in harness.runs("a") if run.due == instant("2026-01-05 06:00")
    ]
    assert (first.state, first.slot) == ("skipped", None)
    assert second.slot == instant("2026-01-05 06:00")


def test_a_running_row_does_not_take_back_the_slot_that_was_released():
    harness = Harness(job("a", cron="0 6 * * *"))
    harness.at("06:30")
    harness.clock_is_set_to("2026-01-05 04:30")

    harness.asks(control_requests.ResumeJob("", from_now=True))
    harness.ends("a")

    assert harness.run("a").slot is None


def test_a_suspended_service_runs_the_newest_slot_and_says_the_others_are_covered():
    harness = Harness(job("a", cron="0 * * * *"))

    harness.sleeps_until("03:20")

    assert harness.slots("a") == ["05 03:00", "05 01:00", "05 02:00"]
    assert [run.trigger for run in harness.runs("a")] == ["catch_up", "schedule", "schedule"]
    assert harness.states("a") == ["running", "missed", "missed"]
    assert {run.reason for run in harness.runs("a")[1:]} == {"covered"}


def test_a_clock_put_forward_is_an_absence_like_any_other():
    harness = Harness(job("a", cron="0 * * * *"))

    harness.clock_is_set_to("2026-01-05 02:30")

    assert harness.states("a") == ["running", "missed"]
    assert "covered by run 1" in harness.runs("a")[1].cause


def test_a_service_suspended_into_a_slots_own_minute_is_on_time_for_it():
    harness = Harness(job("a", cron="0 * * * *"))

    harness.sleeps_until("02:00:30")

    assert harness.runs("a")[0].trigger == "schedule"
    assert harness.runs("a")[0].slot == instant("2026-01-05 02:00")
    assert harness.states("a") == ["running", "missed"]


def test_between_full_minutes_nothing_is_due():
    harness = Harness(job("a", cron="* * * * *"))

    harness.at("00:00:59")

    assert harness.runs("a") == []


def test_every_slot_of_a_day_gets_exactly_one_row():
    harness = Harness(
        job("a", cron="*/7 * * * *"), job("b", cron=("30 * * * *", "0,30 */2 * * *"))
    )

    while harness.wall < instant("2026-01-06 00:00"):
        harness.after(minutes=1)
        for name in harness.live():
            harness.ends(name)

    a, b = harness.slots("a"), harness.slots("b")
    assert len(a) == len(set(a)) == 24 * 9
    assert len(b) == len(set(b)) == 24 + 12


def test_without_a_calendar_no_slot_is_opened_and_no_mark_is_moved():
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 00:00"))})

    harness = Harness(
        job("a", cron="* * * * *", run_on_startup=True),
        start="2026-01-05 03:00",
        remembers=seen,
        calendar=False,
    )
    harness.at("05:00")

    assert harness.runs("a") == []
    assert harness.ledger.marks["a"].seen_until == instant("2026-01-05 00:00")


def test_without_a_calendar_the_open_slots_of_the_calendar_are_left_alone():
    waiting = Run(
        1, "a", instant("2026-01-05 02:00"), Trigger.SCHEDULE, State.PENDING,
        slot=instant("2026-01-05 02:00"),
    )  # fmt: skip
    asked = Run(2, "a", instant("2026-01-05 02:10"), Trigger.MANUAL, State.RUNNING, attempt=1)

    harness = Harness(
        job("a", cron="0 2 * * *"),
        start="2026-01-05 03:00",
        remembers=Ledger(runs={1: waiting, 2: asked}),
        calendar=False,
    )

    assert harness.states("a") == ["pending", "interrupted"]
    assert harness.live() == []


@pytest.mark.parametrize("hours", [2, 25, 24 * 40], ids=["2 h", "25 h", "40 days"])
def test_a_clock_put_forward_and_back_again_opens_nothing_twice(hours):
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("00:30")
    days, rest = divmod(hours, 24)
    day = f"2026-02-{days - 26:02}" if days > 26 else f"2026-01-{5 + days:02}"

    harness.clock_is_set_to(f"{day} {rest:02}:30")
    harness.clock_is_set_to("2026-01-05 00:31")
    harness.at("01:30")

    slots = [run.slot for run in harness.runs("a")]
    assert len(slots) == len(set(slots))
    assert harness.words() == ["clock opened"]
