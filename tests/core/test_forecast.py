"""Forecast of a simulation: counts, waits, losses, busy minutes."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import events as ev
from supervisor.core.config_model import Config, Overlap
from supervisor.core.effects import Launch
from supervisor.core.model import Run, State, Trigger
from supervisor.core.simulation.engine import Ending, simulate
from supervisor.core.simulation.forecast import compare, forecast
from supervisor.core.simulation.sampling import (
    DurationProfile,
    outcome_sampler,
    profile_of,
    seeded_fraction,
)
from supervisor.core.simulation.wait_times import FEW
from tests.core.core_harness import in_file, instant, job

START = instant("2026-01-05 00:00")


def reported(*jobs, days=1, takes_s=None, foresee=None, start=START, **settings):
    """Return the forecast of these jobs; takes_s: duration by job name, 10 s by default."""
    settings.setdefault("max_concurrent", 10)
    config = Config(in_file(jobs), **settings)
    until = start + timedelta(days=days)
    lasting = takes_s or {}
    foresee = foresee or (lambda launch: Ending(lasting.get(launch.job.name, 10.0)))
    restored = ev.Restored(ev.At(start, 0.0), config, ev.Memory())
    return forecast(simulate(restored, until, foresee), config, start, until)


def test_each_run_is_counted_once_by_its_outcome():
    [count] = reported(job("a", cron="30 * * * *")).jobs

    assert (count.runs, count.success, count.attempts, count.busy_s) == (24, 24, 24, 240.0)
    assert (count.failed, count.skipped, count.other, count.waited) == (0, 0, 0, 0)


def test_a_full_pool_is_a_wait_for_a_place():
    jobs = [job(name, cron="0 2 * * *") for name in ("a", "b", "c")]

    found = reported(*jobs, takes_s={"a": 60.0, "b": 90.0}, max_concurrent=2)

    [wait] = found.waits
    assert (wait.job, wait.waited_for) == ("c", "one of 2 places in the pool")
    assert (wait.times, wait.total_s) == (1, 60.0)
    assert (found.most_living, found.full_s) == (2, 70.0)


def test_a_group_is_a_wait_for_its_holder():
    jobs = [job(name, cron="0 2 * * *", exclusive="disk") for name in ("a", "b")]

    [wait] = reported(*jobs, days=3).waits

    assert (wait.job, wait.waited_for) == ("b", "a (group disk)")
    assert (wait.times, wait.longest_s, wait.longest) == (3, 10.0, instant("2026-01-05 02:00"))


def test_a_dependency_that_still_runs_is_a_wait_for_it():
    jobs = [job("a", cron="0 2 * * *"), job("b", cron="1 2 * * *", deps=["a"])]

    [wait] = reported(*jobs, takes_s={"a": 150.0}).waits

    assert (wait.waited_for, wait.total_s) == ("a (dependency)", 90.0)


def test_a_run_that_waits_for_two_things_counts_in_both():
    jobs = [
        job("a", cron="0 2 * * *"),
        job("b", cron="0 2 * * *", exclusive="g"),
        job("c", cron="0 2 * * *", exclusive="g", deps=["a"]),
    ]

    found = reported(*jobs, takes_s={"a": 30.0, "b": 100.0})

    assert [(w.waited_for, w.total_s) for w in found.waits] == [
        ("b (group g)", 70.0),
        ("a (dependency)", 30.0),
    ]
    assert (found.jobs[2].waited, found.jobs[2].waited_s) == (1, 100.0)


def test_a_queued_run_waits_for_its_own_predecessor():
    found = reported(job("a", cron="0,1 2 * * *", overlap=Overlap.QUEUE), takes_s={"a": 200.0})

    assert found.waits[0].waited_for == "an earlier run of its own"
    assert found.waits[0].total_s == 140.0


def test_slots_that_come_while_a_run_lives_are_one_loss():
    found = reported(job("a", cron="0-4 2 * * *"), takes_s={"a": 200.0})

    [loss] = found.losses
    assert (loss.state, loss.reason, loss.times) == ("skipped", "overlap", 3)
    assert (loss.first, loss.last) == (instant("2026-01-05 02:01"), instant("2026-01-05 02:03"))
    assert loss.cause == "run 1 is still running"


def test_a_failed_dependency_is_a_loss_with_its_cause():
    foresee = outcome_sampler(
        {"a": DurationProfile(1, 1, failure=1.0), "b": DurationProfile(1, 1)}, 0
    )

    found = reported(
        job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *", deps=["a"]), foresee=foresee
    )

    assert [(loss.job, loss.state, loss.reason) for loss in found.losses] == [
        ("a", "failed", "exit"),
        ("b", "skipped", "dependency"),
    ]
    assert "dependency a failed at 2026-01-05 02:00 UTC" in found.losses[1].cause


def test_a_replaced_run_counts_apart():
    found = reported(job("a", cron="0,1 2 * * *", overlap=Overlap.REPLACE), takes_s={"a": 90.0})

    assert (found.jobs[0].success, found.jobs[0].other) == (1, 1)


def test_what_has_not_ended_is_open_and_counted_so_far():
    found = reported(job("a", cron="0 23 * * *"), takes_s={"a": 7200.0})

    assert (found.open_runs, found.jobs[0].success, found.jobs[0].busy_s) == (1, 0, 3600.0)


def test_the_busiest_minutes_come_first_and_equal_ones_are_one():
    jobs = [job(name, cron="0 2 * * *") for name in "abc"] + [job("d", cron="0 2,3 * * *")]

    found = reported(*jobs, job("e", cron="0 3 * * *"), job("f", cron="0 4 * * *"), days=2)

    assert [(m.first.hour, m.times, m.jobs) for m in found.busiest] == [
        (2, 2, ("a", "b", "c", "d")),
        (3, 2, ("d", "e")),
    ]


def test_moves_of_daylight_saving_are_reported_and_happen():
    harness = job("a", cron="30 2 * * *", timezone="Europe/Berlin")

    found = reported(harness, start=instant("2026-03-28 12:00"))

    assert [moved.words for moved in found.daylight_saving] == [
        "2026-03-29 02:30 does not exist in Europe/Berlin: it runs at 03:00"
    ]
    assert found.jobs[0].success == 1


def test_only_jobs_with_another_outcome_differ():
    before = reported(job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *"), job("old"))
    after = reported(job("a", cron="0 2 * * *"), job("b", cron="0 3,4 * * *"), job("new"))

    found = compare(before, after)

    assert [each.job for each in found] == ["b", "new", "old"]
    assert (found[0].before.runs, found[0].after.runs) == (1, 2)
    assert (found[1].before, found[2].after) == (None, None)


def test_a_habit_is_the_median_and_the_slow_tenth():
    known = profile_of([float(n) for n in range(100, 0, -1)])

    assert (known.usual_s, known.slow_s, known.seen) == (50.0, 90.0, 100)
    assert profile_of([4.0]) == DurationProfile(4.0, 4.0, seen=1)


def ends(habit, seed=1):
    """Return how a thousand attempts of job a end, each of another run."""
    foresee = outcome_sampler({"a": habit}, seed)
    due = (START + timedelta(minutes=number) for number in range(1000))
    runs = [Run(0, "a", each, Trigger.SCHEDULE, State.RUNNING, attempt=1) for each in due]
    return [foresee(Launch(run, job("a"))) for run in runs]


def test_one_run_in_ten_is_slow():
    slow = sum(end.after_s == 2.0 for end in ends(DurationProfile(1.0, 2.0)))

    assert 80 < slow < 120


def test_as_many_fail_as_chance_wants():
    failed = sum(end.wait_status != 0 for end in ends(DurationProfile(1.0, 1.0, failure=0.25)))

    assert 220 < failed < 280


def test_the_failures_of_a_habit_are_runs_that_failed():
    foresee = outcome_sampler({"a": DurationProfile(1.0, 1.0, failure=0.5)}, seed=1)

    [count] = reported(job("a", cron="30 * * * *"), foresee=foresee).jobs

    assert 0 < count.failed < count.runs == count.failed + count.success


def test_another_seed_is_another_chance():
    habit = DurationProfile(1.0, 1.0, failure=0.5)

    assert ends(habit, seed=1) != ends(habit, seed=2)


@given(st.integers(), st.text())
def test_a_die_is_a_number_below_one(seed, words):
    assert 0.0 <= seeded_fraction(seed, words) < 1.0


def test_a_job_whose_every_status_is_success_fails_by_a_signal():
    foresee = outcome_sampler({"a": DurationProfile(1.0, 1.0, failure=1.0)}, 0)

    found = reported(
        job("a", cron="0 2 * * *", success_exit_status=tuple(range(256))), foresee=foresee
    )

    assert found.losses[0].reason == "signal"


def test_where_very_many_wait_each_wait_still_ends_when_it_ends():
    jobs = [job(f"j{number}", cron="0 2 * * *") for number in range(FEW + 14)]

    found = reported(*jobs, max_concurrent=1)

    waits = sorted(wait.total_s for wait in found.waits)
    assert waits == [10.0 * place for place in range(1, FEW + 14)]
