"""Pause: which runs it holds back, and what is shown as the next slot."""

import pytest

from supervisor.core import control_requests
from supervisor.core.config_model import CatchUp
from tests.core.core_harness import Harness, instant, job

HOURLY = job("a", cron="0 * * * *")


@pytest.mark.parametrize("paused", ["a", ""], ids=["the job", "all jobs"])
def test_a_paused_slot_is_skipped_and_says_by_whom_until_when_and_why(paused):
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob(paused, 7200, "moving house"))

    harness.at("01:00")

    assert harness.run("a").state == "skipped"
    assert harness.run("a").reason == "paused"
    assert harness.run("a").cause == "paused by uid 1000 until 2026-01-05 02:00 UTC: moving house"


def test_a_pause_without_an_end_names_none():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", None))

    harness.at("01:00")

    assert harness.run("a").cause == "paused by uid 1000"


def test_a_pause_of_one_job_does_not_touch_another():
    harness = Harness(HOURLY, job("b", cron="0 * * * *"))
    harness.asks(control_requests.PauseJob("a", None))

    harness.at("01:00")

    assert harness.live() == ["b"]


def test_a_pause_ends_by_itself():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", 90 * 60))

    harness.at("02:00")

    assert harness.states("a") == ["skipped", "running"]


def test_a_slot_at_the_very_end_of_a_pause_runs():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", 3600))

    harness.at("01:00")

    assert harness.states("a") == ["running"]


def test_resume_lifts_a_pause():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", None))
    harness.at("01:00")

    harness.asks(control_requests.ResumeJob("a"))
    harness.at("02:00")

    assert harness.states("a") == ["skipped", "running"]


def test_the_pause_over_all_is_a_second_flag():
    harness = Harness(HOURLY, job("b", cron="0 * * * *"))
    harness.asks(control_requests.PauseJob("a", None))
    harness.asks(control_requests.PauseJob("", None))

    harness.asks(control_requests.ResumeJob(""))
    harness.at("01:00")

    assert harness.run("a").state == "skipped"
    assert harness.run("b").state == "running"


def test_resuming_one_job_does_not_lift_the_pause_over_all():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("", None))

    harness.asks(control_requests.ResumeJob("a"))
    harness.at("01:00")

    assert harness.run("a").state == "skipped"


@pytest.mark.parametrize("paused", ["a", ""], ids=["the job", "all jobs"])
@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_pause_survives_a_restart(paused, how):
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob(paused, None, "moving house"))
    getattr(harness, how)()

    harness.starts("00:10")
    harness.at("01:00")

    assert harness.run("a").state == "skipped"
    assert harness.run("a").cause == "paused by uid 1000: moving house"


@pytest.mark.parametrize("paused", ["a", ""], ids=["the job", "all jobs"])
def test_a_slot_of_a_pause_that_ended_while_no_supervisor_lived_is_skipped_all_the_same(paused):
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.asks(control_requests.PauseJob(paused, 3 * 3600))
    harness.stops()

    harness.starts("05:00")

    assert harness.states("a") == ["skipped"]
    assert harness.run("a").cause == "paused by uid 1000 until 2026-01-05 03:00 UTC"


def test_of_the_slots_of_an_absence_those_before_the_end_of_a_pause_are_skipped():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", 150 * 60))
    harness.dies()

    harness.starts("05:10")

    ends = {f"{run.slot:%H:%M}": str(run.state) for run in harness.runs("a")}
    assert ends == {
        "01:00": "skipped",
        "02:00": "skipped",
        "03:00": "missed",
        "04:00": "missed",
        "05:00": "running",
    }


def test_a_slot_of_a_pause_that_was_slept_through_is_skipped():
    harness = Harness(job("a", cron="0 2 * * *", late_after_s=3600.0))
    harness.asks(control_requests.PauseJob("a", 3 * 3600))

    harness.sleeps_until("05:00")

    assert harness.states("a") == ["skipped"]
    assert harness.words("a") == []


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_paused_slot_that_nobody_could_run_is_no_missed_one(catch_up):
    harness = Harness(job("a", cron="0 2 * * *", catch_up=catch_up, catch_up_window_s=60.0))
    harness.asks(control_requests.PauseJob("a", None))
    harness.stops()

    harness.starts("05:00")

    assert harness.states("a") == ["skipped"]
    assert harness.words("a") == []


