"""Start-up runs: one at each start of the service, and at no other time."""

from tests.core.core_harness import Night, instant, job


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
