"""late_after: only the newest slot counts."""

import pytest

from supervisor.core import asks
from tests.core.night import Night, job

WATCHED = job("a", cron="0 2 * * *", late_after_s=3600.0)


def test_a_slot_without_a_success_in_time_opens_the_incident():
    night = Night(WATCHED)

    night.at("02:59")
    before = night.words("a")
    night.at("03:00")

    assert before == []
    assert night.words("a") == ["late opened"]
    assert night.incidents("a")[0].cause == "no success since the slot of 2026-01-05 02:00 UTC"


def test_a_success_in_time_keeps_it_quiet():
    night = Night(WATCHED)
    night.at("02:59")

    night.ends("a")
    night.at("2026-01-06 01:59")

    assert night.words("a") == []


def test_any_later_success_closes_it():
    night = Night(WATCHED)
    night.at("03:30")

    night.ends("a")
    night.after(minutes=15)

    assert night.words("a") == ["late opened", "late recovered"]


def test_a_success_by_hand_after_the_slot_counts():
    night = Night(job("a", cron="0 2 * * *", late_after_s=3600.0))
    night.at("02:10")
    night.ends("a", status=1)
    night.asks(asks.RunJobs(("a",)))
    night.ends("a")

    night.at("12:00")

    assert "late opened" not in night.words("a")


def test_a_success_of_an_earlier_slot_does_not_count():
    night = Night(job("a", cron="0 2,3 * * *", late_after_s=1800.0))
    night.at("02:00")
    night.ends("a")
    night.at("03:00")

    night.at("03:30")

    assert night.words("a") == ["late opened"]


def test_a_failed_run_is_late_too():
    night = Night(WATCHED)
    night.at("02:00")
    night.ends("a", status=1)

    night.at("03:00")

    assert night.words("a") == ["exit opened", "late opened"]


def test_only_the_newest_slot_counts():
    night = Night(job("a", cron="0 2,3 * * *", late_after_s=5400.0))

    night.at("04:29")
    before = night.words("a")
    night.at("04:30")

    assert before == []
    assert night.words("a") == ["late opened"]


def test_a_late_after_as_long_as_the_interval_never_comes():
    night = Night(job("a", cron="*/5 * * * *", late_after_s=300.0))

    night.at("2026-01-06 00:00")

    assert night.words("a") == []


def test_a_late_slot_is_told_of_once():
    night = Night(WATCHED)

    night.at("2026-01-06 01:00")

    assert night.words("a") == ["late opened"]


def test_a_paused_job_is_not_late():
    night = Night(WATCHED)
    night.asks(asks.PauseJob("a", None))

    night.at("12:00")

    assert night.words("a") == []


def test_a_disabled_job_is_not_late():
    night = Night(job("a", cron="0 2 * * *", late_after_s=3600.0, enabled=False))

    night.at("12:00")

    assert night.words("a") == []


def test_a_slot_skipped_by_a_pause_is_not_late_when_the_pause_is_over():
    night = Night(WATCHED)
    night.asks(asks.PauseJob("a", 3 * 3600))

    night.at("12:00")

    assert night.words("a") == []


def test_a_slot_skipped_by_a_pause_is_not_late_after_a_restart():
    night = Night(WATCHED)
    night.asks(asks.PauseJob("a", 2 * 3600 + 30))
    night.at("02:00:10")
    night.stops()

    night.starts("02:00:45")
    night.at("12:00")

    assert night.states("a") == ["skipped"]
    assert night.words("a") == []


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_lateness_is_watched_over_a_restart(how):
    night = Night(WATCHED)
    night.at("02:10")
    getattr(night, how)()

    night.starts("02:20")
    night.at("03:00")

    assert night.words("a") == ["late opened"]


def test_a_slot_that_was_missed_may_be_late():
    night = Night(WATCHED)
    night.stops()

    night.starts("04:00")
    night.at("04:01")

    assert night.words("a") == ["late opened"]


def test_late_after_taken_out_of_the_file_is_watched_no_more():
    night = Night(WATCHED)
    night.at("02:30")

    night.reloads(job("a", cron="0 2 * * *"))
    night.at("12:00")

    assert night.words("a") == []


def test_a_dry_run_is_no_success():
    night = Night(job("a", worker="w.f", cron="0 2 * * *", late_after_s=3600.0))
    night.at("02:00")
    night.ends("a", status=1)
    night.asks(asks.RunJobs(("a",), dry_run=True))
    night.ends("a", status=0)

    night.at("03:00")

    assert "late opened" in night.words("a")


def test_a_job_paused_after_its_slot_is_not_late_until_the_pause_is_over():
    night = Night(WATCHED)
    night.at("02:30")
    night.asks(asks.PauseJob("a", 3600.0))

    night.at("03:29")
    before = night.words("a")
    night.at("03:30")

    assert before == []
    assert night.words("a") == ["late opened"]


def test_a_success_in_time_keeps_it_quiet_over_a_restart():
    night = Night(WATCHED)
    night.at("02:10")
    night.ends("a")
    night.stops()

    night.starts("02:20")
    night.at("12:00")

    assert night.words("a") == []


def test_a_late_slot_is_told_of_once_over_a_restart():
    night = Night(WATCHED)
    night.at("03:10")
    night.dies()

    night.starts("03:20")
    night.at("12:00")

    assert night.words("a") == ["late opened"]
    assert night.incidents("a")[0].count == 1


def test_before_its_first_slot_a_job_is_not_late_after_a_restart():
    night = Night(WATCHED)
    night.stops()

    night.starts("01:00")
    night.at("01:59")

    assert night.words("a") == []


def test_a_pause_over_an_older_slot_excuses_no_newer_one():
    night = Night(WATCHED)
    night.asks(asks.PauseJob("a", 3 * 3600))
    night.at("2026-01-06 02:10")
    night.dies()

    night.starts("2026-01-06 02:20")
    night.at("2026-01-06 03:00")

    assert night.words("a") == ["late opened"]
