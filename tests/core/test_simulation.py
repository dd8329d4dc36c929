"""Simulation of the coming days: skipping quiet minutes changes no result."""

import math
import random
from datetime import timedelta

import pytest

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Config, Overlap
from supervisor.core.decide import next_minute
from supervisor.core.model import Attempt, JobRecord, Pause, Run, replace
from supervisor.core.simulation.engine import Ending, next_moment, simulate
from supervisor.core.simulation.sampling import DurationProfile, outcome_sampler
from tests.channels import notify_slack
from tests.core.core_harness import in_file, instant, job

START = instant("2026-03-06 17:30:20")  # two days before the spring clock change in New York
CALENDARS = ["* * * * *", "*/7 * * * *", "0 2 * * *", "30 1,2 * * *", "15 */3 * * *", "0 0 1 * *"]


def every_minute(scheduler, since, wall):
    """Return the next full minute: the ticks of the loop, none skipped."""
    return next_minute(since)


PACES = [next_moment, every_minute]


def begun(*jobs, memory=None, **settings):
    settings.setdefault("max_concurrent", 10)
    config = Config(in_file(jobs), **settings)
    return ev.Restored(ev.At(START, 1000.0), config, memory or ev.Memory())


def reported(steps):
    """Return all actions with their times, except RecordTick."""
    return [
        (step.event.at.wall, action)
        for step in steps
        for action in step.actions
        if not isinstance(action, effects.RecordTick)
    ]


def final(steps):
    """Return the last row of each run."""
    rows = {}
    for _, action in reported(steps):
        if isinstance(action, effects.Record) and isinstance(action.row, Run):
            rows[action.row.id] = action.row
    return list(rows.values())


def some_service(seed):
    """Return a service with groups, dependencies, timeouts, lateness and a pause."""
    dice = random.Random(seed)
    names = ["a", "b", "c", "d", "e"]
    jobs = [
        job(
            name,
            cron=dice.choice(CALENDARS),
            deps=dice.sample(names[:place], min(place, dice.randrange(3))),
            timezone=dice.choice(["America/New_York", "UTC"]),
            timeout_s=dice.choice([None, 40.0, 3600.0]),
            retries=dice.randrange(3),
            retry_delay_s=dice.choice([7.0, 90.0, 1000.0]),
            exclusive=dice.choice([None, None, "one"]),
            overlap=dice.choice(list(Overlap)),
            late_after_s=dice.choice([None, 95.0, 7200.0]),
            enabled=dice.random() < 0.9,
            run_on_startup=dice.random() < 0.2,
        )
        for place, name in enumerate(names)
    ]
    pause = Pause(START + timedelta(hours=dice.randrange(40), seconds=33), "uid 0")
    memory = ev.Memory(marks=(JobRecord("a", START, pause), JobRecord("b", START)))
    habits = {
        name: DurationProfile(
            dice.choice([0.0, 3.5, 60.0, 500.0]), 4000.0, dice.choice([0.0, 0.4])
        )
        for name in names
    }
    settings = {"notify": notify_slack("http://x/y")} if dice.random() < 0.5 else {}
    if dice.random() < 0.1:
        settings["heartbeat"] = "http://x/beat"
    restored = begun(*jobs, memory=memory, max_concurrent=dice.choice([1, 2, 5]), **settings)
    return restored, outcome_sampler(habits, seed)


# Two seeds that cover groups, dependencies, retries and lateness; the others are soaks. 40
# hours include the clock change.
SERVICES = [(0, 15), *(pytest.param(seed, 40, marks=pytest.mark.long) for seed in (0, 12))]
SERVICES += [pytest.param(seed, 40, marks=pytest.mark.slow) for seed in range(25)]


@pytest.mark.parametrize(("seed", "hours"), SERVICES)
def test_leaving_out_quiet_minutes_changes_nothing(seed, hours):
    restored, foresee = some_service(seed)
    until = START + timedelta(hours=hours)

    all_minutes = list(simulate(restored, until, foresee, every_minute))
    some_minutes = list(simulate(restored, until, foresee, next_moment))

    assert reported(some_minutes) == reported(all_minutes)
    assert len(reported(some_minutes)) > 10


