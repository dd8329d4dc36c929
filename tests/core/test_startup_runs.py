"""Start-up runs: one at each start of the service, and at no other time."""

from tests.core.core_harness import Harness, instant, job


def test_run_on_startup_opens_a_run_at_each_start():
    harness = Harness(job("a", run_on_startup=True))
    harness.ends("a")
    harness.stops()

    harness.starts("01:00")

    assert [run.trigger for run in harness.runs("a")] == ["startup", "startup"]
    assert harness.run("a").slot is None
    assert harness.run("a").due == instant("2026-01-05 01:00")


def test_a_reload_opens_no_startup_run():
    harness = Harness(job("a"))

    harness.reloads(job("a", run_on_startup=True), job("b", run_on_startup=True))

    assert harness.runs("a") == harness.runs("b") == []


def test_a_disabled_job_has_a_skipped_startup_run():
    harness = Harness(job("a", run_on_startup=True, enabled=False))

    assert harness.states("a") == ["skipped"]


def test_startup_runs_begin_in_the_order_of_the_file():
    harness = Harness(*[job(name, run_on_startup=True) for name in "cab"])

    assert harness.live() == ["c", "a", "b"]
