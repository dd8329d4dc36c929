"""late_after: only the newest slot counts."""

import pytest

from supervisor.core import control_requests
from tests.core.core_harness import Harness, job

WATCHED = job("a", cron="0 2 * * *", late_after_s=3600.0)


def test_a_slot_without_a_success_in_time_opens_the_incident():
    harness = Harness(WATCHED)

    harness.at("02:59")
    before = harness.words("a")
    harness.at("03:00")

    assert before == []
    assert harness.words("a") == ["late opened"]
    assert harness.incidents("a")[0].cause == "no success since the slot of 2026-01-05 02:00 UTC"


def test_a_success_in_time_keeps_it_quiet():
    harness = Harness(WATCHED)
    harness.at("02:59")

    harness.ends("a")
    harness.at("2026-01-06 01:59")

    assert harness.words("a") == []


def test_any_later_success_closes_it():
    harness = Harness(WATCHED)
    harness.at("03:30")

    harness.ends("a")
    harness.after(minutes=15)

    assert harness.words("a") == ["late opened", "late recovered"]


def test_a_success_by_hand_after_the_slot_counts():
    harness = Harness(job("a", cron="0 2 * * *", late_after_s=3600.0))
    harness.at("02:10")
    harness.ends("a", status=1)
    harness.asks(control_requests.RunJobs(("a",)))
    harness.ends("a")

    harness.at("12:00")

    assert "late opened" not in harness.words("a")


def test_a_success_of_an_earlier_slot_does_not_count():
    harness = Harness(job("a", cron="0 2,3 * * *", late_after_s=1800.0))
    harness.at("02:00")
    harness.ends("a")
    harness.at("03:00")

    harness.at("03:30")

    assert harness.words("a") == ["late opened"]


def test_a_failed_run_is_late_too():
    harness = Harness(WATCHED)
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.at("03:00")

    assert harness.words("a") == ["exit opened", "late opened"]


def test_only_the_newest_slot_counts():
    harness = Harness(job("a", cron="0 2,3 * * *", late_after_s=5400.0))

    harness.at("04:29")
    before = harness.words("a")
    harness.at("04:30")

    assert before == []
    assert harness.words("a") == ["late opened"]


def test_a_late_after_as_long_as_the_interval_never_comes():
    harness = Harness(job("a", cron="*/5 * * * *", late_after_s=300.0))

    harness.at("2026-01-06 00:00")

    assert harness.words("a") == []


def test_a_late_slot_is_reported_once():
    harness = Harness(WATCHED)

    harness.at("2026-01-06 01:00")

    assert harness.words("a") == ["late opened"]


def test_a_paused_job_is_not_late():
    harness = Harness(WATCHED)
    harness.asks(control_requests.PauseJob("a", None))

    harness.at("12:00")

    assert harness.words("a") == []


def test_a_disabled_job_is_not_late():
    harness = Harness(job("a", cron="0 2 * * *", late_after_s=3600.0, enabled=False))

    harness.at("12:00")

    assert harness.words("a") == []


def test_a_slot_skipped_by_a_pause_is_not_late_when_the_pause_is_over():
    harness = Harness(WATCHED)
    harness.asks(control_requests.PauseJob("a", 3 * 3600))

    harness.at("12:00")

    assert harness.words("a") == []


def test_a_slot_skipped_by_a_pause_is_not_late_after_a_restart():
    harness = Harness(WATCHED)
    harness.asks(control_requests.PauseJob("a", 2 * 3600 + 30))
    harness.at("02:00:10")
    harness.stops()

    harness.starts("02:00:45")
    harness.at("12:00")

    assert harness.states("a") == ["skipped"]
    assert harness.words("a") == []


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_lateness_is_watched_over_a_restart(how):
    harness = Harness(WATCHED)
    harness.at("02:10")
    getattr(harness, how)()

    harness.starts("02:20")
    harness.at("03:00")

    assert harness.words("a") == ["late opened"]


def test_a_slot_that_was_missed_may_be_late():
    harness = Harness(WATCHED)
    harness.stops()

    harness.starts("04:00")
    harness.at("04:01")

    assert harness.words("a") == ["late opened"]


def test_late_after_taken_out_of_the_file_is_watched_no_more():
    harness = Harness(WATCHED)
    harness.at("02:30")

    harness.reloads(job("a", cron="0 2 * * *"))
    harness.at("12:00")

    assert harness.words("a") == []


def test_a_dry_run_is_no_success():
    harness = Harness(job("a", worker="w.f", cron="0 2 * * *", late_after_s=3600.0))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.asks(control_requests.RunJobs(("a",), dry_run=True))
    harness.ends("a", status=0)

    harness.at("03:00")

    assert "late opened" in harness.words("a")


def test_a_job_paused_after_its_slot_is_not_late_until_the_pause_is_over():
    harness = Harness(WATCHED)
    harness.at("02:30")
    harness.asks(control_requests.PauseJob("a", 3600.0))

    harness.at("03:29")
    before = harness.words("a")
    harness.at("03:30")

    assert before == []
    assert harness.words("a") == ["late opened"]


def test_a_success_in_time_keeps_it_quiet_over_a_restart():
    harness = Harness(WATCHED)
    harness.at("02:10")
    harness.ends("a")
    harness.stops()

    harness.starts("02:20")
    harness.at("12:00")

    assert harness.words("a") == []


def test_a_late_slot_is_reported_once_over_a_restart():
    harness = Harness(WATCHED)
    harness.at("03:10")
    harness.dies()

    harness.starts("03:20")
    harness.at("12:00")

    assert harness.words("a") == ["late opened"]
    assert harness.incidents("a")[0].count == 1


def test_before_its_first_slot_a_job_is_not_late_after_a_restart():
    harness = Harness(WATCHED)
    harness.stops()

    harness.starts("01:00")
    harness.at("01:59")

    assert harness.words("a") == []


def test_a_pause_over_an_older_slot_excuses_no_newer_one():
    harness = Harness(WATCHED)
    harness.asks(control_requests.PauseJob("a", 3 * 3600))
    harness.at("2026-01-06 02:10")
    harness.dies()

    harness.starts("2026-01-06 02:20")
    harness.at("2026-01-06 03:00")

    assert harness.words("a") == ["late opened"]