def test_a_run_that_is_open_goes_on():
    harness = Harness(job("a", cron="0 1 * * *"))
    harness.at("01:00")

    harness.asks(control_requests.PauseJob("a", None))
    harness.ends("a")

    assert harness.states("a") == ["success"]


def test_a_pending_run_goes_on():
    harness = Harness(job("hog", cron="59 0 * * *"), job("a", cron="0 1 * * *"), max_concurrent=1)
    harness.at("01:00")
    harness.asks(control_requests.PauseJob("", None))

    harness.ends("hog")

    assert harness.live() == ["a"]


def test_a_retry_goes_on():
    harness = Harness(job("a", cron="0 1 * * *", retries=1, retry_delay_s=60))
    harness.at("01:00")
    harness.ends("a", status=1)

    harness.asks(control_requests.PauseJob("a", None))
    harness.at("01:01")

    assert harness.live() == ["a"]


def test_a_manual_run_is_granted():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", None))

    harness.asks(control_requests.RunJobs(("a",)))

    assert harness.live() == ["a"]


def test_a_startup_run_is_skipped():
    harness = Harness(job("a", run_on_startup=True))
    harness.ends("a")
    harness.asks(control_requests.PauseJob("a", None))
    harness.stops()

    harness.starts("01:00")

    assert harness.run("a").trigger == "startup"
    assert harness.run("a").state == "skipped"


def test_a_skipped_slot_opens_no_incident():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", None))

    harness.at("05:00")

    assert harness.words("a") == []


# --- display of the next slot ------------------------------------------------------------


def test_next_at_is_the_next_slot():
    assert Harness(HOURLY).next_at("a") == instant("2026-01-05 01:00")


def test_next_at_is_the_first_slot_after_the_end_of_the_pause():
    harness = Harness(HOURLY)

    harness.asks(control_requests.PauseJob("a", 90 * 60))

    assert harness.next_at("a") == instant("2026-01-05 02:00")


def test_next_at_of_a_pause_without_an_end_is_nothing():
    harness = Harness(HOURLY)

    harness.asks(control_requests.PauseJob("a", None))

    assert harness.next_at("a") is None


def test_next_at_of_a_disabled_job_is_nothing():
    assert Harness(job("a", cron="0 * * * *", enabled=False)).next_at("a") is None


def test_next_at_is_the_slot_that_then_really_runs():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", 3600))

    said = harness.next_at("a")
    harness.at("04:00")

    assert said == next(run.slot for run in harness.runs("a") if run.state == "running")


@pytest.mark.parametrize(
    ("all_jobs_s", "job_s", "expected"),
    [
        (5400, None, None),
        (5400, 9000, instant("2026-01-05 03:00")),
    ],
    ids=["the job without an end", "the job for longer"],
)
def test_next_at_heeds_both_pauses(all_jobs_s, job_s, expected):
    harness = Harness(HOURLY)

    harness.asks(control_requests.PauseJob("", all_jobs_s))
    harness.asks(control_requests.PauseJob("a", job_s))

    assert harness.next_at("a") == expected


def test_next_at_heeds_the_longer_pause_over_all():
    harness = Harness(HOURLY)

    harness.asks(control_requests.PauseJob("a", 5400))
    harness.asks(control_requests.PauseJob("", 9000))

    assert harness.next_at("a") == instant("2026-01-05 03:00")


def test_status_shows_both_flags():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", 3600))
    harness.asks(control_requests.PauseJob("", None, "all"))

    status = harness.status()

    assert (status.paused.until, status.paused.by, status.paused.reason) == (
        None,
        "uid 1000",
        "all",
    )
    assert status.jobs[0].is_paused
