"""Dependencies: decided by recorded runs, never by the calendar."""

from supervisor.core import control_requests
from supervisor.core.model import CatchUp, Overlap
from tests.core.core_harness import Ledger, Night, instant, job, ran_before
from workers.protocol import Done

A = job("a", cron="0 2 * * *")
B = job("b", cron="0 3 * * *", deps=["a"])


def test_a_dependency_that_succeeded_lets_the_run_start():
    night = Night(A, B)
    night.at("02:00")
    night.ends("a")

    night.at("03:00")

    assert night.run("b").state == "running"


def test_a_run_waits_while_its_dependency_runs():
    night = Night(A, B)

    night.at("03:00")

    assert night.run("b").state == "pending"
    assert night.waits("b") == "waits for run 1 of a"


def test_a_run_waits_while_its_dependency_is_retrying():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=3600), B)
    night.at("02:30")
    night.ends("a", status=1)

    night.at("03:00")

    assert night.run("b").state == "pending"


def test_a_waiting_run_starts_when_its_dependency_has_succeeded():
    night = Night(A, B)
    night.at("03:00")

    night.ends("a")

    assert night.living() == ["b"]


def test_a_run_is_skipped_when_its_dependency_failed_and_tells_why():
    night = Night(A, B)
    night.at("02:00")
    night.ends("a", status=1)

    night.at("03:00")

    assert night.run("b").state == "skipped"
    assert night.run("b").reason == "dependency"
    assert night.run("b").cause == "dependency a failed at 2026-01-05 02:00 UTC: exit status 1"


def test_a_dependency_of_the_same_minute_goes_first_wherever_it_stands_in_the_file():
    night = Night(job("b", cron="0 2 * * *", deps=["a"]), A)

    night.at("02:00")
    first = night.living()
    night.ends("a")

    assert first == ["a"]
    assert night.living() == ["b"]


def test_a_dependency_that_has_never_run_skips_the_run():
    night = Night(job("a"), B)

    night.at("03:00")

    assert night.run("b").cause == "a has not run yet"


def test_a_dependency_never_starts_anything():
    night = Night(job("a"), B)

    night.at("03:00")

    assert night.runs("a") == []


def test_a_later_success_does_not_revive_a_skipped_run():
    night = Night(A, B)
    night.at("02:00")
    night.ends("a", status=1)
    night.at("03:00")

    night.asks(control_requests.RunJobs(("a",)))
    night.ends("a")
    night.at("04:00")

    assert night.states("b") == ["skipped"]


def test_a_later_success_satisfies_a_run_that_still_waits():
    night = Night(job("a", cron="0 2 * * *", overlap=Overlap.QUEUE), B)
    night.at("03:10")
    night.asks(control_requests.RunJobs(("a",)))

    night.ends("a", status=1)
    waits = night.waits("b")
    night.ends("a")

    assert waits == "waits for run 3 of a"
    assert night.living() == ["b"]


def test_what_a_dependency_did_while_the_pool_was_full_is_judged_as_it_is_then():
    night = Night(A, B, job("long", cron="0 1 * * *"), max_concurrent=1)
    night.at("03:00")
    night.ends("long")

    night.ends("a", status=1)

    assert night.run("b").state == "skipped"


def test_a_success_of_after_my_instant_is_nothing_to_a_dependency_that_had_not_run():
    night = Night(job("a"), B, job("long", cron="0 1 * * *"), max_concurrent=1)
    night.at("03:10")
    night.asks(control_requests.RunJobs(("a",)))

    night.ends("long")

    assert night.run("b").cause == "a has not run yet"


def test_a_failure_mended_by_hand_before_the_slot_satisfies_it():
    night = Night(A, B)
    night.at("02:00")
    night.ends("a", status=1)
    night.asks(control_requests.RunJobs(("a",)))
    night.ends("a")

    night.at("03:00")

    assert night.run("b").state == "running"


def test_the_newest_run_counts_and_not_an_older_success():
    night = Night(job("a", cron="0,30 2 * * *"), B)
    night.at("02:00")
    night.ends("a")
    night.at("02:30")
    night.ends("a", status=1)

    night.at("03:00")

    assert night.run("b").state == "skipped"


def test_the_newest_run_counts_however_many_succeeded_before_it():
    night = Night(job("a", cron="*/5 * * * *"), B)
    while night.wall < instant("2026-01-05 02:50"):
        night.after(minutes=5)
        night.ends("a")
    night.at("02:55")
    night.ends("a", status=1)
    night.reloads(job("a"), B)

    night.at("03:00")

    assert night.run("b").cause == "dependency a failed at 2026-01-05 02:55 UTC: exit status 1"


