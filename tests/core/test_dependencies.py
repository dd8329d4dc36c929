"""Dependencies: decided by recorded runs, never by the calendar."""

from supervisor.core import control_requests
from supervisor.core.config_model import Overlap
from tests.core.core_harness import Harness, instant, job
from tests.core.simulated_ledger import Ledger, ran_before

A = job("a", cron="0 2 * * *")
B = job("b", cron="0 3 * * *", deps=["a"])


def test_a_dependency_that_succeeded_lets_the_run_start():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.ends("a")

    harness.at("03:00")

    assert harness.run("b").state == "running"


def test_a_run_waits_while_its_dependency_runs():
    harness = Harness(A, B)

    harness.at("03:00")

    assert harness.run("b").state == "pending"
    assert harness.waits("b") == "waits for run 1 of a"


def test_a_run_waits_while_its_dependency_is_retrying():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=3600), B)
    harness.at("02:30")
    harness.ends("a", status=1)

    harness.at("03:00")

    assert harness.run("b").state == "pending"


def test_a_waiting_run_starts_when_its_dependency_has_succeeded():
    harness = Harness(A, B)
    harness.at("03:00")

    harness.ends("a")

    assert harness.live() == ["b"]


def test_a_run_is_skipped_when_its_dependency_failed_and_tells_why():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.at("03:00")

    assert harness.run("b").state == "skipped"
    assert harness.run("b").reason == "dependency"
    assert harness.run("b").cause == "dependency a failed at 2026-01-05 02:00 UTC: exit status 1"


def test_a_dependency_of_the_same_minute_goes_first_wherever_it_stands_in_the_file():
    harness = Harness(job("b", cron="0 2 * * *", deps=["a"]), A)

    harness.at("02:00")
    first = harness.live()
    harness.ends("a")

    assert first == ["a"]
    assert harness.live() == ["b"]


def test_a_dependency_that_has_never_run_skips_the_run():
    harness = Harness(job("a"), B)

    harness.at("03:00")

    assert harness.run("b").cause == "a has not run yet"


def test_a_dependency_never_starts_anything():
    harness = Harness(job("a"), B)

    harness.at("03:00")

    assert harness.runs("a") == []


def test_a_later_success_does_not_revive_a_skipped_run():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("03:00")

    harness.asks(control_requests.RunJobs(("a",)))
    harness.ends("a")
    harness.at("04:00")

    assert harness.states("b") == ["skipped"]


def test_a_later_success_satisfies_a_run_that_still_waits():
    harness = Harness(job("a", cron="0 2 * * *", overlap=Overlap.QUEUE), B)
    harness.at("03:10")
    harness.asks(control_requests.RunJobs(("a",)))

    harness.ends("a", status=1)
    waits = harness.waits("b")
    harness.ends("a")

    assert waits == "waits for run 3 of a"
    assert harness.live() == ["b"]


def test_what_a_dependency_did_while_the_pool_was_full_is_judged_as_it_is_then():
    harness = Harness(A, B, job("long", cron="0 1 * * *"), max_concurrent=1)
    harness.at("03:00")
    harness.ends("long")

    harness.ends("a", status=1)

    assert harness.run("b").state == "skipped"


def test_a_success_of_after_my_instant_is_nothing_to_a_dependency_that_had_not_run():
    harness = Harness(job("a"), B, job("long", cron="0 1 * * *"), max_concurrent=1)
    harness.at("03:10")
    harness.asks(control_requests.RunJobs(("a",)))

    harness.ends("long")

    assert harness.run("b").cause == "a has not run yet"


def test_a_failure_fixed_by_hand_before_the_slot_satisfies_it():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.asks(control_requests.RunJobs(("a",)))
    harness.ends("a")

    harness.at("03:00")

    assert harness.run("b").state == "running"


def test_the_newest_run_counts_and_not_an_older_success():
    harness = Harness(job("a", cron="0,30 2 * * *"), B)
    harness.at("02:00")
    harness.ends("a")
    harness.at("02:30")
    harness.ends("a", status=1)

    harness.at("03:00")

    assert harness.run("b").state == "skipped"


