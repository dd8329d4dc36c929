"""Explanations of why a job ran, waits, was skipped or missed: one sentence per fact."""

from zoneinfo import ZoneInfo

import pytest

from supervisor.core import control_requests, explain
from supervisor.core.config_model import CatchUp
from supervisor.core.model import MissedRange
from tests.core.core_harness import Harness, instant, job

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = job("a", cron="0 2 * * *")
NOW = instant("2028-03-01 00:00")


def story(harness, waits=""):
    run = harness.run("a")
    attempts = [each for each in harness.ledger.attempts.values() if each.run == run.id]
    return explain.run(run, attempts, waits, UTC)


def test_a_run_that_succeeded():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.after(seconds=90)
    harness.ends("a")

    assert story(harness) == [
        "Run 1 of a was due by its calendar at 2026-01-05 02:00:00 UTC.",
        "Attempt 1 began at 2026-01-05 02:00:00 UTC and ended after 1m30s.",
        "It succeeded at 2026-01-05 02:01:30 UTC.",
    ]


def test_a_run_that_failed_after_a_retry():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")
    harness.ends("a", status=2)

    assert story(harness)[1:] == [
        "Attempt 1 began at 2026-01-05 02:00:00 UTC and ended after 0s: exit status 1.",
        "Attempt 2 began at 2026-01-05 02:01:00 UTC and ended after 0s: exit status 2.",
        "It failed at 2026-01-05 02:01:00 UTC: exit status 2.",
    ]


def test_a_run_that_waited_says_how_long():
    harness = Harness(NIGHTLY, job("hog", cron="0 1 * * *"), max_concurrent=1)
    harness.at("02:10")
    harness.ends("hog")

    assert "It waited 10m before it began." in story(harness)
    assert story(harness)[-1] == "It is running."


def test_a_skipped_run_says_why():
    harness = Harness(job("x"), job("a", cron="0 2 * * *", deps=["x"]))
    harness.at("02:00")

    assert story(harness)[-1] == ("It was skipped at 2026-01-05 02:00:00 UTC: x has not run yet.")


def test_a_pending_run_says_what_it_waits_for():
    harness = Harness(NIGHTLY, job("hog", cron="0 1 * * *"), max_concurrent=1)
    harness.at("02:00")

    assert story(harness, "waits for a place")[-1] == "It is pending: waits for a place."


def test_a_cancelled_run_says_by_whom():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.asks(control_requests.CancelJob("a"))
    harness.ends("a", signal=15)

    assert story(harness)[1:] == [
        "Attempt 1 began at 2026-01-05 02:00:00 UTC and ended after 0s: cancelled by uid 1000.",
        "It was cancelled at 2026-01-05 02:00:00 UTC: cancelled by uid 1000.",
    ]


@pytest.mark.parametrize(
    ("how", "words"), [("stops", "the supervisor was stopped"), ("dies", "the supervisor died")]
)
def test_an_interrupted_run_says_by_what(how, words):
    harness = Harness(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE))
    harness.at("02:00")
    getattr(harness, how)()

    harness.starts("02:10")

    assert words in story(harness)[1]
    assert story(harness)[-1].startswith("It was interrupted at 2026-01-05 02:")


def test_a_missed_run_says_why():
    harness = Harness(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE))
    harness.stops()

    harness.starts("03:00")

    assert story(harness)[-1] == (
        "It was missed at 2026-01-05 03:00:00 UTC: "
        "no supervisor ran after 2026-01-05 00:00 UTC (it was stopped)."
    )


def test_a_retrying_run_says_when():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)

    assert story(harness)[-1] == "Its next attempt is at 2026-01-05 02:01:00 UTC."


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda harness: harness.asks(control_requests.RunJobs(("a",))), "was asked for at"),
        (lambda harness: harness.at("02:00"), "was due by its calendar at"),
        (lambda harness: harness.sleeps_until("02:30"), "while no supervisor could run it"),
    ],
    ids=["manual", "schedule", "catch-up"],
)
def test_the_trigger_is_reported(make, words):
    harness = Harness(NIGHTLY)

    make(harness)

    assert words in story(harness)[0]


def test_leftovers_are_named():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.ends("a", strays=["77 sleep 1000"])

    assert "It left behind 77 sleep 1000, which was killed." in story(harness)


