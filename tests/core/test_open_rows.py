"""Open runs after a stop or a crash: which continue, and which end."""

import pytest

from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.config_model import CatchUp, Overlap
from supervisor.core.model import Attempt, JobRecord, Run, State, Trigger
from tests.core.core_harness import Harness, instant, job
from tests.core.simulated_ledger import Ledger

NIGHTLY = job("a", cron="0 2 * * *")


def test_a_shutdown_leaves_a_pending_row_as_it_is_and_the_next_start_goes_on_with_it():
    harness = Harness(NIGHTLY, job("hog", cron="0 1 * * *"), max_concurrent=1)
    harness.at("02:00")
    harness.stops()
    left = harness.run("a")

    harness.starts("02:10")

    assert left.state == "pending"
    assert harness.states("a") == ["running"]
    assert harness.run("a").attempt == 1


def test_a_shutdown_leaves_a_retrying_row_as_it_is():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.stops()

    assert harness.states("a") == ["retrying"]


def test_a_retrying_row_waits_for_what_is_left_of_its_backoff():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=600))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.stops()

    harness.starts("02:04")
    harness.at("02:09")
    before = harness.run("a").state
    harness.at("02:10")

    assert before == "retrying"
    assert harness.run("a").state == "running"


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_an_interrupted_run_goes_on_in_the_same_row_and_uses_no_retry(how):
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    getattr(harness, how)()

    harness.starts("02:10")
    harness.at("02:12")

    run = harness.run("a")
    assert harness.states("a") == ["running"]
    assert (run.attempt, run.retries_used, run.interruptions) == (2, 0, 1)


def test_a_living_attempt_is_marked_as_ended_by_the_shutdown():
    harness = Harness(NIGHTLY)
    harness.at("02:00")

    harness.stops()

    attempt = harness.ledger.attempts[1, 1]
    assert (attempt.reason, attempt.cause) == ("shutdown", "the supervisor was stopped")
    assert attempt.ended_at == harness.wall


def test_a_living_attempt_is_marked_as_ended_by_the_crash():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.dies()

    harness.starts("02:10")

    attempt = harness.ledger.attempts[1, 1]
    assert attempt.reason == "crash"
    assert attempt.ended_at == instant("2026-01-05 02:10")


def test_an_attempt_that_had_no_row_yet_when_all_died_is_reported_from_its_run():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.dies()
    del harness.ledger.attempts[1, 1]  # the ledger may write it half a second after the launch

    harness.starts("02:10")

    attempt = harness.ledger.attempts[1, 1]
    assert (attempt.started_at, attempt.reason) == (instant("2026-01-05 02:00"), "crash")
    assert attempt.ended_at == instant("2026-01-05 02:10")


def test_a_second_attempt_is_in_the_ledger_before_it_is_launched():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.at("02:01")

    rows = [
        each.row for each in harness.actions if isinstance(each, effects.Record) and not each.soon
    ]
    attempts = [row for row in rows if isinstance(row, Attempt)]
    assert (attempts[-1].number, attempts[-1].ended_at) == (2, None)


def test_an_attempt_that_a_crash_ended_keeps_its_own_start_and_pid():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")
    harness.send(ev.Started(harness.clocks(), 1, 2, pid=4711))
    harness.dies()

    harness.starts("02:10")

    attempt: Attempt = harness.ledger.attempts[1, 2]
    assert (attempt.started_at, attempt.pid) == (instant("2026-01-05 02:01"), 4711)


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_run_is_taken_up_again_at_most_three_times(how):
    harness = Harness(NIGHTLY)
    harness.at("02:00")

    for start in ("02:10", "02:20", "02:30", "02:40"):
        getattr(harness, how)()
        harness.starts(start)
        harness.after(minutes=2)

    assert harness.states("a") == ["interrupted"]
    assert harness.run("a").attempt == 4


def test_a_row_older_than_the_window_ends_interrupted_if_it_had_started():
    harness = Harness(
        job("a", cron="0 2 1 * *", catch_up_window_s=3600.0), start="2026-02-01 01:00"
    )
    harness.at("02:00")
    harness.dies()

    harness.starts("03:30")

    assert harness.states("a") == ["interrupted"]
    assert harness.run("a").reason == "crash"


def harness_of_a_slot_that_never_began():
    """Return a service that died while a run waited; its window is one hour."""
    harness = Harness(
        job("a", cron="0 2 1 * *", catch_up_window_s=3600.0, exclusive="data"),
        job("hog", cron="0 1 1 * *", exclusive="data"),
        start="2026-02-01 00:30",
    )
    harness.at("02:00")
    harness.dies()
    return harness


def test_a_row_older_than_the_window_ends_missed_if_it_never_started():
    harness = harness_of_a_slot_that_never_began()

    harness.starts("03:30")

    assert harness.states("a") == ["missed"]
    assert harness.run("a").reason == "away"


def test_a_slot_that_was_opened_but_never_began_opens_the_incident_of_missed_slots():
    harness = harness_of_a_slot_that_never_began()

    harness.starts("03:30")

    assert harness.words("a") == ["missed opened"]


