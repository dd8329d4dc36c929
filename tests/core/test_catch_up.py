"""Catch-up: missed slots after an absence."""

import pytest

from supervisor.core import control_requests
from supervisor.core.config_model import CatchUp
from supervisor.core.model import JobRecord
from tests.core.core_harness import Harness, instant, job
from tests.core.simulated_ledger import Ledger, ran_before

HOURLY = job("a", cron="0 * * * *")
NIGHTLY = job("a", cron="0 2 * * *")


def test_at_the_first_start_nothing_was_missed():
    harness = Harness(HOURLY, start="2026-01-05 12:30")

    assert harness.runs("a") == []


def test_a_job_not_seen_before_has_missed_nothing():
    harness = Harness(HOURLY)
    harness.stops()

    harness.starts("12:30", HOURLY, job("b", cron="0 * * * *"))

    assert harness.runs("b") == []


def test_the_newest_slot_of_an_absence_runs_and_the_others_are_covered_by_it():
    harness = Harness(HOURLY)
    harness.at("00:30")
    harness.stops()

    harness.starts("04:10")

    newest, *others = harness.runs("a")
    assert (newest.slot, newest.trigger) == (instant("2026-01-05 04:00"), "catch_up")
    assert newest.state == "running"
    assert [f"{run.slot:%H:%M}" for run in others] == ["01:00", "02:00", "03:00"]
    assert {str(run.state) for run in others} == {"missed"}
    assert all(run.cause.endswith(f"covered by run {newest.id}") for run in others)


@pytest.mark.parametrize(("how", "word"), [("stops", "was stopped"), ("dies", "died")])
def test_a_missed_slot_says_since_when_nobody_ran_and_why(how, word):
    harness = Harness(HOURLY)
    harness.at("00:30")
    getattr(harness, how)()

    harness.starts("02:10")

    assert harness.run("a").cause == (
        f"no supervisor ran after 2026-01-05 00:30 UTC (it {word}); covered by run 1"
    )


def test_a_slot_that_comes_in_the_minute_of_the_start_is_on_time():
    harness = Harness(HOURLY)
    harness.stops()

    harness.starts("01:00:20")

    assert harness.run("a").trigger == "schedule"


def test_covered_slots_open_no_incident():
    harness = Harness(HOURLY)
    harness.stops()

    harness.starts("04:10")

    assert harness.words("a") == []


def test_a_slot_older_than_the_window_is_missed_and_opens_one_incident():
    harness = Harness(
        job("a", cron="0 2,3 1 * *", catch_up_window_s=3600.0), start="2026-02-01 00:00"
    )
    harness.stops()

    harness.starts("05:00")

    assert harness.states("a") == ["missed", "missed"]
    assert harness.words("a") == ["missed opened"]
    assert harness.incidents("a")[0].cause.startswith(
        "slots from 2026-02-01 02:00 UTC to 2026-02-01 03:00 UTC were missed"
    )


def test_without_catch_up_every_slot_of_an_absence_is_missed():
    harness = Harness(job("a", cron="0 * * * *", catch_up=CatchUp.NONE))
    harness.stops()

    harness.starts("03:30")

    assert harness.states("a") == ["missed"] * 3
    assert harness.words("a") == ["missed opened"]


def test_the_incident_of_missed_slots_closes_with_the_next_success():
    harness = Harness(job("a", cron="0 * * * *", catch_up=CatchUp.NONE))
    harness.stops()
    harness.starts("03:30")
    harness.at("04:00")

    harness.ends("a")
    closed = harness.incidents("a") == []
    harness.after(minutes=15)

    assert closed
    assert harness.words("a") == ["missed opened", "missed recovered"]


@pytest.mark.parametrize(
    ("cron", "start"),
    [
        ("0 2 * * *", "2026-01-06 01:59"),
        ("0 2 * * 1", "2026-01-12 01:59"),
        ("0 2 5 * *", "2026-02-05 01:59"),
        ("0 2 5 1 *", "2027-01-05 01:59"),
    ],
    ids=["a day", "a week", "a month", "a year"],
)
def test_without_a_window_of_its_own_a_slot_is_caught_up_until_the_next_one(cron, start):
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 01:00"))})

    harness = Harness(job("a", cron=cron), start=start, remembers=seen)

    assert harness.states("a") == ["running"]
    assert harness.run("a").slot == instant("2026-01-05 02:00")


