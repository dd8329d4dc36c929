"""Pause: which runs it holds back, and what is shown as the next slot."""

import pytest

from supervisor.core import control_requests
from supervisor.core.model import CatchUp
from tests.core.core_harness import Night, instant, job

HOURLY = job("a", cron="0 * * * *")


@pytest.mark.parametrize("paused", ["a", ""], ids=["the job", "all jobs"])
def test_a_paused_slot_is_skipped_and_says_by_whom_until_when_and_why(paused):
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob(paused, 7200, "moving house"))

    night.at("01:00")

    assert night.run("a").state == "skipped"
    assert night.run("a").reason == "paused"
    assert night.run("a").cause == "paused by uid 1000 until 2026-01-05 02:00 UTC: moving house"


def test_a_pause_without_an_end_names_none():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", None))

    night.at("01:00")

    assert night.run("a").cause == "paused by uid 1000"


def test_a_pause_of_one_job_does_not_touch_another():
    night = Night(HOURLY, job("b", cron="0 * * * *"))
    night.asks(control_requests.PauseJob("a", None))

    night.at("01:00")

    assert night.living() == ["b"]


def test_a_pause_ends_by_itself():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", 90 * 60))

    night.at("02:00")

    assert night.states("a") == ["skipped", "running"]


def test_a_slot_at_the_very_end_of_a_pause_runs():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", 3600))

    night.at("01:00")

    assert night.states("a") == ["running"]


def test_resume_lifts_a_pause():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", None))
    night.at("01:00")

    night.asks(control_requests.ResumeJob("a"))
    night.at("02:00")

    assert night.states("a") == ["skipped", "running"]


def test_the_pause_over_all_is_a_second_flag():
    night = Night(HOURLY, job("b", cron="0 * * * *"))
    night.asks(control_requests.PauseJob("a", None))
    night.asks(control_requests.PauseJob("", None))

    night.asks(control_requests.ResumeJob(""))
    night.at("01:00")

    assert night.run("a").state == "skipped"
    assert night.run("b").state == "running"


def test_resuming_one_job_does_not_lift_the_pause_over_all():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("", None))

    night.asks(control_requests.ResumeJob("a"))
    night.at("01:00")

    assert night.run("a").state == "skipped"


@pytest.mark.parametrize("paused", ["a", ""], ids=["the job", "all jobs"])
@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_pause_survives_a_restart(paused, how):
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob(paused, None, "moving house"))
    getattr(night, how)()

    night.starts("00:10")
    night.at("01:00")

    assert night.run("a").state == "skipped"
    assert night.run("a").cause == "paused by uid 1000: moving house"


@pytest.mark.parametrize("paused", ["a", ""], ids=["the job", "all jobs"])
def test_a_slot_of_a_pause_that_ended_while_no_supervisor_lived_is_skipped_all_the_same(paused):
    night = Night(job("a", cron="0 2 * * *"))
    night.asks(control_requests.PauseJob(paused, 3 * 3600))
    night.stops()

    night.starts("05:00")

    assert night.states("a") == ["skipped"]
    assert night.run("a").cause == "paused by uid 1000 until 2026-01-05 03:00 UTC"


def test_of_the_slots_of_an_absence_those_before_the_end_of_a_pause_are_skipped():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", 150 * 60))
    night.dies()

    night.starts("05:10")

    ends = {f"{run.slot:%H:%M}": str(run.state) for run in night.runs("a")}
    assert ends == {
        "01:00": "skipped",
        "02:00": "skipped",
        "03:00": "missed",
        "04:00": "missed",
        "05:00": "running",
    }