def test_a_slot_in_a_gap_names_all_of_it():
    gap = MissedRange(
        "a", instant("2026-01-05 00:00"), instant("2026-01-05 10:00"), 600, "nobody ran"
    )

    assert explain.in_gap(gap, UTC) == [
        "a had 600 slots from 2026-01-05 00:00:00 UTC to 2026-01-05 10:00:00 UTC "
        "that were missed.",
        "The reason: nobody ran.",
    ]


def test_a_gap_of_one_slot_is_reported_in_the_singular():
    gap = MissedRange("a", instant("2026-01-05 00:00"), instant("2026-01-05 10:00"), 1, "x")

    assert explain.in_gap(gap, UTC)[0] == (
        "a had 1 slot from 2026-01-05 00:00:00 UTC to 2026-01-05 10:00:00 UTC that was missed."
    )


def test_a_run_of_which_only_the_ledger_knows_is_not_said_to_run():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    left = harness.run("a")

    assert explain.recorded_run(left, (), UTC)[-1] == (
        "It was running when the ledger was last written."
    )


def test_an_instant_that_is_no_slot_names_its_neighbours():
    said = explain.no_slot(NIGHTLY, instant("2026-01-05 12:00"), BERLIN, NOW)

    assert said == [
        "2026-01-05 13:00:00 CET is no slot of a that this ledger knows.",
        "Its slot before that is 2026-01-05 03:00:00 CET.",
        "Its slot after that is 2026-01-06 03:00:00 CET.",
    ]


def test_a_slot_that_the_ledger_does_not_know_is_called_one():
    said = explain.no_slot(NIGHTLY, instant("2026-01-05 02:00"), UTC, NOW)

    assert "has a slot then" in said[1]


def test_a_job_without_cron_runs_by_request_only():
    said = explain.no_slot(job("a"), instant("2026-01-05 02:00"), UTC, NOW)

    assert said[-1] == "a has no cron: it runs by request only."


def test_a_leap_day_can_be_asked_about():
    said = explain.no_slot(NIGHTLY, instant("2028-02-29 12:00"), UTC, NOW)

    assert "2028-02-29 02:00:00 UTC" in said[1]


def test_of_a_slot_without_a_row_no_other_calendar_is_asserted():
    said = explain.no_slot(NIGHTLY, instant("2026-01-05 02:00"), UTC, NOW)

    assert said[1] == (
        "Its calendar as it is now has a slot then, but the ledger has no row of it: the job was "
        "new, or had another calendar, or its history was purged."
    )


def test_a_slot_that_comes_is_reported_as_one():
    assert explain.no_slot(NIGHTLY, instant("2028-03-01 02:00"), UTC, NOW) == [
        "2028-03-01 02:00:00 UTC has not come yet.",
        "a has a slot then.",
        "Its slot after that is 2028-03-02 02:00:00 UTC.",
    ]


def test_an_instant_that_comes_and_is_no_slot_names_its_neighbours():
    assert explain.no_slot(NIGHTLY, instant("2028-03-01 03:00"), UTC, NOW) == [
        "2028-03-01 03:00:00 UTC has not come yet.",
        "Its slot before that is 2028-03-01 02:00:00 UTC.",
        "Its slot after that is 2028-03-02 02:00:00 UTC.",
    ]


def test_a_coming_slot_of_a_disabled_job_does_not_run():
    disabled = job("a", cron="0 2 * * *", enabled=False)

    said = explain.no_slot(disabled, instant("2028-03-01 02:00"), UTC, NOW)

    assert said[-1] == "a is disabled (enabled: false): no slot of it runs."


@pytest.mark.parametrize(
    ("keys", "paused", "said"),
    [
        ({"cron": "0 2 * * *"}, "", ["Its next slot is 2028-03-01 00:00:00 UTC."]),
        (
            {"cron": "0 2 * * *"},
            "paused by uid 0: moon",
            ["It is paused by uid 0: moon.", "Its next slot is 2028-03-01 00:00:00 UTC."],
        ),
        ({}, "paused by uid 0", ["a has no cron: it runs by request only."]),
        (
            {"cron": "0 2 * * *", "enabled": False},
            "",
            ["a is disabled (enabled: false): no slot of it runs."],
        ),
    ],
)
def test_the_outlook_of_a_job_is_its_next_slot_or_why_there_is_none(keys, paused, said):
    assert explain.outlook(job("a", **keys), NOW, paused, UTC) == said