def test_a_slot_skipped_by_overlap_stands_for_the_run_that_blocked_it():
    night = Night(job("a", cron="0,30 2 * * *"), B)
    night.at("03:00")
    before = night.run("b").state

    night.ends("a")

    assert night.states("a") == ["success", "skipped"]
    assert before == "pending"
    assert night.run("b").state == "running"


def test_a_slot_skipped_by_overlap_fails_with_the_run_that_blocked_it():
    night = Night(job("a", cron="0,30 2 * * *"), B)
    night.at("03:00")

    night.ends("a", status=1)

    assert night.run("b").cause == "dependency a failed at 2026-01-05 02:00 UTC: exit status 1"


def test_a_slot_skipped_by_overlap_stands_for_its_blocker_however_many_it_blocked():
    night = Night(
        job("a", cron="*/5 * * * *"),
        job("b", cron="0 3 * * *", deps=["a"]),
        start="2026-01-05 01:59",
    )

    night.at("03:00")

    assert night.run("b").state == "pending"


def test_a_dependency_that_was_skipped_for_its_own_dependency_skips_on():
    night = Night(A, B, job("c", cron="0 4 * * *", deps=["b"]))
    night.at("02:00")
    night.ends("a", status=1)

    night.at("04:00")

    assert night.run("c").cause == (
        "dependency b was skipped at 2026-01-05 03:00 UTC: "
        "dependency a failed at 2026-01-05 02:00 UTC: exit status 1"
    )


def test_a_chain_of_one_minute_is_skipped_to_its_end():
    night = Night(
        job("a", cron="0 2 * * *"),
        job("b", cron="0 2 * * *", deps=["a"]),
        job("c", cron="0 2 * * *", deps=["b"]),
    )
    night.at("02:00")

    night.ends("a", status=1)

    assert night.states("b") == ["skipped"]
    assert night.states("c") == ["skipped"]


def test_a_missed_dependency_skips_the_run():
    night = Night(
        job("a", cron="0 2 * * *", catch_up=CatchUp.NONE), B,
        start="2026-01-05 02:30", remembers=ran_before("a", "2026-01-04 02:00"),
    )  # fmt: skip

    night.at("03:00")

    assert night.run("a").state == "missed"
    assert night.run("b").cause.startswith("dependency a was missed at 2026-01-05 02:00 UTC")


def test_a_cancelled_dependency_skips_the_run():
    night = Night(A, B)
    night.at("02:00")
    night.asks(control_requests.CancelJob("a"))
    night.ends("a", signal=15)

    night.at("03:00")

    assert night.run("b").cause == (
        "dependency a was cancelled at 2026-01-05 02:00 UTC: cancelled by uid 1000"
    )


def test_in_a_diamond_one_failure_is_enough():
    night = Night(
        job("top", cron="0 2 * * *"),
        job("left", cron="0 2 * * *", deps=["top"]),
        job("right", cron="0 2 * * *", deps=["top"]),
        job("bottom", cron="0 2 * * *", deps=["left", "right"]),
    )
    night.at("02:00")
    night.ends("top")
    night.ends("left")

    night.ends("right", status=1)

    assert night.run("bottom").state == "skipped"
    assert "dependency right failed" in night.run("bottom").cause


def test_in_a_diamond_the_last_success_opens_the_way():
    night = Night(
        job("bottom", cron="0 2 * * *", deps=["left", "right"]),
        job("left", cron="0 2 * * *", deps=["top"]),
        job("right", cron="0 2 * * *", deps=["top"]),
        job("top", cron="0 2 * * *"),
    )
    night.at("02:00")
    night.ends("top")
    night.ends("right")
    before = night.run("bottom").state

    night.ends("left")

    assert before == "pending"
    assert night.living() == ["bottom"]


def test_a_failed_dependency_is_heard_of_though_another_is_still_open():
    night = Night(
        job("slow", cron="0 2 * * *"),
        job("bad", cron="0 2 * * *"),
        job("b", cron="0 2 * * *", deps=["slow", "bad"]),
    )
    night.at("02:00")

    night.ends("bad", status=1)

    assert night.run("b").state == "skipped"


def test_a_manual_run_ignores_dependencies():
    night = Night(A, B)
    night.at("02:00")
    night.ends("a", status=1)

    night.asks(control_requests.RunJobs(("b",)))

    assert night.run("b").state == "running"


def test_with_deps_opens_one_run_of_each_under_one_instant():
    night = Night(job("c", deps=["b"]), job("b", deps=["a"]), job("a"), job("other"))
    night.after(seconds=90)

    reply = night.asks(control_requests.RunJobs(("c",), with_deps=True))

    assert len(reply.runs) == 3
    assert [night.run(name).due for name in "abc"] == [night.wall] * 3
    assert {night.run(name).trigger for name in "abc"} == {"manual"}
    assert night.living() == ["a"]
    assert night.runs("other") == []


