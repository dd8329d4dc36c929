"""Views: what `status` shows of a state."""

import pytest

from supervisor.core import build_views, control_requests
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Done

A = job("a", cron="0 2 * * *")


def test_jobs_stand_in_the_order_of_the_file():
    harness = Harness(job("c"), job("a"), job("b"))

    assert [each.name for each in harness.status().jobs] == ["c", "a", "b"]


def test_a_job_that_has_not_run_has_no_last_result():
    assert Harness(A).status().jobs[0].last is None


def test_the_last_result_is_the_newest_final_one():
    harness = Harness(job("a", cron="0 2,3 * * *"))
    harness.at("02:00")
    harness.after(seconds=90)
    harness.ends("a", status=2)
    harness.at("03:00")

    last = harness.status().jobs[0].last

    assert (last.run, last.state, last.cause) == (1, "failed", "exit status 2")
    assert last.duration_seconds == 90.0


def test_open_runs_are_shown_with_the_oldest_first():
    harness = Harness(A, job("b", cron="0 1 * * *"))
    harness.at("02:00")

    assert [run.job for run in harness.status().runs] == ["b", "a"]


@pytest.mark.parametrize(
    ("jobs", "places", "cause"),
    [
        ([job("hog", cron="59 1 * * *"), A], 1, "waits for the only place in the pool"),
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
    harness = Harness(*jobs, max_concurrent=places)
    harness.at("02:00")

    shown = next(run for run in harness.status().runs if run.job == "a")

    assert (shown.state, shown.cause) == ("pending", cause)


def test_the_pool_counts_living_trees_and_pending_runs():
    harness = Harness(*[job(name, cron="0 2 * * *") for name in "abc"], max_concurrent=2)
    harness.at("02:00")
    harness.exits("a")

    pool = harness.status().pool

    assert (pool.max, pool.running, pool.pending) == (2, 2, 1)


def test_a_result_is_shown_as_a_value():
    harness = Harness(job("a", worker="w.f", cron="0 2 * * *"))
    harness.at("02:00")
    harness.says("a", Done({"rows": 3, "name": "x"}))
    harness.ends("a")

    assert build_views.run_view(harness.run("a")).result == {"rows": 3, "name": "x"}


def test_a_run_view_tells_its_attempts():
    harness = Harness(job("a", cron="0 2 * * *", retries=1))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:05")
    harness.ends("a")

    shown = build_views.run_view(harness.run("a"), harness.ledger.attempts.values())

    assert [(each.number, each.cause) for each in shown.attempts] == [
        (1, "exit status 1"),
        (2, ""),
    ]


def test_open_incidents_are_shown():
    harness = Harness(A)
    harness.at("02:00")
    harness.ends("a", status=1)

    [shown] = harness.status().incidents

    assert (shown.job, shown.kind, shown.count, shown.cause) == ("a", "exit", 1, "exit status 1")


def test_coming_slots_are_those_that_would_run():
    harness = Harness(A)
    job_a = harness.scheduler.jobs["a"]

    coming = build_views.next_slots(harness.scheduler, job_a, harness.wall, 3)

    assert coming == [instant(f"2026-01-{day} 02:00") for day in ("05", "06", "07")]


def test_coming_slots_begin_after_a_pause():
    harness = Harness(A)
    harness.asks(control_requests.PauseJob("a", 36 * 3600))

    coming = build_views.next_slots(
        harness.scheduler, harness.scheduler.jobs["a"], harness.wall, 2
    )

    assert coming == [instant("2026-01-07 02:00"), instant("2026-01-08 02:00")]


def test_after_a_clock_went_back_the_coming_slot_is_the_one_that_will_be_opened():
    harness = Harness(job("a", cron="0 * * * *"))
    harness.at("06:00")

    harness.clock_is_set_to("2026-01-05 02:30")

    assert harness.next_at("a") == instant("2026-01-05 07:00")


def test_a_job_without_cron_has_no_coming_slot():
    assert Harness(job("a")).next_at("a") is None
