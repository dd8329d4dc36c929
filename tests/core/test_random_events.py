"""Tens of thousands of random events, without real time, against every invariant.

A failing seed is printed; `EVENT_SEED=7 pytest tests/core/test_random_events.py` replays it.
"""

import os
from datetime import timedelta
from random import Random

import pytest

from supervisor.core import control_requests, schedule, tick
from supervisor.core import events as ev
from supervisor.core.config_model import (
    CatchUp,
    Config,
    Job,
    Notify,
    Overlap,
    Problem,
    QuietHours,
    Severity,
)
from supervisor.core.model import replace
from supervisor.core.quiet_hours import quiet_until
from tests.channels import channel
from tests.core.random_events import START, RandomService
from workers import protocol

# A short series in each run of the core's tests, two longer ones in scripts/test, and twelve
# long soaks. Half of them open the slots of a minute one or two at a time, with random events
# in between.
SHORT, MEDIUM, LONG = 500, 1500, 15_000
CHUNKS = (tick.CHUNK, 1, tick.CHUNK, 2)
SERIES = [(1, SHORT), *(pytest.param(seed, MEDIUM, marks=pytest.mark.long) for seed in (0, 5))]
SOAK = (pytest.mark.slow, pytest.mark.timeout(600))
SERIES += [pytest.param(seed, LONG, marks=SOAK) for seed in range(12)]
if "EVENT_SEED" in os.environ:
    SERIES = [pytest.param(int(os.environ["EVENT_SEED"]), LONG, marks=SOAK[1])]

STABLE = ("every-minute", "nightly", "quarter")


def jobs(dice: Random) -> tuple[Job, ...]:
    """Return three jobs with a fixed calendar and a few with a changing one."""
    definitions = [
        Job("every-minute", 0, argv=("x",), cron=("* * * * *",), overlap=Overlap.SKIP),
        Job(
            "nightly",
            1,
            worker="w.f",
            cron=("30 2 * * *", "0 14 * * *"),
            timezone="Europe/Berlin",
            retries=2,
            retry_backoff=2.0,
            exclusive="data",
            timeout_s=90.0,
        ),
        Job("quarter", 2, argv=("x",), cron=("*/15 * * * *",), catch_up=CatchUp.NONE),
        Job("after", 3, argv=("x",), cron=("*/5 * * * *",), deps=("every-minute",), retries=1),
        Job("later", 4, worker="w.f", cron=("*/5 * * * *",), deps=("after", "nightly")),
        Job("queued", 5, argv=("x",), cron=("*/2 * * * *",), overlap=Overlap.QUEUE, timeout_s=30),
        Job("replaced", 6, argv=("x",), cron=("*/3 * * * *",), overlap=Overlap.REPLACE),
        Job("by-hand", 7, argv=("x",), exclusive="data", run_on_startup=True),
        Job("watched", 8, argv=("x",), cron=("*/10 * * * *",), late_after_s=120.0),
    ]
    kept = [job for job in definitions if job.name in STABLE or dice.random() < 0.8]
    names = {job.name for job in kept}
    changed = [
        replace(
            job,
            place=place,
            deps=tuple(dep for dep in job.deps if dep in names),
            enabled=job.name in STABLE or dice.random() < 0.9,
            cron=(f"*/{dice.randint(2, 9)} * * * *",)
            if job.name in ("after", "queued") and dice.random() < 0.3
            else job.cron,
        )
        for place, job in enumerate(kept)
    ]
    return tuple(changed)


def notify(dice: Random) -> Notify:
    """Return several channels with their filters, sometimes only some of them, or none."""
    url = dice.choice(["http://one", "http://one", "http://two"])
    least = dice.choice([Severity.ERROR, Severity.ERROR, Severity.CRITICAL])
    night = QuietHours(22 * 60, 7 * 60, "Europe/Berlin")
    channels = [
        channel("all", url, min_severity=least),
        channel("dead", "http://dead"),
        channel("day", "http://day", quiet=night),
        channel("team", "http://team", jobs=("every-minute", "nightly")),
        channel("nas", "http://nas", groups=("data",), quiet=night),
    ]
    summary = dice.choice([("0 8 * * *",), ("*/30 * * * *",), ()])
    return Notify(tuple(each for each in channels if dice.random() < 0.7), summary)


def random_event(service: RandomService) -> None:
    """Generate one random event."""
    dice = service.random
    kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
    kind(service)


def moment(service: RandomService) -> None:
    service.to_next_moment()


