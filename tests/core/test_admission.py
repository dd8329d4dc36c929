"""Admission: the order of pending runs, and which runs do not block others."""

from supervisor.core import control_requests, effects
from supervisor.core.config_model import Overlap
from supervisor.core.model import Run
from tests.core.core_harness import Harness, job


def test_slots_of_a_minute_begin_in_the_order_of_the_file():
    harness = Harness(
        job("c", cron="0 2 * * *"), job("a", cron="0 2 * * *"), job("b", cron="0 2 * * *")
    )

    harness.at("02:00")

    assert harness.live() == ["c", "a", "b"]


def test_what_was_due_earlier_begins_before_what_stands_earlier_in_the_file():
    harness = Harness(
        job("first", cron="1 2 * * *"),
        job("second", cron="0 2 * * *"),
        job("long", cron="59 1 * * *"),
        max_concurrent=1,
    )
    harness.at("02:01")

    harness.ends("long")

    assert harness.live() == ["second"]


def test_no_more_runs_live_than_the_pool_has_places():
    jobs = [job(name, cron="0 2 * * *") for name in "abcde"]
    harness = Harness(*jobs, max_concurrent=2)

    harness.at("02:00")

    assert harness.live() == ["a", "b"]
    assert [harness.run(name).state for name in "cde"] == ["pending"] * 3


def test_the_place_is_free_as_soon_as_the_tree_is_empty():
    jobs = [job(name, cron="0 2 * * *") for name in "ab"]
    harness = Harness(*jobs, max_concurrent=1)
    harness.at("02:00")

    harness.exits("a")
    while_tree_lives = harness.live()
    harness.empties("a")

    assert while_tree_lives == []
    assert harness.live() == ["b"]


def test_a_run_that_waits_for_its_group_blocks_no_other():
    harness = Harness(
        job("a", cron="0 2 * * *", exclusive="data"),
        job("b", cron="0 2 * * *", exclusive="data"),
        job("c", cron="0 2 * * *"),
        max_concurrent=2,
    )

    harness.at("02:00")

    assert harness.live() == ["a", "c"]
    assert harness.waits("b") == "waits for a (run 1), which holds the group data"


def test_a_run_that_waits_for_its_dependency_blocks_no_other():
    harness = Harness(
        job("slow", cron="0 2 * * *"),
        job("after", cron="0 2 * * *", deps=["slow"]),
        job("other", cron="0 2 * * *"),
        max_concurrent=2,
    )

    harness.at("02:00")

    assert harness.live() == ["slow", "other"]


def test_a_retrying_run_takes_no_place():
    harness = Harness(
        job("a", cron="0 2 * * *", retries=1), job("b", cron="0 2 * * *"), max_concurrent=1
    )
    harness.at("02:00")

    harness.ends("a", status=1)

    assert harness.run("a").state == "retrying"
    assert harness.live() == ["b"]


def test_a_retry_begins_before_what_was_due_after_its_run():
    harness = Harness(
        job("b", cron="1 1 * * *"), job("a", cron="0 1 * * *", retries=1, retry_delay_s=60.0),
        job("hog", cron="0 1 * * *"), max_concurrent=1,
    )  # fmt: skip
    harness.at("01:00")
    harness.ends("a", status=1)
    harness.at("01:02")

    harness.ends("hog")

    assert harness.live() == ["a"]


def test_between_attempts_the_group_is_free():
    harness = Harness(
        job("a", cron="0 2 * * *", retries=1, exclusive="data"),
        job("b", cron="0 2 * * *", exclusive="data"),
    )
    harness.at("02:00")

    harness.ends("a", status=1)

    assert harness.live() == ["b"]


def test_two_runs_of_a_group_never_live_together_though_one_tree_has_only_leftovers():
    harness = Harness(
        job("a", cron="0 2 * * *", exclusive="data"),
        job("b", cron="0 2 * * *", exclusive="data"),
    )
    harness.at("02:00")

    harness.exits("a")

    assert harness.run("a").state == "success"
    assert harness.run("b").state == "pending"


def test_groups_of_different_names_do_not_wait_for_each_other():
    harness = Harness(
        job("a", cron="0 2 * * *", exclusive="data"),
        job("b", cron="0 2 * * *", exclusive="mail"),
    )

    harness.at("02:00")

    assert harness.live() == ["a", "b"]


def test_a_group_is_kept_by_the_definition_that_was_launched():
    harness = Harness(job("a", cron="0 2 * * *", exclusive="data"), job("b", exclusive="data"))
    harness.at("02:00")

    harness.reloads(job("a", cron="0 2 * * *"), job("b", exclusive="data"))
    harness.asks(control_requests.RunJobs(("b",)))

    assert harness.live() == ["a"]


def test_a_larger_pool_admits_at_once():
    jobs = [job(name, cron="0 2 * * *") for name in "ab"]
    harness = Harness(*jobs, max_concurrent=1)
    harness.at("02:00")

    harness.reloads(*jobs, max_concurrent=2)

    assert harness.live() == ["a", "b"]


def test_a_smaller_pool_lets_live_runs_finish_and_admits_none_until_then():
    jobs = [job(name, cron="0 2 * * *") for name in "abc"]
    harness = Harness(*jobs, max_concurrent=2)
    harness.at("02:00")

    harness.reloads(*jobs, max_concurrent=1)
    harness.ends("a")

    assert harness.live() == ["b"]


def test_replacing_a_run_that_will_not_end_delays_no_other_job():
    harness = Harness(
        job("deaf", cron="* * * * *", overlap=Overlap.REPLACE),
        job("other", cron="2 0 * * *"),
        max_concurrent=2,
    )
    harness.at("00:01")

    harness.at("00:02")

    assert harness.live() == ["deaf", "other"]


def test_run_all_goes_one_at_a_time_in_the_order_of_the_file():
    harness = Harness(*[job(name) for name in "cab"])
    harness.asks(control_requests.RunAll())

    order = []
    while harness.live():
        [name] = harness.live()
        order.append(name)
        harness.ends(name)

    assert order == ["c", "a", "b"]


def test_a_run_asked_for_with_all_others_says_whom_it_waits_for():
    harness = Harness(job("a"), job("b", exclusive="data"))
    harness.asks(control_requests.RunAll())

    assert harness.waits("b") == "waits for run 1 of a: all of them run one at a time"


def test_run_all_goes_after_dependencies_first():
    harness = Harness(job("last", deps=["first"]), job("first"))
    harness.asks(control_requests.RunAll())

    harness.ends("first")

    assert harness.live() == ["last"]


def test_the_end_of_one_run_writes_no_rows_of_waiting_runs():
    harness = Harness(*[job(f"j{n}", exclusive="data") for n in range(20)])
    harness.asks(control_requests.RunAll())
    harness.actions.clear()

    harness.ends("j0")

    recorded = {
        action.row.job
        for action in harness.actions
        if isinstance(action, effects.Record) and isinstance(action.row, Run)
    }
    assert recorded == {"j0", "j1"}