def test_without_catch_up_an_open_row_ends():
    harness = Harness(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE))
    harness.at("02:00")
    harness.stops()

    harness.starts("02:01")

    assert harness.states("a") == ["interrupted"]


def test_an_open_row_goes_on_though_its_job_has_no_cron_any_more():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.stops()

    harness.starts("02:30", job("a"))
    harness.after(minutes=1)

    assert harness.states("a") == ["running"]
    assert harness.run("a").attempt == 2


@pytest.mark.parametrize(("how", "reason"), [("stops", "shutdown"), ("dies", "crash")])
def test_a_row_that_ends_at_the_start_says_what_ended_it(how, reason):
    harness = Harness(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE, retries=1))
    harness.at("02:00")
    harness.ends("a", status=1)
    getattr(harness, how)()

    harness.starts("02:01")

    assert harness.states("a") == ["interrupted"]
    assert harness.run("a").reason == reason


@pytest.mark.parametrize("first", [1, 7, 31, 32, 63, 1023])
def test_only_the_newest_open_slot_of_a_job_goes_on(first):
    older = Run(
        first, "a", instant("2026-01-05 01:00"), Trigger.SCHEDULE, State.RUNNING,
        slot=instant("2026-01-05 01:00"), attempt=1,
    )  # fmt: skip
    newer = Run(
        first + 1, "a", instant("2026-01-05 02:00"), Trigger.SCHEDULE, State.PENDING,
        slot=instant("2026-01-05 02:00"),
    )  # fmt: skip
    found = Ledger(
        runs={older.id: older, newer.id: newer},
        marks={"a": JobRecord("a", instant("2026-01-05 02:00"))},
    )

    harness = Harness(
        job("a", cron="0 * * * *", overlap=Overlap.QUEUE),
        start="2026-01-05 02:30",
        remembers=found,
    )

    assert harness.states("a") == ["interrupted", "running"]


def test_the_newest_open_slot_goes_on_though_a_newer_one_came_to_nothing():
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("01:00")
    harness.asks(control_requests.PauseJob("a", 5400))
    harness.at("02:00")
    harness.dies()

    harness.starts("02:10")
    harness.after(minutes=1)

    assert harness.states("a") == ["running", "skipped"]
    assert harness.run("a").cause.startswith("paused by uid 1000")


def test_the_newest_open_slot_goes_on_though_a_manual_run_is_newer():
    harness = Harness(job("a", cron="0 2 * * *", overlap=Overlap.QUEUE))
    harness.at("02:00")
    harness.asks(control_requests.RunJobs(("a",)))
    harness.dies()

    harness.starts("02:30")
    harness.after(minutes=1)

    assert harness.states("a") == ["running", "missed"]


def test_a_run_that_a_crash_cut_off_says_so_while_it_waits():
    harness = Harness(NIGHTLY, job("hog", exclusive="data"))
    harness.at("02:00")
    harness.dies()

    harness.starts("02:30")

    assert harness.run("a").state == "retrying"
    assert harness.run("a").cause == "the supervisor died"


def test_a_run_that_was_cancelled_is_not_resumed_after_a_crash():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.asks(control_requests.CancelJob("a"))
    harness.dies()

    harness.starts("02:00:05")

    assert harness.states("a") == ["cancelled"]
    assert harness.run("a").cause == "cancelled by uid 1000"


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_manual_run_is_not_resumed(how):
    harness = Harness(job("a"))
    harness.asks(control_requests.RunJobs(("a",)))
    getattr(harness, how)()

    harness.starts("00:10")

    assert harness.states("a") == ["interrupted"]


def test_a_manual_run_that_never_began_is_missed():
    harness = Harness(job("hog"), job("a"), max_concurrent=1)
    harness.asks(control_requests.RunJobs(("hog",)))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.dies()

    harness.starts("00:10")

    assert harness.states("a") == ["missed"]


def test_a_startup_run_is_not_resumed():
    harness = Harness(job("a", run_on_startup=True))
    harness.stops()

    harness.starts("00:10")

    assert harness.states("a") == ["interrupted", "running"]


def test_an_open_row_of_a_removed_job_is_cancelled_at_the_start():
    harness = Harness(NIGHTLY, job("b"))
    harness.at("02:00")
    harness.dies()

    harness.starts("02:10", job("b"))

    assert harness.states("a") == ["cancelled"]
    assert harness.run("a").cause == "removed from jobs.yaml"


def test_an_open_row_of_a_disabled_job_is_cancelled_at_the_start():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.dies()

    harness.starts("02:10", job("a", cron="0 2 * * *", enabled=False))

    assert harness.states("a") == ["cancelled"]
    assert harness.run("a").cause == "disabled in jobs.yaml"


def test_an_interruption_opens_no_incident():
    harness = Harness(NIGHTLY)
    harness.at("02:00")
    harness.stops()

    harness.starts("02:10")

    assert harness.words("a") == []