def test_quiet_minutes_are_left_out():
    restored = begun(job("a", cron="0 2 * * *"))

    steps = list(simulate(restored, START + timedelta(days=10), lambda _: Ending(5.0)))

    assert len(steps) < 10 * 6


def test_it_is_the_same_every_time():
    restored, foresee = some_service(3)
    until = START + timedelta(days=1)

    first, second = (reported(simulate(restored, until, foresee)) for _ in range(2))

    assert first == second


def test_a_run_takes_as_long_as_was_foreseen():
    restored = begun(job("a", cron="0 18 * * *"))

    steps = simulate(restored, START + timedelta(hours=1), lambda _: Ending(7.5))

    [run] = final(steps)
    assert (run.state, run.ended_at - run.started_at) == ("success", timedelta(seconds=7.5))


def test_a_process_without_an_end_is_ended_at_its_timeout():
    restored = begun(job("a", cron="0 18 * * *", timeout_s=300.0))

    steps = simulate(restored, START + timedelta(hours=1), lambda _: Ending(math.inf))

    [run] = final(steps)
    assert (run.state, run.cause) == ("failed", "timeout after 5m")
    assert run.ended_at - run.started_at == timedelta(minutes=5)


def test_a_worker_ends_well_only_if_it_said_so():
    def worker(name):
        return replace(job(name, cron="0 18 * * *", worker="x.y"), argv=None)

    foresee = outcome_sampler(
        {"a": DurationProfile(1.0, 1.0), "b": DurationProfile(1.0, 1.0, failure=1.0)}, 0
    )

    runs = final(simulate(begun(worker("a"), worker("b")), START + timedelta(hours=1), foresee))

    assert [(run.job, run.state, run.cause) for run in runs] == [
        ("a", "success", ""),
        ("b", "failed", "failed by chance"),
    ]


def test_nothing_is_reported_beyond_the_end():
    restored = begun(job("a", cron="* * * * *"))
    until = START + timedelta(minutes=5, seconds=3)

    steps = list(simulate(restored, until, lambda _: Ending(50.0)))

    assert max(step.event.at.wall for step in steps) <= until
    attempts = {
        action.row.run
        for _, action in reported(steps)
        if isinstance(action, effects.Record) and isinstance(action.row, Attempt)
    }
    assert len(attempts) == 5


def test_a_service_without_slots_is_a_single_turn():
    steps = list(simulate(begun(job("a")), START + timedelta(days=1000), lambda _: Ending(1.0)))

    assert len(steps) == 1


def test_lateness_that_a_pause_keeps_back_is_reported_at_its_end():
    slot = instant("2026-03-06 17:20")
    mark = JobRecord("a", slot, Pause(instant("2026-03-06 19:00:10"), "uid 0"))
    restored = begun(
        job("a", cron="20 17 * * *", late_after_s=600.0), memory=ev.Memory(marks=(mark,))
    )
    until = START + timedelta(hours=3)

    paces = [list(simulate(restored, until, lambda _: Ending(1.0), pace)) for pace in PACES]

    assert reported(paces[0]) == reported(paces[1])
    alerts = [at for at, action in reported(paces[0]) if "late" in getattr(action, "text", "")]
    assert alerts == [instant("2026-03-06 19:01")]


def test_an_alert_that_is_sent_has_arrived():
    restored = begun(job("a", cron="0 18 * * *"), notify=notify_slack("http://x/y"))

    steps = list(simulate(restored, START + timedelta(days=3), lambda _: Ending(5.0, 256)))

    assert sum(isinstance(action, effects.Deliver) for _, action in reported(steps)) == 3
    assert steps[-1].scheduler.waiting_alerts == []


def test_each_minute_has_the_heartbeat_of_the_service():
    restored = begun(job("a"), heartbeat="http://x/beat")

    steps = list(simulate(restored, START + timedelta(hours=1), lambda _: Ending(1.0)))

    assert len(steps) == 1 + 60
