"""Which run of a dependency counts when its slots were blocked, skipped, missed, paused or dry."""

from supervisor.core import control_requests
from supervisor.core.config_model import CatchUp
from tests.core.core_harness import Harness, job
from tests.core.simulated_ledger import ran_before
from workers.protocol import Done

A = job("a", cron="0 2 * * *")
B = job("b", cron="0 3 * * *", deps=["a"])


def test_a_slot_skipped_by_overlap_stands_for_the_run_that_blocked_it():
    harness = Harness(job("a", cron="0,30 2 * * *"), B)
    harness.at("03:00")
    before = harness.run("b").state

    harness.ends("a")

    assert harness.states("a") == ["success", "skipped"]
    assert before == "pending"
    assert harness.run("b").state == "running"


def test_a_slot_skipped_by_overlap_fails_with_the_run_that_blocked_it():
    harness = Harness(job("a", cron="0,30 2 * * *"), B)
    harness.at("03:00")

    harness.ends("a", status=1)

    assert harness.run("b").cause == "dependency a failed at 2026-01-05 02:00 UTC: exit status 1"


def test_a_slot_skipped_by_overlap_stands_for_its_blocker_however_many_it_blocked():
    harness = Harness(
        job("a", cron="*/5 * * * *"),
        job("b", cron="0 3 * * *", deps=["a"]),
        start="2026-01-05 01:59",
    )

    harness.at("03:00")

    assert harness.run("b").state == "pending"


def test_a_dependency_that_was_skipped_for_its_own_dependency_skips_on():
    harness = Harness(A, B, job("c", cron="0 4 * * *", deps=["b"]))
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.at("04:00")

    assert harness.run("c").cause == (
        "dependency b was skipped at 2026-01-05 03:00 UTC: "
        "dependency a failed at 2026-01-05 02:00 UTC: exit status 1"
    )


def test_a_chain_of_one_minute_is_skipped_to_its_end():
    harness = Harness(
        job("a", cron="0 2 * * *"),
        job("b", cron="0 2 * * *", deps=["a"]),
        job("c", cron="0 2 * * *", deps=["b"]),
    )
    harness.at("02:00")

    harness.ends("a", status=1)

    assert harness.states("b") == ["skipped"]
    assert harness.states("c") == ["skipped"]


def test_a_missed_dependency_skips_the_run():
    harness = Harness(
        job("a", cron="0 2 * * *", catch_up=CatchUp.NONE), B,
        start="2026-01-05 02:30", remembers=ran_before("a", "2026-01-04 02:00"),
    )  # fmt: skip

    harness.at("03:00")

    assert harness.run("a").state == "missed"
    assert harness.run("b").cause.startswith("dependency a was missed at 2026-01-05 02:00 UTC")


def test_a_cancelled_dependency_skips_the_run():
    harness = Harness(A, B)
    harness.at("02:00")
    harness.asks(control_requests.CancelJob("a"))
    harness.ends("a", signal=15)

    harness.at("03:00")

    assert harness.run("b").cause == (
        "dependency a was cancelled at 2026-01-05 02:00 UTC: cancelled by uid 1000"
    )


def test_in_a_diamond_one_failure_is_enough():
    harness = Harness(
        job("top", cron="0 2 * * *"),
        job("left", cron="0 2 * * *", deps=["top"]),
        job("right", cron="0 2 * * *", deps=["top"]),
        job("bottom", cron="0 2 * * *", deps=["left", "right"]),
    )
    harness.at("02:00")
    harness.ends("top")
    harness.ends("left")

    harness.ends("right", status=1)

    assert harness.run("bottom").state == "skipped"
    assert "dependency right failed" in harness.run("bottom").cause


def test_a_dry_run_satisfies_no_dependency():
    harness = Harness(job("a", worker="w.f"), B)
    harness.at("02:00")
    harness.asks(control_requests.RunJobs(("a",), dry_run=True))
    harness.says("a", Done({}))
    harness.ends("a")

    harness.at("03:00")

    assert harness.run("b").cause == "a has not run yet"


def test_a_slot_that_a_dry_run_blocked_satisfies_no_dependency():
    harness = Harness(
        job("a", worker="w.f", cron="0 2 * * *"), B, remembers=ran_before("a", "2026-01-04 02:00")
    )
    harness.at("01:59")
    harness.asks(control_requests.RunJobs(("a",), dry_run=True))
    harness.at("02:30")
    harness.says("a", Done({}))
    harness.ends("a")

    harness.at("03:00")

    assert harness.run("b").cause == (
        "dependency a was skipped at 2026-01-05 02:00 UTC: run 2 is still running"
    )


def test_a_dry_run_with_deps_is_a_dry_run_of_each_of_them():
    harness = Harness(job("a", worker="w.f"), job("b", worker="w.f", deps=["a"]))

    harness.asks(control_requests.RunJobs(("b",), with_deps=True, dry_run=True))

    assert harness.run("a").dry_run


def test_dry_runs_among_each_other_are_not_skipped_for_lack_of_a_real_one():
    harness = Harness(job("a", worker="w.f"), job("b", worker="w.f", deps=["a"]))
    harness.asks(control_requests.RunJobs(("a", "b"), with_deps=True, dry_run=True))

    harness.says("a", Done({}))
    harness.ends("a")

    assert harness.run("b").state == "running"


def test_a_paused_slot_is_the_newest_though_an_older_run_succeeds_after_it():
    harness = Harness(job("a", cron="0 2,3 * * *"), job("b", cron="30 3 * * *", deps=["a"]))
    harness.at("02:00")
    harness.asks(control_requests.PauseJob("a", None))
    harness.at("03:10")
    harness.ends("a")

    harness.at("03:30")

    assert harness.run("b").cause == (
        "dependency a was skipped at 2026-01-05 03:00 UTC: paused by uid 1000"
    )


def test_a_failed_blocker_is_remembered_over_a_restart_however_many_slots_it_blocked():
    harness = Harness(job("a", cron="*/5 * * * *"), B, start="2026-01-05 01:04")
    harness.at("01:05")
    harness.ends("a")
    harness.at("02:55")
    harness.ends("a", status=1)
    harness.stops()

    harness.starts("02:56", job("a"), B)
    harness.at("03:00")

    assert harness.run("b").state == "skipped"
