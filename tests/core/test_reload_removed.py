"""A reload that removes or disables a job: what lives ends, what waits is cancelled."""

import pytest

from tests.core.core_harness import Harness, job

A = job("a", cron="0 2 * * *")


def test_a_living_attempt_of_a_removed_job_finishes():
    harness = Harness(A, job("b"))
    harness.at("02:00")

    harness.reloads(job("b"))
    harness.ends("a")

    assert harness.states("a") == ["success"]


def test_a_failed_attempt_of_a_removed_job_is_not_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=3), job("b"))
    harness.at("02:00")

    harness.reloads(job("b"))
    harness.ends("a", status=1)

    assert harness.states("a") == ["failed"]


HOG = job("hog", cron="0 1 * * *")
DISABLED = job("a", cron="0 2 * * *", enabled=False)


@pytest.mark.parametrize("state", ["pending", "retrying"])
@pytest.mark.parametrize(
    ("jobs", "reason", "cause"),
    [
        ((HOG,), "removed", "removed from jobs.yaml"),
        ((DISABLED, HOG), "disabled", "disabled in jobs.yaml"),
    ],
    ids=["removed", "disabled"],
)
def test_what_waits_for_a_job_that_is_no_more_is_cancelled(state, jobs, reason, cause):
    harness = Harness(job("a", cron="0 2 * * *", retries=1), HOG)
    harness.at("01:00")
    harness.reloads(*harness.config.jobs, max_concurrent=1 if state == "pending" else 9)
    harness.at("02:00")
    if state == "retrying":
        harness.ends("a", status=1)

    harness.reloads(*jobs)

    assert harness.states("a") == ["cancelled"]
    assert (harness.run("a").reason, harness.run("a").cause) == (reason, cause)


def test_a_living_attempt_of_a_disabled_job_finishes():
    harness = Harness(A)
    harness.at("02:00")

    harness.reloads(job("a", cron="0 2 * * *", enabled=False))
    harness.ends("a")

    assert harness.states("a") == ["success"]


def test_a_failed_attempt_of_a_disabled_job_is_not_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=1))
    harness.at("02:00")

    harness.reloads(job("a", cron="0 2 * * *", retries=1, enabled=False))
    harness.ends("a", status=1)

    assert harness.states("a") == ["failed"]


def test_an_interrupted_attempt_of_a_disabled_job_is_not_begun_again():
    harness = Harness(A)
    harness.at("02:00")
    harness.reloads(job("a", cron="0 2 * * *", enabled=False))

    harness.loses("a")
    harness.at("04:00")

    assert harness.live() == []


def test_an_interrupted_attempt_of_a_removed_job_is_not_begun_again():
    harness = Harness(A, job("b"))
    harness.at("02:00")
    harness.reloads(job("b"))

    harness.loses("a")
    harness.at("04:00")

    assert harness.states("a") == ["interrupted"]
    assert harness.live() == []


def test_a_slot_of_a_disabled_job_is_skipped():
    harness = Harness(job("a", cron="0 2 * * *", enabled=False))

    harness.at("02:00")

    assert harness.states("a") == ["skipped"]
    assert (harness.run("a").reason, harness.run("a").cause) == ("disabled", "enabled: false")


def test_a_job_that_is_enabled_again_runs_at_its_next_slot():
    harness = Harness(job("a", cron="0 * * * *", enabled=False))
    harness.at("01:30")

    harness.reloads(job("a", cron="0 * * * *"))
    harness.at("02:00")

    assert harness.states("a") == ["skipped", "running"]


def test_a_job_that_comes_back_has_missed_nothing():
    harness = Harness(job("a", cron="0 * * * *"), job("b"))
    harness.reloads(job("b"))
    harness.at("05:30")

    harness.reloads(job("a", cron="0 * * * *"), job("b"))
    harness.at("06:00")

    assert harness.slots("a") == ["05 06:00"]


def test_a_removed_job_has_no_slots():
    harness = Harness(job("a", cron="0 * * * *"), job("b"))

    harness.reloads(job("b"))
    harness.at("05:00")

    assert harness.runs("a") == []
    assert [each.name for each in harness.status().jobs] == ["b"]
