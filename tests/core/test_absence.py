"""Absence: it starts at the last tick, whatever the new jobs.yaml says."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import control_requests, schedule
from supervisor.core.config_model import CatchUp
from supervisor.core.model import JobRecord
from tests.core.core_harness import Harness, instant, job
from tests.core.simulated_ledger import Ledger

YEARLY = job("a", cron="0 0 1 1 *")
WORDS = {"stops": "was stopped", "dies": "died"}


@pytest.fixture(params=["stops", "dies"])
def end(request):
    """Return how the previous service ended."""
    return request.param


def restarted(before, after, end="stops", until="11:59:30", start="12:00:30"):
    """Return a service that ran from midnight to shortly before noon and was restarted."""
    harness = Harness(before)
    harness.at(until)
    getattr(harness, end)()
    harness.starts(start, after)
    return harness


@pytest.mark.parametrize(
    "after",
    [
        job("a", cron="58 11 * * *"),
        job("a", cron=("0 0 1 1 *", "30 11 * * *")),
        job("a", cron="*/7 0-11 * * *", catch_up=CatchUp.NONE),
        job("a", cron="30 7 * * *", timezone="America/New_York"),
    ],
    ids=["moved", "a second expression", "without catch-up", "another zone"],
)
def test_slots_of_a_newer_text_before_the_last_tick_are_neither_run_nor_missed(after, end):
    harness = restarted(YEARLY, after, end)

    assert harness.runs("a") == []
    assert harness.words("a") == []
    assert harness.ledger.gaps == []


def test_a_job_newly_given_a_cron_has_missed_nothing_before_that(end):
    harness = restarted(job("a"), job("a", cron="30 * * * *"), end)

    assert harness.runs("a") == []


def test_the_first_slot_of_a_newer_text_is_the_first_after_the_absence():
    harness = restarted(YEARLY, job("a", cron="*/10 * * * *"), until="11:58", start="11:59")

    harness.at("12:00")

    assert harness.slots("a") == ["05 12:00"]


def test_a_tick_of_a_newer_text_looks_back_no_further_than_the_tick_before_it():
    harness = restarted(YEARLY, job("a", cron="*/10 * * * *"))

    harness.at("12:10")

    assert harness.slots("a") == ["05 12:00", "05 12:10"]
    assert harness.run("a").trigger == "schedule"


def test_the_slots_of_the_newer_text_within_the_absence_count(end):
    harness = restarted(YEARLY, job("a", cron="0,20,40 * * * *"), end, start="13:10")

    newest, *others = harness.runs("a")
    assert (newest.trigger, newest.state) == ("catch_up", "running")
    assert harness.slots("a") == ["05 13:00", "05 12:00", "05 12:20", "05 12:40"]
    assert others[0].cause == (
        f"no supervisor ran after 2026-01-05 11:59 UTC (it {WORDS[end]}); covered by run 1"
    )


def test_a_slot_of_the_older_text_alone_within_the_absence_is_of_no_matter():
    harness = restarted(job("a", cron="30 12 * * *"), job("a", cron="0 18 * * *"), start="13:00")

    assert harness.runs("a") == []


def test_a_job_enabled_while_the_service_was_away_has_the_slots_of_the_absence_only():
    before = job("a", cron="0 * * * *", enabled=False)

    harness = restarted(before, job("a", cron="0 * * * *"), start="12:10")

    assert harness.states("a") == ["skipped"] * 11 + ["running"]


def test_a_renamed_job_is_new_and_has_missed_nothing():
    harness = restarted(job("a", cron="0 * * * *"), job("b", cron="0 * * * *"), start="15:10")

    assert harness.runs("b") == []


@pytest.mark.parametrize("away", [True, False], ids=["while away", "by a reload"])
def test_a_job_that_comes_back_under_its_old_name_is_new(away):
    hourly, other = job("a", cron="0 * * * *"), job("b")
    harness = Harness(hourly, other)
    harness.at("01:30")
    if away:
        harness.stops()
        harness.starts("01:40", other)
    else:
        harness.reloads(other)
    harness.at("05:30")
    harness.stops()

    harness.starts("07:30", hourly, other)

    assert harness.slots("a") == ["05 01:00"]
    assert harness.ledger.marks["a"].removed_at is None
    harness.at("08:00")
    assert harness.slots("a")[1:] == ["05 08:00"]


def test_a_job_that_comes_back_is_an_absentee_like_any_other_from_then_on():
    hourly, other = job("a", cron="0 * * * *"), job("b")
    harness = Harness(hourly, other)
    harness.reloads(other)
    harness.reloads(hourly, other)
    harness.stops()

    harness.starts("02:10")

    assert harness.states("a") == ["running", "missed"]


def test_slots_that_a_drain_let_pass_belong_to_the_absence():
    harness = Harness(job("a", cron="0 * * * *"), job("b"))
    harness.asks(control_requests.RunJobs(("b",)))
    harness.at("00:30")
    harness.asks(control_requests.StopService(drain_s=7200.0))
    harness.at("01:30")
    harness.ends("b")

    harness.starts("01:40")

    assert harness.slots("a") == ["05 01:00"]
    assert harness.run("a").trigger == "catch_up"


def test_a_local_run_in_between_leaves_the_absence_as_it_is():
    harness = Harness(YEARLY)
    harness.at("10:00")
    harness.stops()
    between = Harness(YEARLY, start="2026-01-05 11:00", remembers=harness.ledger, calendar=False)
    between.at("11:30")
    between.stops()

    harness.starts("12:00", job("a", cron="30 10 * * *"))

    assert harness.slots("a") == ["05 10:30"]


def test_a_reload_during_a_local_run_moves_no_mark():
    harness = Harness(
        YEARLY, calendar=False, remembers=Ledger(marks={"a": JobRecord("a", instant(SEEN))})
    )

    harness.reloads(job("a", cron="* * * * *"), job("b", cron="* * * * *"))
    harness.reloads(job("c"))

    assert harness.ledger.marks == {"a": JobRecord("a", instant(SEEN))}
    assert harness.ledger.tick is None


SEEN = "2026-01-04 20:00"


@pytest.mark.parametrize(
    ("cron", "slots"),
    [("30 19 * * *", []), ("30 20 * * *", ["04 20:30"])],
    ids=["before", "after"],
)
def test_a_ledger_without_a_last_tick_proves_one_with_its_newest_mark(cron, slots):
    marks = {"a": JobRecord("a", instant("2026-01-01 00:00")), "b": JobRecord("b", instant(SEEN))}

    harness = Harness(job("a", cron=cron), job("b"), remembers=Ledger(marks=marks))

    assert harness.slots("a") == slots


def test_a_mark_in_the_future_proves_no_tick():
    marks = {"a": JobRecord("a", instant(SEEN)), "b": JobRecord("b", instant("2099-01-01 00:00"))}

    harness = Harness(job("a", cron="30 20 * * *"), job("b"), remembers=Ledger(marks=marks))

    assert harness.slots("a") == ["04 20:30"]


def test_a_last_tick_in_the_future_leaves_no_absence():
    harness = Harness(YEARLY)
    harness.at("12:00")
    harness.stops()
    harness.wall = instant("2026-01-05 11:30")

    harness.starts("11:31", job("a", cron="30 11 * * *"))

    assert harness.runs("a") == []


def test_a_new_ledger_in_the_place_of_a_damaged_one_knows_the_last_tick():
    harness = Harness(YEARLY)
    harness.at("11:00")
    harness.breaks_ledger()
    harness.at("11:30:20")
    harness.ledger = Ledger()
    harness.fixes_ledger(damage="it was damaged")
    harness.dies()

    harness.starts("12:00:10", job("a", cron="15 11 * * *"))

    assert harness.runs("a") == []


def test_lateness_is_not_armed_by_a_slot_that_was_never_due():
    after = job("a", cron="0 11 * * *", late_after_s=600.0)

    harness = restarted(job("a", cron="0 2 * * *"), after)
    harness.at("12:30")

    assert "late opened" not in harness.words("a")


def test_lateness_is_armed_by_the_last_slot_that_was_due():
    watched = job("a", cron="0 2 * * *", late_after_s=3600.0)
    harness = Harness(watched)
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.dies()

    harness.starts("02:20")
    harness.at("03:00")

    assert "late opened" in harness.words("a")


MINUTES = st.integers(1, 600)
CRONS = st.sampled_from(
    ["0 0 1 1 *", "*/7 * * * *", "13 * * * *", "30 2 * * *", "5 */2 * * *", "* 1-3 * * *"]
)


@given(before=CRONS, after=CRONS, lived=MINUTES, away=MINUTES, crashed=st.booleans())
def test_no_outcome_of_a_newer_text_lies_outside_the_absence(before, after, lived, away, crashed):
    harness = Harness(job("a", cron=before))
    harness.after(minutes=lived)
    last = harness.wall
    known = set(harness.ledger.runs)
    harness.dies() if crashed else harness.stops()
    until = last + timedelta(minutes=away)

    harness.starts(until.strftime("%Y-%m-%d %H:%M:%S"), job("a", cron=after))

    new = [run for number, run in harness.ledger.runs.items() if number not in known]
    assert all(last < run.slot <= until for run in new if run.slot is not None)
    assert all(gap.since >= last for gap in harness.ledger.gaps)
    reported = {run.slot for run in new}
    for minute in range(1, away + 1):
        slot = last + timedelta(minutes=minute)
        is_due = _is_due(after, slot)
        in_gap = any(gap.since < slot <= gap.until for gap in harness.ledger.gaps)
        assert is_due if slot in reported else in_gap or not is_due


def _is_due(cron, slot):
    return schedule.calendar((cron,), "UTC").next_after(slot - timedelta(minutes=1)) == slot