def pass_time(service: RandomService) -> None:
    service.pass_time(service.random.expovariate(1 / 300))


def move_clock(service: RandomService) -> None:
    hours = service.random.choice([-25, -3, -1, -0.7, -0.1, -0.01, 0.01, 0.5, 1, 5, 25])
    service.pass_time(1, timedelta(hours=hours))


def start(service: RandomService) -> None:
    key = service.any_process(lambda process: not process.exited)
    if key:
        service.send(ev.Started(service.at(), *key, pid=77))


def send_message(service: RandomService) -> None:
    key = service.any_process(lambda process: True)
    said = service.random.choice(
        [
            protocol.Done({"n": 1}),
            protocol.Failed("no", permanent=service.random.random() < 0.3),
            protocol.Garbage("noise"),
            protocol.Progress(1, 2, "x"),
            protocol.Log("info", "hello"),
        ]
    )
    if key:
        service.send(ev.MessageReceived(service.at(), *key, said))


def end(service: RandomService) -> None:
    key = service.any_process(lambda process: not process.exited)
    if key:
        service.exit(key, service.random.choice([0, 0, 0, 256, 9]))


def empty(service: RandomService) -> None:
    key = service.any_process(lambda process: process.exited)
    if key:
        service.empty(key)


def end_together(service: RandomService) -> None:
    """End a few attempts at once, some of which may have exited before."""
    keys = [key for key in service.processes if service.random.random() < 0.5]
    if keys:
        service.end_together(keys, service.random.choice([0, 0, 256]))


def end_as_signalled(service: RandomService) -> None:
    key = service.any_process(lambda p: (p.is_asked_to_end or p.killed) and not p.exited)
    if key:
        service.exit(key, 15)
        service.empty(key)


def lose_process(service: RandomService) -> None:
    key = service.any_process(lambda process: not process.exited)
    if key and service.random.random() < 0.5:
        service.send(ev.KeeperLost(service.at(), *key))
        service.empty(key)
    elif key:
        del service.processes[key]
        service.send(ev.LaunchFailed(service.at(), *key, "no such file"))


def survive(service: RandomService) -> None:
    """Leave a tree running that survived SIGKILL."""
    key = service.any_process(lambda process: process.killed)
    if key:
        del service.processes[key]
        service.send(ev.Survived(service.at(), *key, ("7 sleep",)))


def fault(service: RandomService) -> None:
    """Send an InternalError, in most cases about an open run."""
    run = service.random.choice([0, *service.scheduler.runs])
    service.send(ev.InternalError(service.at(), "a rule", "boom", run))


def deliver(service: RandomService) -> None:
    if not service.batches:
        return
    dice, name = service.random, service.random.choice(list(service.batches))
    count = 0 if name in service.dead else len(service.batches[name])
    service.finish_batch(name, count if dice.random() < 0.3 else dice.randint(0, count))


def send_stale_event(service: RandomService) -> None:
    """Send an event of an attempt that is late, repeated or unknown."""
    run = service.random.randint(1, service.scheduler.next_run)
    word = service.random.choice([ev.Exited, ev.Started])
    if (run, 1) not in service.processes:
        service.send(word(service.at(), run, 1, 0))


def ask(service: RandomService) -> None:
    dice = service.random
    name = dice.choice([job.name for job in service.config.jobs] + ["nobody"])
    open_runs = [*service.scheduler.runs, 10**6]
    service.ask(
        dice.choice(
            [
                control_requests.RunJobs((name,), with_deps=dice.random() < 0.5),
                control_requests.RunJobs((name,), dry_run=True),
                control_requests.RunAll(),
                control_requests.CancelJob(name),
                control_requests.CancelRun(dice.choice(open_runs)),
                control_requests.PauseJob(dice.choice([name, ""]), dice.choice([None, 600.0])),
                control_requests.ResumeJob(name),
                control_requests.ResumeJob("", from_now=dice.random() < 0.2),
                control_requests.AckIncident(dice.randint(1, 20), 3600),
                control_requests.NotifyTest(),
            ]
        )
    )


def reload(service: RandomService) -> None:
    dice = service.random
    if dice.random() < 0.2:
        problems = (Problem(1, 1, "jobs", dice.choice(["bad", "worse"])),)
        service.send(ev.ReloadRefused(service.at(), problems, sha256=dice.choice("xy")))
        return
    # The pool may only grow while runs are active: a lower limit would break the invariant.
    size = max(service.config.max_concurrent, dice.randint(2, 4))
    service.config = Config(
        jobs(dice), max_concurrent=size, shutdown_grace_s=5.0, notify=notify(dice)
    )
    service.send(ev.Reloaded(service.at(), service.config, dice.choice("ab")))


