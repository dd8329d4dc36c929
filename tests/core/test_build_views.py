"""Views: what `status` shows of a state."""

import pytest

from supervisor.core import build_views, control_requests
from tests.core.core_harness import Night, instant, job
from workers.protocol import Done

A = job("a", cron="0 2 * * *")


def test_jobs_stand_in_the_order_of_the_file():
    night = Night(job("c"), job("a"), job("b"))

    assert [each.name for each in night.status().jobs] == ["c", "a", "b"]


def test_a_job_that_has_not_run_has_no_last_result():
    assert Night(A).status().jobs[0].last is None


def test_the_last_result_is_the_newest_final_one():
    night = Night(job("a", cron="0 2,3 * * *"))
    night.at("02:00")
    night.after(seconds=90)
    night.ends("a", status=2)
    night.at("03:00")

    last = night.status().jobs[0].last

    assert (last.run, last.state, last.cause) == (1, "failed", "exit status 2")
    assert last.duration_seconds == 90.0


def test_open_runs_are_shown_with_the_oldest_first():
    night = Night(A, job("b", cron="0 1 * * *"))
    night.at("02:00")

    assert [run.job for run in night.status().runs] == ["b", "a"]


@pytest.mark.parametrize(
    ("jobs", "places", "cause"),
    [
        ([job("hog", cron="59 1 * * *"), A], 1, "waits for one of 1 places in the pool"),
        (
            [
                job("hog", cron="59 1 * * *", exclusive="x"),
                job("a", cron="0 2 * * *", exclusive="x"),
            ],
            9,
            "waits for hog (run 1), which holds the group x",
        ),
        (
            [job("hog", cron="59 1 * * *"), job("a", cron="0 2 * * *", deps=["hog"])],
            9,
            "waits for run 1 of hog",
        ),
    ],
    ids=["the pool", "the group", "the dependency"],
)
def test_a_pending_run_says_what_it_waits_for(jobs, places, cause):
    night = Night(*jobs, max_concurrent=places)
    night.at("02:00")

    shown = next(run for run in night.status().runs if run.job == "a")

    assert (shown.state, shown.cause) == ("pending", cause)


def test_the_pool_counts_living_trees_and_pending_runs():
    night = Night(*[job(name, cron="0 2 * * *") for name in "abc"], max_concurrent=2)
    night.at("02:00")
    night.exits("a")

    pool = night.status().pool

    assert (pool.max, pool.running, pool.pending) == (2, 2, 1)


def test_a_result_is_shown_as_a_value():
    night = Night(job("a", worker="w.f", cron="0 2 * * *"))
    night.at("02:00")
    night.says("a", Done({"rows": 3, "name": "x"}))
    night.ends("a")

    assert build_views.run_view(night.run("a")).result == {"rows": 3, "name": "x"}


def test_a_run_view_tells_its_attempts():
    night = Night(job("a", cron="0 2 * * *", retries=1))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:05")
    night.ends("a")

    shown = build_views.run_view(night.run("a"), night.ledger.attempts.values())

    assert [(each.number, each.cause) for each in shown.attempts] == [
        (1, "exit status 1"),
        (2, ""),
    ]


def test_open_incidents_are_shown():
    night = Night(A)
    night.at("02:00")
    night.ends("a", status=1)

    [shown] = night.status().incidents

    assert (shown.job, shown.kind, shown.count, shown.cause) == ("a", "exit", 1, "exit status 1")


def test_coming_slots_are_those_that_would_run():
    night = Night(A)
    job_a = night.world.jobs["a"]

    coming = build_views.next_slots(night.world, job_a, night.wall, 3)

    assert coming == [instant(f"2026-01-{day} 02:00") for day in ("05", "06", "07")]


def test_coming_slots_begin_after_a_pause():
    night = Night(A)
    night.asks(control_requests.PauseJob("a", 36 * 3600))

    coming = build_views.next_slots(night.world, night.world.jobs["a"], night.wall, 2)

    assert coming == [instant("2026-01-07 02:00"), instant("2026-01-08 02:00")]


def test_after_a_clock_went_back_the_coming_slot_is_the_one_that_will_be_opened():
    night = Night(job("a", cron="0 * * * *"))
    night.at("06:00")

    night.clock_is_set_to("2026-01-05 02:30")

    assert night.next_at("a") == instant("2026-01-05 07:00")


def test_a_job_without_cron_has_no_coming_slot():
    assert Night(job("a")).next_at("a") is None