def test_the_newest_run_counts_however_many_succeeded_before_it():
    harness = Harness(job("a", cron="*/5 * * * *"), B)
    while harness.wall < instant("2026-01-05 02:50"):
        harness.after(minutes=5)
        harness.ends("a")
    harness.at("02:55")
    harness.ends("a", status=1)
    harness.reloads(job("a"), B)

    harness.at("03:00")

    assert harness.run("b").cause == "dependency a failed at 2026-01-05 02:55 UTC: exit status 1"


def test_in_a_diamond_the_run_starts_after_the_last_success():
    harness = Harness(
        job("bottom", cron="0 2 * * *", deps=["left", "right"]),
        job("left", cron="0 2 * * *", deps=["top"]),
        job("right", cron="0 2 * * *", deps=["top"]),
        job("top", cron="0 2 * * *"),
    )
    harness.at("02:00")
    harness.ends("top")
    harness.ends("right")
    before = harness.run("bottom").state

    harness.ends("left")

    assert before == "pending"
    assert harness.live() == ["bottom"]


def test_a_failed_dependency_counts_though_another_is_still_open():
    harness = Harness(
        job("slow", cron="0 2 * * *"),
        job("bad", cron="0 2 * * *"),
        job("b", cron="0 2 * * *", deps=["slow", "bad"]),
    )
    harness.at("02:00")

    harness.ends("bad", status=1)

    assert harness.run("b").state == "skipped"


def test_a_manual_run_ignores_dependencies():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.asks(control_requests.RunJobs(("b",)))

    assert harness.run("b").state == "running"


def test_with_deps_opens_one_run_of_each_under_one_instant():
    harness = Harness(job("c", deps=["b"]), job("b", deps=["a"]), job("a"), job("other"))
    harness.after(seconds=90)

    reply = harness.asks(control_requests.RunJobs(("c",), with_deps=True))

    assert len(reply.runs) == 3
    assert [harness.run(name).due for name in "abc"] == [harness.wall] * 3
    assert {harness.run(name).trigger for name in "abc"} == {"manual"}
    assert harness.live() == ["a"]
    assert harness.runs("other") == []


def test_with_deps_skips_the_job_when_a_dependency_fails():
    harness = Harness(job("a"), job("b", deps=["a"]))
    harness.asks(control_requests.RunJobs(("b",), with_deps=True))

    harness.ends("a", status=3)

    assert harness.run("b").state == "skipped"


def test_a_startup_run_heeds_dependencies():
    harness = Harness(job("a"), job("b", deps=["a"], run_on_startup=True))

    assert harness.run("b").cause == "a has not run yet"


def test_a_retry_is_not_judged_again():
    harness = Harness(A, job("b", cron="0 3 * * *", deps=["a"], retries=1))
    harness.at("02:00")
    harness.ends("a")
    harness.at("03:00")
    harness.asks(control_requests.RunJobs(("a",)))
    harness.ends("b", status=1)
    harness.ends("a", status=1)

    harness.at("03:02")

    assert harness.run("b").state == "running"
    assert harness.run("b").attempt == 2


def test_a_success_of_days_ago_counts_if_it_is_the_newest_run():
    harness = Harness(job("a"), B, remembers=ran_before("a", "2025-12-01 02:00"))

    harness.at("03:00")

    assert harness.run("b").state == "running"


def test_a_run_that_waits_for_its_group_keeps_its_dependency_however_often_that_fails_later():
    harness = Harness(
        A, job("b", cron="0 3 * * *", deps=["a"], exclusive="data"), job("hog", exclusive="data")
    )
    harness.at("02:00")
    harness.ends("a")
    harness.asks(control_requests.RunJobs(("hog",)))
    harness.at("03:00")

    for _ in range(12):
        harness.after(seconds=1)
        harness.asks(control_requests.RunJobs(("a",)))
        harness.ends("a", status=1)
    harness.ends("hog")

    assert harness.run("b").state == "running"


def test_what_a_dependency_did_is_remembered_over_a_restart():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.stops()

    harness.starts("02:30")
    harness.at("03:00")

    assert harness.run("b").state == "skipped"


def test_an_empty_ledger_has_no_dependencies():
    harness = Harness(job("a"), job("b", deps=["a"]), remembers=Ledger())

    harness.asks(control_requests.RunJobs(("b",)))

    assert harness.run("b").state == "running"
