"""Interrupted and catch-up: what a stop, a crash and an absence leave behind."""

import pytest

from supervisor.core import asks
from supervisor.core import events as ev
from supervisor.core.model import Attempt, CatchUp, Mark, Overlap, Run, State, Trigger
from tests.core.night import Ledger, Night, instant, job, ran_before

HOURLY = job("a", cron="0 * * * *")
NIGHTLY = job("a", cron="0 2 * * *")


# --- open rows -------------------------------------------------------------------------


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
    del night.ledger.attempts[1, 1]  # it may come half a second after the launch

    night.starts("02:10")

    attempt = night.ledger.attempts[1, 1]
    assert (attempt.started_at, attempt.reason) == (instant("2026-01-05 02:00"), "crash")
    assert attempt.ended_at == instant("2026-01-05 02:10")


def test_a_second_attempt_is_in_the_ledger_before_it_is_launched():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)

    night.at("02:01")

    rows = [each.row for each in night.actions if isinstance(each, ev.Record) and not each.soon]
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


def test_a_row_older_than_the_window_ends_missed_if_it_never_started():
    night = Night(
        job("a", cron="0 2 1 * *", catch_up_window_s=3600.0, exclusive="data"),
        job("hog", cron="0 1 1 * *", exclusive="data"),
        start="2026-02-01 00:30",
    )
    night.at("02:00")
    night.dies()

    night.starts("03:30")

    assert night.states("a") == ["missed"]
    assert night.run("a").reason == "away"


def test_a_slot_that_was_opened_but_never_began_opens_the_incident_of_missed_slots():
    night = Night(
        job("a", cron="0 2 1 * *", catch_up_window_s=3600.0, exclusive="data"),
        job("hog", cron="0 1 1 * *", exclusive="data"),
        start="2026-02-01 00:30",
    )
    night.at("02:00")
    night.dies()

    night.starts("03:30")

    assert night.words("a") == ["missed opened"]


def test_without_catch_up_an_open_row_ends():
    night = Night(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE))
    night.at("02:00")
    night.stops()

    night.starts("02:01")

    assert night.states("a") == ["interrupted"]


def test_a_retrying_row_that_a_crash_ends_for_good_says_so():
    night = Night(job("a", cron="0 2 * * *", catch_up=CatchUp.NONE, retries=1))
    night.at("02:00")
    night.ends("a", status=1)
    night.dies()

    night.starts("02:01")

    assert night.run("a").reason == "crash"


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
        marks={"a": Mark("a", instant("2026-01-05 02:00"))},
    )

    night = Night(
        job("a", cron="0 * * * *", overlap=Overlap.QUEUE),
        start="2026-01-05 02:30",
        remembers=found,
    )

    assert night.states("a") == ["interrupted", "running"]


@pytest.mark.parametrize("how", ["stops", "dies"])
def test_a_manual_run_is_not_resumed(how):
    night = Night(job("a"))
    night.asks(asks.RunJobs(("a",)))
    getattr(night, how)()

    night.starts("00:10")

    assert night.states("a") == ["interrupted"]


def test_a_manual_run_that_never_began_is_missed():
    night = Night(job("hog"), job("a"), max_concurrent=1)
    night.asks(asks.RunJobs(("hog",)))
    night.asks(asks.RunJobs(("a",)))
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


# --- slots of an absence -----------------------------------------------------------------


def test_at_the_first_start_nothing_was_missed():
    night = Night(HOURLY, start="2026-01-05 12:30")

    assert night.runs("a") == []


def test_a_job_not_seen_before_has_missed_nothing():
    night = Night(HOURLY)
    night.stops()

    night.starts("12:30", HOURLY, job("b", cron="0 * * * *"))

    assert night.runs("b") == []


def test_the_newest_slot_of_an_absence_runs_and_the_others_are_covered_by_it():
    night = Night(HOURLY)
    night.at("00:30")
    night.stops()

    night.starts("04:10")

    newest, *others = night.runs("a")
    assert (newest.slot, newest.trigger) == (instant("2026-01-05 04:00"), "catch_up")
    assert newest.state == "running"
    assert [f"{run.slot:%H:%M}" for run in others] == ["01:00", "02:00", "03:00"]
    assert {str(run.state) for run in others} == {"missed"}
    assert all(run.cause.endswith(f"covered by run {newest.id}") for run in others)


@pytest.mark.parametrize(("how", "word"), [("stops", "was stopped"), ("dies", "died")])
def test_a_missed_slot_says_since_when_nobody_ran_and_why(how, word):
    night = Night(HOURLY)
    night.at("00:30")
    getattr(night, how)()

    night.starts("02:10")

    assert night.run("a").cause == (
        f"no supervisor ran after 2026-01-05 00:00 UTC (it {word}); covered by run 1"
    )


def test_a_slot_that_comes_in_the_minute_of_the_start_is_on_time():
    night = Night(HOURLY)
    night.stops()

    night.starts("01:00:20")

    assert night.run("a").trigger == "schedule"


def test_covered_slots_open_no_incident():
    night = Night(HOURLY)
    night.stops()

    night.starts("04:10")

    assert night.words("a") == []


def test_a_slot_older_than_the_window_is_missed_and_opens_one_incident():
    night = Night(job("a", cron="0 2,3 1 * *", catch_up_window_s=3600.0), start="2026-02-01 00:00")
    night.stops()

    night.starts("05:00")

    assert night.states("a") == ["missed", "missed"]
    assert night.words("a") == ["missed opened"]
    assert night.incidents("a")[0].cause.startswith(
        "slots from 2026-02-01 02:00 UTC to 2026-02-01 03:00 UTC were missed"
    )