def test_the_window_is_a_day_at_least():
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 01:00"))})

    harness = Harness(job("a", cron="*/5 1-2 5 1 *"), start="2026-01-06 02:50", remembers=seen)

    assert harness.states("a")[0] == "running"


@pytest.mark.parametrize(
    ("start", "state"), [("2026-01-05 04:00", "running"), ("2026-01-05 04:00:01", "missed")]
)
def test_a_window_of_its_own_stands_before_the_default(start, state):
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 01:00"))})

    harness = Harness(
        job("a", cron="0 2 * * *", catch_up_window_s=7200.0), start=start, remembers=seen
    )

    assert harness.states("a") == [state]


def test_a_single_missed_slot_is_named_as_one():
    harness = Harness(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE))
    harness.stops()

    harness.starts("05:00")

    assert harness.incidents("a")[0].cause == (
        "the slot of 2026-01-05 02:00 UTC was missed: "
        "no supervisor ran after 2026-01-05 00:00 UTC (it was stopped)"
    )


@pytest.mark.parametrize(
    ("slots", "rows", "in_gap"),
    [(100, 100, 0), (101, 101, 0), (102, 101, 1), (5000, 101, 4899)],
)
def test_at_most_a_hundred_others_get_a_row_and_older_ones_share_a_gap(slots, rows, in_gap):
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 00:00"))})
    days, minutes = divmod(slots, 1440)
    start = f"2026-01-{5 + days:02} {minutes // 60:02}:{minutes % 60:02}:30"

    harness = Harness(job("a", cron="* * * * *"), start=start, remembers=seen)

    assert len(harness.runs("a")) == rows
    assert sum(gap.count for gap in harness.ledger.gaps) == in_gap
    assert len(harness.ledger.gaps) == (1 if in_gap else 0)


def test_a_gap_ends_where_the_rows_begin():
    seen = Ledger(marks={"a": JobRecord("a", instant("2026-01-05 00:00"))})

    harness = Harness(job("a", cron="* * * * *"), start="2026-01-05 12:00", remembers=seen)

    [gap] = harness.ledger.gaps
    rows = sorted(run.slot for run in harness.runs("a"))
    assert gap.since == instant("2026-01-05 00:00")
    assert instant("2026-01-05 10:19") <= gap.until < rows[0] == instant("2026-01-05 10:20")
    assert gap.count + len(rows) == 720


def test_a_disabled_job_has_skipped_slots_in_an_absence_and_no_missed_ones():
    harness = Harness(job("a", cron="0 * * * *", enabled=False))
    harness.stops()

    harness.starts("03:30")

    assert harness.states("a") == ["skipped"] * 3
    assert {run.cause for run in harness.runs("a")} == {"enabled: false"}


def test_a_paused_job_has_skipped_slots_in_an_absence():
    harness = Harness(HOURLY)
    harness.asks(control_requests.PauseJob("a", None))
    harness.stops()

    harness.starts("03:30")

    assert harness.states("a") == ["skipped"] * 3


def test_a_caught_up_run_waits_for_the_caught_up_run_it_depends_on():
    harness = Harness(NIGHTLY, job("b", cron="0 3 * * *", deps=["a"]))
    harness.at("01:00")
    harness.stops()

    harness.starts("05:00")
    begun = harness.live()
    harness.ends("a")

    assert begun == ["a"]
    assert harness.live() == ["b"]


def test_nothing_is_caught_up_twice():
    harness = Harness(HOURLY)
    harness.stops()
    harness.starts("03:30")
    harness.ends("a")
    harness.stops()

    harness.starts("03:40")

    assert harness.slots("a") == ["05 03:00", "05 01:00", "05 02:00"]


def test_a_slot_that_ran_before_the_crash_is_not_run_again():
    harness = Harness(
        NIGHTLY, remembers=ran_before("a", "2026-01-04 02:00"), start="2026-01-05 01:00"
    )
    harness.at("02:00")
    harness.ends("a")
    harness.dies()

    harness.starts("02:01")
    harness.at("12:00")

    assert harness.states("a") == ["success", "success"]
