"""Open runs after a stop or a crash: which continue, and which end."""

import pytest

from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.model import Attempt, CatchUp, JobRecord, Overlap, Run, State, Trigger
from tests.core.core_harness import Ledger, Night, instant, job

NIGHTLY = job("a", cron="0 2 * * *")


def test_a_shutdown_leaves_a_pending_row_as_it_is_and_the_next_start_goes_on_with_it():
    night = Night(NIGHTLY, job("hog", cron="0 1 * * *"), max_concurrent=1)
    night.at("02:00")
    night.stops()
    left = night.run("a")

    night.starts("02:10")

    assert left.state == "pending"
    assert night.states("a") == ["running"]
    assert night.run("a").attempt == 1


def test_a_shutdown_leaves_a_retrying_row_as_it_is():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)

    night.stops()

    assert night.states("a") == ["retrying"]


def test_a_retrying_row_waits_for_what_is_left_of_its_backoff():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=600))
    night.at("02:00")
    night.ends("a", status=1)
    night.stops()

    night.starts("02:04")
    night.at("02:09")
    before = night.run("a").state
    night.at("02:10")

    assert before == "retrying"
    assert night.run("a").state == "running"


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_an_interrupted_run_goes_on_in_the_same_row_and_uses_no_retry(how):
    night = Night(NIGHTLY)
    night.at("02:00")
    getattr(night, how)()

    night.starts("02:10")
    night.at("02:12")

    run = night.run("a")
    assert night.states("a") == ["running"]
    assert (run.attempt, run.retries_used, run.interruptions) == (2, 0, 1)


def test_a_living_attempt_is_marked_as_ended_by_the_shutdown():
    night = Night(NIGHTLY)
    night.at("02:00")

    night.stops()

    attempt = night.ledger.attempts[1, 1]
    assert (attempt.reason, attempt.cause) == ("shutdown", "the supervisor was stopped")
    assert attempt.ended_at == night.wall


def test_a_living_attempt_is_marked_as_ended_by_the_crash():
    night = Night(NIGHTLY)
    night.at("02:00")
    night.dies()

    night.starts("02:10")

    attempt = night.ledger.attempts[1, 1]
    assert attempt.reason == "crash"
    assert attempt.ended_at == instant("2026-01-05 02:10")


def test_an_attempt_that_had_no_row_yet_when_all_died_is_told_from_its_run():
    night = Night(NIGHTLY)
    night.at("02:00")
    night.dies()
    del night.ledger.attempts[1, 1]  # the ledger may write it half a second after the launch

    night.starts("02:10")

    attempt = night.ledger.attempts[1, 1]
    assert (attempt.started_at, attempt.reason) == (instant("2026-01-05 02:00"), "crash")
    assert attempt.ended_at == instant("2026-01-05 02:10")


def test_a_second_attempt_is_in_the_ledger_before_it_is_launched():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)

    night.at("02:01")

    rows = [
        each.row for each in night.actions if isinstance(each, effects.Record) and not each.soon
    ]
    attempts = [row for row in rows if isinstance(row, Attempt)]
    assert (attempts[-1].number, attempts[-1].ended_at) == (2, None)


def test_an_attempt_that_a_crash_ended_keeps_its_own_start_and_pid():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:01")
    night.send(ev.Started(night.clocks(), 1, 2, pid=4711))
    night.dies()

    night.starts("02:10")

    attempt: Attempt = night.ledger.attempts[1, 2]
    assert (attempt.started_at, attempt.pid) == (instant("2026-01-05 02:01"), 4711)


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_run_is_taken_up_again_at_most_three_times(how):
    night = Night(NIGHTLY)
    night.at("02:00")

    for start in ("02:10", "02:20", "02:30", "02:40"):
        getattr(night, how)()
        night.starts(start)
        night.after(minutes=2)

    assert night.states("a") == ["interrupted"]
    assert night.run("a").attempt == 4


def test_a_row_older_than_the_window_ends_interrupted_if_it_had_started():
    night = Night(job("a", cron="0 2 1 * *", catch_up_window_s=3600.0), start="2026-02-01 01:00")
    night.at("02:00")
    night.dies()

    night.starts("03:30")

    assert night.states("a") == ["interrupted"]
    assert night.run("a").reason == "crash"


def night_of_a_slot_that_never_began():
    """Return a Night that died while a run waited; its window is one hour."""
    night = Night(
        job("a", cron="0 2 1 * *", catch_up_window_s=3600.0, exclusive="data"),
        job("hog", cron="0 1 1 * *", exclusive="data"),
        start="2026-02-01 00:30",
    )
    night.at("02:00")
    night.dies()
    return night