def test_without_catch_up_every_slot_of_an_absence_is_missed():
    night = Night(job("a", cron="0 * * * *", catch_up=CatchUp.NONE))
    night.stops()

    night.starts("03:30")

    assert night.states("a") == ["missed"] * 3
    assert night.words("a") == ["missed opened"]


def test_the_incident_of_missed_slots_closes_with_the_next_success():
    night = Night(job("a", cron="0 * * * *", catch_up=CatchUp.NONE))
    night.stops()
    night.starts("03:30")
    night.at("04:00")

    night.ends("a")

    assert night.words("a") == ["missed opened", "missed recovered"]


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
    seen = Ledger(marks={"a": Mark("a", instant("2026-01-05 01:00"))})

    night = Night(job("a", cron=cron), start=start, remembers=seen)

    assert night.states("a") == ["running"]
    assert night.run("a").slot == instant("2026-01-05 02:00")


def test_the_window_is_a_day_at_least():
    seen = Ledger(marks={"a": Mark("a", instant("2026-01-05 01:00"))})

    night = Night(job("a", cron="*/5 1-2 5 1 *"), start="2026-01-06 02:50", remembers=seen)

    assert night.states("a")[0] == "running"


def test_a_window_of_its_own_stands_before_the_default():
    seen = Ledger(marks={"a": Mark("a", instant("2026-01-05 01:00"))})

    night = Night(
        job("a", cron="0 2 * * *", catch_up_window_s=7200.0),
        start="2026-01-05 04:01",
        remembers=seen,
    )

    assert night.states("a") == ["missed"]


@pytest.mark.parametrize(
    ("slots", "rows", "in_gap"),
    [(100, 100, 0), (101, 101, 0), (102, 101, 1), (5000, 101, 4899)],
)
def test_at_most_a_hundred_others_get_a_row_and_older_ones_share_a_gap(slots, rows, in_gap):
    seen = Ledger(marks={"a": Mark("a", instant("2026-01-05 00:00"))})
    days, minutes = divmod(slots, 1440)
    start = f"2026-01-{5 + days:02} {minutes // 60:02}:{minutes % 60:02}:30"

    night = Night(job("a", cron="* * * * *"), start=start, remembers=seen)

    assert len(night.runs("a")) == rows
    assert sum(gap.count for gap in night.ledger.gaps) == in_gap
    assert len(night.ledger.gaps) == (1 if in_gap else 0)


def test_a_gap_ends_where_the_rows_begin():
    seen = Ledger(marks={"a": Mark("a", instant("2026-01-05 00:00"))})

    night = Night(job("a", cron="* * * * *"), start="2026-01-05 12:00", remembers=seen)

    [gap] = night.ledger.gaps
    rows = sorted(run.slot for run in night.runs("a"))
    assert gap.since == instant("2026-01-05 00:00")
    assert instant("2026-01-05 10:19") <= gap.until < rows[0] == instant("2026-01-05 10:20")
    assert gap.count + len(rows) == 720


def test_a_disabled_job_has_skipped_slots_in_an_absence_and_no_missed_ones():
    night = Night(job("a", cron="0 * * * *", enabled=False))
    night.stops()

    night.starts("03:30")

    assert night.states("a") == ["skipped"] * 3
    assert {run.cause for run in night.runs("a")} == {"enabled: false"}


def test_a_paused_job_has_skipped_slots_in_an_absence():
    night = Night(HOURLY)
    night.asks(asks.PauseJob("a", None))
    night.stops()

    night.starts("03:30")

    assert night.states("a") == ["skipped"] * 3


def test_a_caught_up_run_waits_for_the_caught_up_run_it_depends_on():
    night = Night(NIGHTLY, job("b", cron="0 3 * * *", deps=["a"]))
    night.at("01:00")
    night.stops()

    night.starts("05:00")
    begun = night.living()
    night.ends("a")

    assert begun == ["a"]
    assert night.living() == ["b"]


def test_nothing_is_caught_up_twice():
    night = Night(HOURLY)
    night.stops()
    night.starts("03:30")
    night.ends("a")
    night.stops()

    night.starts("03:40")

    assert night.slots("a") == ["05 03:00", "05 01:00", "05 02:00"]


def test_a_slot_that_ran_before_the_crash_is_not_run_again():
    night = Night(NIGHTLY, remembers=ran_before("a", "2026-01-04 02:00"), start="2026-01-05 01:00")
    night.at("02:00")
    night.ends("a")
    night.dies()

    night.starts("02:01")
    night.at("12:00")

    assert night.states("a") == ["success", "success"]


# --- start-up runs -----------------------------------------------------------------------


def test_run_on_startup_opens_a_run_at_each_start():
    night = Night(job("a", run_on_startup=True))
    night.ends("a")
    night.stops()

    night.starts("01:00")

    assert [run.trigger for run in night.runs("a")] == ["startup", "startup"]
    assert night.run("a").slot is None
    assert night.run("a").due == instant("2026-01-05 01:00")


def test_a_reload_opens_no_startup_run():
    night = Night(job("a"))

    night.reloads(job("a", run_on_startup=True), job("b", run_on_startup=True))

    assert night.runs("a") == night.runs("b") == []


def test_a_disabled_job_has_a_skipped_startup_run():
    night = Night(job("a", run_on_startup=True, enabled=False))

    assert night.states("a") == ["skipped"]


def test_startup_runs_begin_in_the_order_of_the_file():
    night = Night(*[job(name, run_on_startup=True) for name in "cab"])

    assert night.living() == ["c", "a", "b"]