def test_a_slot_of_a_pause_that_was_slept_through_is_skipped():
    night = Night(job("a", cron="0 2 * * *", late_after_s=3600.0))
    night.asks(control_requests.PauseJob("a", 3 * 3600))

    night.sleeps_until("05:00")

    assert night.states("a") == ["skipped"]
    assert night.words("a") == []


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_paused_slot_that_nobody_could_run_is_no_missed_one(catch_up):
    night = Night(job("a", cron="0 2 * * *", catch_up=catch_up, catch_up_window_s=60.0))
    night.asks(control_requests.PauseJob("a", None))
    night.stops()

    night.starts("05:00")

    assert night.states("a") == ["skipped"]
    assert night.words("a") == []


def test_a_run_that_is_open_goes_on():
    night = Night(job("a", cron="0 1 * * *"))
    night.at("01:00")

    night.asks(control_requests.PauseJob("a", None))
    night.ends("a")

    assert night.states("a") == ["success"]


def test_a_pending_run_goes_on():
    night = Night(job("hog", cron="59 0 * * *"), job("a", cron="0 1 * * *"), max_concurrent=1)
    night.at("01:00")
    night.asks(control_requests.PauseJob("", None))

    night.ends("hog")

    assert night.living() == ["a"]


def test_a_retry_goes_on():
    night = Night(job("a", cron="0 1 * * *", retries=1, retry_delay_s=60))
    night.at("01:00")
    night.ends("a", status=1)

    night.asks(control_requests.PauseJob("a", None))
    night.at("01:01")

    assert night.living() == ["a"]


def test_a_manual_run_is_granted():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", None))

    night.asks(control_requests.RunJobs(("a",)))

    assert night.living() == ["a"]


def test_a_startup_run_is_skipped():
    night = Night(job("a", run_on_startup=True))
    night.ends("a")
    night.asks(control_requests.PauseJob("a", None))
    night.stops()

    night.starts("01:00")

    assert night.run("a").trigger == "startup"
    assert night.run("a").state == "skipped"


def test_a_skipped_slot_opens_no_incident():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", None))

    night.at("05:00")

    assert night.words("a") == []


# --- display of the next slot ------------------------------------------------------------


def test_next_at_is_the_next_slot():
    assert Night(HOURLY).next_at("a") == instant("2026-01-05 01:00")


def test_next_at_is_the_first_slot_after_the_end_of_the_pause():
    night = Night(HOURLY)

    night.asks(control_requests.PauseJob("a", 90 * 60))

    assert night.next_at("a") == instant("2026-01-05 02:00")


def test_next_at_of_a_pause_without_an_end_is_nothing():
    night = Night(HOURLY)

    night.asks(control_requests.PauseJob("a", None))

    assert night.next_at("a") is None


def test_next_at_of_a_disabled_job_is_nothing():
    assert Night(job("a", cron="0 * * * *", enabled=False)).next_at("a") is None


def test_next_at_is_the_slot_that_then_really_runs():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", 3600))

    said = night.next_at("a")
    night.at("04:00")

    assert said == next(run.slot for run in night.runs("a") if run.state == "running")


@pytest.mark.parametrize(
    ("all_jobs_s", "job_s", "expected"),
    [
        (5400, None, None),
        (5400, 9000, instant("2026-01-05 03:00")),
    ],
    ids=["the job without an end", "the job for longer"],
)
def test_next_at_heeds_both_pauses(all_jobs_s, job_s, expected):
    night = Night(HOURLY)

    night.asks(control_requests.PauseJob("", all_jobs_s))
    night.asks(control_requests.PauseJob("a", job_s))

    assert night.next_at("a") == expected


def test_next_at_heeds_the_longer_pause_over_all():
    night = Night(HOURLY)

    night.asks(control_requests.PauseJob("a", 5400))
    night.asks(control_requests.PauseJob("", 9000))

    assert night.next_at("a") == instant("2026-01-05 03:00")


def test_status_shows_both_flags():
    night = Night(HOURLY)
    night.asks(control_requests.PauseJob("a", 3600))
    night.asks(control_requests.PauseJob("", None, "all"))

    status = night.status()

    assert (status.paused.until, status.paused.by, status.paused.reason) == (
        None,
        "uid 1000",
        "all",
    )
    assert status.jobs[0].is_paused