def crash(service: RandomService) -> None:
    service.crash()


def stop(service: RandomService) -> None:
    if service.random.random() < 0.5:
        service.send(ev.StopAsked(service.at()))
    else:
        service.ask(control_requests.StopService(drain_s=service.random.choice([None, 60.0])))


def break_ledger(service: RandomService) -> None:
    service.ledger_broken = True


def fix_ledger(service: RandomService) -> None:
    service.fix_ledger()


KINDS = {
    moment: 30, pass_time: 3, move_clock: 0.3, start: 10, send_message: 10, end: 20, empty: 25,
    end_as_signalled: 5, end_together: 3, lose_process: 2, survive: 1, fault: 0.3,
    send_stale_event: 1, deliver: 8, ask: 3, reload: 0.7, crash: 0.5, stop: 0.4,
    break_ledger: 0.3, fix_ledger: 1,
}  # fmt: skip


def settle(service: RandomService) -> None:
    """Stop the random events and let everything that is running finish."""
    service.fix_ledger()
    if service.stopped:
        service.restart()
    service.ask(control_requests.ResumeJob("", from_now=False))
    for job in service.config.jobs:
        service.ask(control_requests.ResumeJob(job.name))
    until = service.latest_wall + timedelta(hours=1)
    for _ in range(8000):
        if service.scheduler.life != "serving":
            service.send(ev.StopAsked(service.at()))
            service.restart()
        while service.processes:  # the end of one run lets the next begin
            key = next(iter(service.processes))
            if not service.processes[key].exited:
                service.exit(key, 0)
            service.empty(key)
        for name in list(service.batches):
            service.finish_batch(name, len(service.batches[name]))
        state = service.scheduler
        is_quiet = not (state.runs or state.unopened or state.waiting_alerts)
        if service.wall >= until and is_quiet:
            return
        service.to_next_moment()
    pytest.fail("the service does not become idle")


@pytest.mark.parametrize(("seed", "steps"), SERIES)
def test_random_events_break_no_invariant(monkeypatch, seed, steps):
    monkeypatch.setattr(tick, "CHUNK", CHUNKS[seed % len(CHUNKS)])
    dice = Random(seed)
    config = Config(jobs(dice), max_concurrent=3, shutdown_grace_s=5.0, notify=notify(dice))
    service = RandomService(seed, config)
    service.dead.add("dead")

    for _ in range(steps):
        if service.stopped:
            service.pass_time_away = dice.expovariate(1 / 7200)
            service.wall += timedelta(seconds=service.pass_time_away)
            service.latest_wall = max(service.latest_wall, service.wall)
            service.restart()
        random_event(service)
    settle(service)

    print(f"seed {seed}: {service.events} events, {len(service.ledger.runs)} runs")
    every_stable_slot_has_an_outcome(service)
    every_run_is_final(service)
    every_alert_arrived_or_says_why_not(service)


def every_stable_slot_has_an_outcome(service: RandomService) -> None:
    for job in service.config.jobs:
        if job.name not in STABLE:
            continue
        gaps = [gap for gap in service.ledger.gaps if gap.job == job.name]
        for slot in schedule.calendar(job.cron, job.timezone).slots(START, service.wall):
            has_row = (job.name, slot) in service.ledger.slots
            in_gap = any(gap.since < slot <= gap.until for gap in gaps)
            assert has_row or in_gap, f"{job.name} {slot} has neither a run nor a gap"


def every_run_is_final(service: RandomService) -> None:
    waiting = [run for run in service.ledger.runs.values() if run.state.is_open]
    young = [run for run in waiting if run.id in service.scheduler.runs]
    assert waiting == young, "an open row that the state lacks"


def every_alert_arrived_or_says_why_not(service: RandomService) -> None:
    alerts = service.ledger.alerts
    assert sorted(alerts) == list(range(1, len(alerts) + 1)), "a row was lost"
    lost = [row for row in alerts.values() if not (row.delivered_at or row.withheld)]
    channels = service.scheduler.config.notify.channels
    quiet = {
        each.name for each in channels if each.quiet and quiet_until(each.quiet, service.wall)
    }
    held = [row for row in service.scheduler.waiting_alerts if row.channel in quiet]
    assert [row for row in lost if row not in held] == [], "an alert that will never be sent"