def test_a_row_older_than_the_window_ends_missed_if_it_never_started():
    night = night_of_a_slot_that_never_began()

    night.starts("03:30")

    assert night.states("a") == ["missed"]
    assert night.run("a").reason == "away"


def test_a_slot_that_was_opened_but_never_began_opens_the_incident_of_missed_slots():
    night = night_of_a_slot_that_never_began()

    night.starts("03:30")

    assert night.words("a") == ["missed opened"]


def test_without_catch_up_an_open_row_ends():
    night = Night(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE))
    night.at("02:00")
    night.stops()

    night.starts("02:01")

    assert night.states("a") == ["interrupted"]


def test_an_open_row_goes_on_though_its_job_has_no_cron_any_more():
    night = Night(NIGHTLY)
    night.at("02:00")
    night.stops()

    night.starts("02:30", job("a"))
    night.after(minutes=1)

    assert night.states("a") == ["running"]
    assert night.run("a").attempt == 2


@pytest.mark.parametrize(("how", "reason"), [("stops", "shutdown"), ("dies", "crash")])
def test_a_row_that_ends_at_the_start_says_what_ended_it(how, reason):
    night = Night(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE, retries=1))
    night.at("02:00")
    night.ends("a", status=1)
    getattr(night, how)()

    night.starts("02:01")

    assert night.states("a") == ["interrupted"]
    assert night.run("a").reason == reason


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

    night = Night(
        job("a", cron="0 * * * *", overlap=Overlap.QUEUE),
        start="2026-01-05 02:30",
        remembers=found,
    )

    assert night.states("a") == ["interrupted", "running"]


def test_the_newest_open_slot_goes_on_though_a_newer_one_came_to_nothing():
    night = Night(job("a", cron="0 * * * *"))
    night.at("01:00")
    night.asks(control_requests.PauseJob("a", 5400))
    night.at("02:00")
    night.dies()

    night.starts("02:10")
    night.after(minutes=1)

    assert night.states("a") == ["running", "skipped"]
    assert night.run("a").cause.startswith("paused by uid 1000")


def test_the_newest_open_slot_goes_on_though_a_manual_run_is_newer():
    night = Night(job("a", cron="0 2 * * *", overlap=Overlap.QUEUE))
    night.at("02:00")
    night.asks(control_requests.RunJobs(("a",)))
    night.dies()

    night.starts("02:30")
    night.after(minutes=1)

    assert night.states("a") == ["running", "missed"]


def test_a_run_that_a_crash_cut_off_says_so_while_it_waits():
    night = Night(NIGHTLY, job("hog", exclusive="data"))
    night.at("02:00")
    night.dies()

    night.starts("02:30")

    assert night.run("a").state == "retrying"
    assert night.run("a").cause == "the supervisor died"


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_manual_run_is_not_resumed(how):
    night = Night(job("a"))
    night.asks(control_requests.RunJobs(("a",)))
    getattr(night, how)()

    night.starts("00:10")

    assert night.states("a") == ["interrupted"]


def test_a_manual_run_that_never_began_is_missed():
    night = Night(job("hog"), job("a"), max_concurrent=1)
    night.asks(control_requests.RunJobs(("hog",)))
    night.asks(control_requests.RunJobs(("a",)))
    night.dies()

    night.starts("00:10")

    assert night.states("a") == ["missed"]


def test_a_startup_run_is_not_resumed():
    night = Night(job("a", run_on_startup=True))
    night.stops()

    night.starts("00:10")

    assert night.states("a") == ["interrupted", "running"]


def test_an_open_row_of_a_removed_job_is_cancelled_at_the_start():
    night = Night(NIGHTLY, job("b"))
    night.at("02:00")
    night.dies()

    night.starts("02:10", job("b"))

    assert night.states("a") == ["cancelled"]
    assert night.run("a").cause == "removed from jobs.yaml"


def test_an_open_row_of_a_disabled_job_is_cancelled_at_the_start():
    night = Night(NIGHTLY)
    night.at("02:00")
    night.dies()

    night.starts("02:10", job("a", cron="0 2 * * *", enabled=False))

    assert night.states("a") == ["cancelled"]
    assert night.run("a").cause == "disabled in jobs.yaml"


def test_an_interruption_opens_no_incident():
    night = Night(NIGHTLY)
    night.at("02:00")
    night.stops()

    night.starts("02:10")

    assert night.words("a") == []