def test_with_deps_skips_mine_when_a_dependency_fails():
    night = Night(job("a"), job("b", deps=["a"]))
    night.asks(control_requests.RunJobs(("b",), with_deps=True))

    night.ends("a", status=3)

    assert night.run("b").state == "skipped"


def test_a_startup_run_heeds_dependencies():
    night = Night(job("a"), job("b", deps=["a"], run_on_startup=True))

    assert night.run("b").cause == "a has not run yet"


def test_a_retry_is_not_judged_again():
    night = Night(A, job("b", cron="0 3 * * *", deps=["a"], retries=1))
    night.at("02:00")
    night.ends("a")
    night.at("03:00")
    night.asks(control_requests.RunJobs(("a",)))
    night.ends("b", status=1)
    night.ends("a", status=1)

    night.at("03:02")

    assert night.run("b").state == "running"
    assert night.run("b").attempt == 2


def test_a_success_of_days_ago_counts_if_it_is_the_newest_run():
    night = Night(job("a"), B, remembers=ran_before("a", "2025-12-01 02:00"))

    night.at("03:00")

    assert night.run("b").state == "running"


def test_a_run_that_waits_for_its_group_keeps_its_dependency_however_often_that_fails_later():
    night = Night(
        A, job("b", cron="0 3 * * *", deps=["a"], exclusive="data"), job("hog", exclusive="data")
    )
    night.at("02:00")
    night.ends("a")
    night.asks(control_requests.RunJobs(("hog",)))
    night.at("03:00")

    for _ in range(12):
        night.after(seconds=1)
        night.asks(control_requests.RunJobs(("a",)))
        night.ends("a", status=1)
    night.ends("hog")

    assert night.run("b").state == "running"


def test_a_dry_run_satisfies_nobody():
    night = Night(job("a", worker="w.f"), B)
    night.at("02:00")
    night.asks(control_requests.RunJobs(("a",), dry_run=True))
    night.says("a", Done({}))
    night.ends("a")

    night.at("03:00")

    assert night.run("b").cause == "a has not run yet"


def test_a_slot_that_a_dry_run_blocked_satisfies_nobody():
    night = Night(
        job("a", worker="w.f", cron="0 2 * * *"), B, remembers=ran_before("a", "2026-01-04 02:00")
    )
    night.at("01:59")
    night.asks(control_requests.RunJobs(("a",), dry_run=True))
    night.at("02:30")
    night.says("a", Done({}))
    night.ends("a")

    night.at("03:00")

    assert night.run("b").cause == (
        "dependency a was skipped at 2026-01-05 02:00 UTC: run 2 is still running"
    )


def test_a_dry_run_with_deps_is_a_dry_run_of_each_of_them():
    night = Night(job("a", worker="w.f"), job("b", worker="w.f", deps=["a"]))

    night.asks(control_requests.RunJobs(("b",), with_deps=True, dry_run=True))

    assert night.run("a").dry_run


def test_dry_runs_among_each_other_are_not_skipped_for_lack_of_a_real_one():
    night = Night(job("a", worker="w.f"), job("b", worker="w.f", deps=["a"]))
    night.asks(control_requests.RunJobs(("a", "b"), with_deps=True, dry_run=True))

    night.says("a", Done({}))
    night.ends("a")

    assert night.run("b").state == "running"


def test_what_a_dependency_did_is_remembered_over_a_restart():
    night = Night(A, B)
    night.at("02:00")
    night.ends("a", status=1)
    night.stops()

    night.starts("02:30")
    night.at("03:00")

    assert night.run("b").state == "skipped"


def test_a_paused_slot_is_the_newest_though_an_older_run_succeeds_after_it():
    night = Night(job("a", cron="0 2,3 * * *"), job("b", cron="30 3 * * *", deps=["a"]))
    night.at("02:00")
    night.asks(control_requests.PauseJob("a", None))
    night.at("03:10")
    night.ends("a")

    night.at("03:30")

    assert night.run("b").cause == (
        "dependency a was skipped at 2026-01-05 03:00 UTC: paused by uid 1000"
    )


def test_a_failed_blocker_is_remembered_over_a_restart_however_many_slots_it_blocked():
    night = Night(job("a", cron="*/5 * * * *"), B, start="2026-01-05 01:04")
    night.at("01:05")
    night.ends("a")
    night.at("02:55")
    night.ends("a", status=1)
    night.stops()

    night.starts("02:56", job("a"), B)
    night.at("03:00")

    assert night.run("b").state == "skipped"


def test_an_empty_ledger_has_no_dependencies():
    night = Night(job("a"), job("b", deps=["a"]), remembers=Ledger())

    night.asks(control_requests.RunJobs(("b",)))

    assert night.run("b").state == "running"
