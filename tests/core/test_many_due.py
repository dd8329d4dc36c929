"""More slots in a minute than are opened in one turn: nothing is lost, doubled or out of order."""

import pytest

from supervisor.core import control_requests as req
from supervisor.core import events as ev
from supervisor.core import tick
from supervisor.core.config_model import Overlap
from supervisor.core.decide import next_wakeup
from tests.core.core_harness import Harness, instant, job

CRON = "0 2 * * *"
FIVE = [job(name, cron=CRON) for name in "abcde"]


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch):
    monkeypatch.setattr(tick, "CHUNK", 2)


def at_two(*jobs, **settings):
    """Return a service that has opened the first two slots of 02:00."""
    harness = Harness(*(jobs or FIVE), **settings)
    harness.at("02:00")
    return harness


def goes_on(harness):
    """Process the rest of the minute at once, as the loop does."""
    for _ in range(100):
        wake = next_wakeup(harness.scheduler)
        if wake is None or wake > harness.mono:
            return
        harness.send(ev.TimePassed(harness.clocks()))


def all_slots(harness):
    return sorted(run.job for run in harness.ledger.runs.values() if run.slot is not None)


def test_the_first_runs_begin_before_the_last_slots_are_open():
    harness = at_two()

    begun = harness.live()
    goes_on(harness)

    assert begun == ["a", "b"]
    assert harness.live() == list("abcde")
    assert all_slots(harness) == list("abcde")


def test_the_tick_is_recorded_when_all_slots_are_open():
    harness = at_two()
    before = harness.ledger.tick.at
    goes_on(harness)

    assert before == instant("2026-01-05 01:59")
    assert harness.ledger.tick.at == instant("2026-01-05 02:00")


def test_runs_begin_in_the_order_of_the_file():
    harness = at_two(max_concurrent=1)
    order = []
    for _ in range(5):
        goes_on(harness)
        order += harness.live()
        harness.ends(order[-1])

    assert order == list("abcde")


def test_a_run_waits_for_a_dependency_whose_slot_is_not_open_yet():
    harness = at_two(job("last", cron=CRON, deps=["e"]), *FIVE)
    harness.send(ev.TimePassed(harness.clocks()))
    early = harness.live()
    goes_on(harness)
    waits = harness.waits("last")
    for name in "abcde":
        harness.ends(name)

    assert "last" not in early
    assert waits.startswith("waits for")
    assert harness.live() == ["last"]


@pytest.mark.parametrize("end", ["dies", "stops"])
def test_a_restart_in_between_opens_the_rest(end):
    harness = at_two()
    getattr(harness, end)()

    harness.starts("02:00:30")
    goes_on(harness)

    assert all_slots(harness) == list("abcde")


def test_a_drain_in_between_opens_no_more():
    harness = at_two()
    harness.asks(req.StopService(60.0))

    goes_on(harness)

    assert all_slots(harness) == ["a", "b"]
    assert harness.live() == ["a", "b"]


def test_a_job_that_is_removed_in_between_is_not_opened():
    harness = at_two()
    harness.reloads(*FIVE[:3])

    goes_on(harness)

    assert all_slots(harness) == ["a", "b", "c"]


def test_a_job_that_is_rescheduled_in_between_follows_its_new_calendar():
    harness = at_two()
    harness.reloads(*FIVE[:4], job("e", cron="30 2 * * *"))

    goes_on(harness)
    at_once = all_slots(harness)
    harness.at("02:30")

    assert at_once == list("abcd")
    assert harness.slots("e") == ["05 02:30"]


def test_a_job_that_comes_to_this_minute_in_between_is_opened_in_it():
    other = job("f", cron="0 5 * * *")
    harness = at_two(*FIVE, other)
    harness.reloads(*FIVE, job("f", cron="* * * * *"))

    goes_on(harness)

    assert harness.slots("f") == ["05 02:00"]


def test_a_clock_that_is_put_back_in_between_repeats_nothing():
    harness = at_two()
    harness.clock_is_set_to("2026-01-05 01:58:30")
    harness.at("02:01")
    goes_on(harness)

    assert all_slots(harness) == list("abcde")


def test_resuming_from_now_at_the_very_minute_repeats_no_slot_that_was_opened():
    minutely = [job(name, cron="* * * * *") for name in "abcde"]
    harness = Harness(*minutely)
    harness.at("02:00")

    harness.asks(req.ResumeJob("", from_now=True))
    harness.at("02:01")
    goes_on(harness)

    two = instant("2026-01-05 02:00")
    assert sorted(name for name, slot in harness.ledger.slots if slot == two) == list("abcde")


@pytest.mark.parametrize("name", ["e", ""])
def test_resuming_from_now_in_between_forgets_no_slot(name):
    harness = at_two()

    harness.asks(req.ResumeJob(name, from_now=True))
    goes_on(harness)

    assert all_slots(harness) == list("abcde")


def test_a_request_in_between_is_answered():
    harness = at_two()

    reply = harness.asks(req.RunJobs(("e",)))
    goes_on(harness)

    assert reply.runs
    assert harness.states("e") == ["running", "skipped"]


def test_the_slots_of_several_minutes_are_opened_at_once_in_their_order():
    harness = Harness(job("late", cron="5 2 * * *"), *FIVE, max_concurrent=1)
    harness.at("01:59")

    harness.sleeps_until("02:05:10")

    assert all_slots(harness) == ["a", "b", "c", "d", "e", "late"]
    assert harness.live() == ["a"]


def test_each_overlap_is_judged_once():
    jobs = [job(name, cron="* * * * *", overlap=Overlap.SKIP) for name in "abcde"]
    harness = Harness(*jobs)
    for minute in range(1, 4):
        harness.at(f"00:0{minute}")
        goes_on(harness)

    assert [harness.states(name) for name in "abcde"] == [["running", "skipped", "skipped"]] * 5
