"""Tens of thousands of random events, without real time, against every invariant.

A failing seed is printed; `STORM_SEED=7 pytest tests/core/test_random_events.py` replays it.
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
from tests.core.random_events import START, Storm
from workers import protocol

# Two short ones in each run of the tests, and twelve long soaks. Half of them open the slots
# of a minute one or two at a time, with anything in between.
SHORT, LONG = 1500, 15_000
CHUNKS = (tick.CHUNK, 1, tick.CHUNK, 2)
STORMS = [(0, SHORT), (5, SHORT)]
SOAK = (pytest.mark.slow, pytest.mark.timeout(600))
STORMS += [pytest.param(seed, LONG, marks=SOAK) for seed in range(12)]
if "STORM_SEED" in os.environ:
    STORMS = [pytest.param(int(os.environ["STORM_SEED"]), LONG, marks=SOAK[1])]

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


def weather(storm: Storm) -> None:
    """Generate one random event."""
    dice = storm.random
    kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
    kind(storm)


def moment(storm: Storm) -> None:
    storm.to_next_moment()


def a_while(storm: Storm) -> None:
    storm.pass_time(storm.random.expovariate(1 / 300))


def jump(storm: Storm) -> None:
    hours = storm.random.choice([-25, -3, -1, -0.7, -0.1, -0.01, 0.01, 0.5, 1, 5, 25])
    storm.pass_time(1, timedelta(hours=hours))


def start(storm: Storm) -> None:
    key = storm.any_process(lambda process: not process.exited)
    if key:
        storm.send(ev.Started(storm.at(), *key, pid=77))


def speak(storm: Storm) -> None:
    key = storm.any_process(lambda process: True)
    said = storm.random.choice(
        [
            protocol.Done({"n": 1}),
            protocol.Failed("no", permanent=storm.random.random() < 0.3),
            protocol.Garbage("noise"),
            protocol.Progress(1, 2, "x"),
            protocol.Log("info", "hello"),
        ]
    )
    if key:
        storm.send(ev.MessageReceived(storm.at(), *key, said))


def end(storm: Storm) -> None:
    key = storm.any_process(lambda process: not process.exited)
    if key:
        storm.exit(key, storm.random.choice([0, 0, 0, 256, 9]))


def empty(storm: Storm) -> None:
    key = storm.any_process(lambda process: process.exited)
    if key:
        storm.empty(key)


def end_together(storm: Storm) -> None:
    """End a few attempts at once, some of which may have exited before."""
    keys = [key for key in storm.processes if storm.random.random() < 0.5]
    if keys:
        storm.end_together(keys, storm.random.choice([0, 0, 256]))


def obey(storm: Storm) -> None:
    key = storm.any_process(lambda p: (p.is_asked_to_end or p.killed) and not p.exited)
    if key:
        storm.exit(key, 15)
        storm.empty(key)


def vanish(storm: Storm) -> None:
    key = storm.any_process(lambda process: not process.exited)
    if key and storm.random.random() < 0.5:
        storm.send(ev.KeeperLost(storm.at(), *key))
        storm.empty(key)
    elif key:
        del storm.processes[key]
        storm.send(ev.LaunchFailed(storm.at(), *key, "no such file"))


def survive(storm: Storm) -> None:
    """Leave a tree alone that outlived SIGKILL."""
    key = storm.any_process(lambda process: process.killed)
    if key:
        del storm.processes[key]
        storm.send(ev.Survived(storm.at(), *key, ("7 sleep",)))


def fault(storm: Storm) -> None:
    """Raise an exception that no rule foresees, in most cases about an open run."""
    run = storm.random.choice([0, *storm.scheduler.runs])
    storm.send(ev.InternalError(storm.at(), "a rule", "boom", run))


def post(storm: Storm) -> None:
    if not storm.batches:
        return
    dice, name = storm.random, storm.random.choice(list(storm.batches))
    count = 0 if name in storm.dead else len(storm.batches[name])
    storm.bring_back(name, count if dice.random() < 0.3 else dice.randint(0, count))


def echo(storm: Storm) -> None:
    """Send an event of an attempt that is late, repeated or unknown."""
    run = storm.random.randint(1, storm.scheduler.next_run)
    word = storm.random.choice([ev.Exited, ev.Started])
    if (run, 1) not in storm.processes:
        storm.send(word(storm.at(), run, 1, 0))


def ask(storm: Storm) -> None:
    dice = storm.random
    name = dice.choice([job.name for job in storm.config.jobs] + ["nobody"])
    open_runs = [*storm.scheduler.runs, 10**6]
    storm.ask(
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


def reload(storm: Storm) -> None:
    dice = storm.random
    if dice.random() < 0.2:
        problems = (Problem(1, 1, "jobs", dice.choice(["bad", "worse"])),)
        storm.send(ev.ReloadRefused(storm.at(), problems, sha256=dice.choice("xy")))
        return
    # The pool may only grow while runs are active: a lower limit would break the invariant.
    size = max(storm.config.max_concurrent, dice.randint(2, 4))
    storm.config = Config(
        jobs(dice), max_concurrent=size, shutdown_grace_s=5.0, notify=notify(dice)
    )
    storm.send(ev.Reloaded(storm.at(), storm.config, dice.choice("ab")))


def crash(storm: Storm) -> None:
    storm.crash()


def stop(storm: Storm) -> None:
    if storm.random.random() < 0.5:
        storm.send(ev.StopAsked(storm.at()))
    else:
        storm.ask(control_requests.StopService(drain_s=storm.random.choice([None, 60.0])))


def break_ledger(storm: Storm) -> None:
    storm.ledger_broken = True


def fix_ledger(storm: Storm) -> None:
    storm.fix_ledger()


KINDS = {
    moment: 30, a_while: 3, jump: 0.3, start: 10, speak: 10, end: 20, empty: 25, obey: 5,
    end_together: 3, vanish: 2, survive: 1, fault: 0.3, echo: 1, post: 8, ask: 3, reload: 0.7,
    crash: 0.5, stop: 0.4, break_ledger: 0.3, fix_ledger: 1,
}  # fmt: skip


def calm(storm: Storm) -> None:
    """Stop the random events and let everything that is running finish."""
    storm.fix_ledger()
    if storm.stopped:
        storm.restart()
    storm.ask(control_requests.ResumeJob("", from_now=False))
    for job in storm.config.jobs:
        storm.ask(control_requests.ResumeJob(job.name))
    until = storm.latest_wall + timedelta(hours=1)
    for _ in range(8000):
        if storm.scheduler.life != "serving":
            storm.send(ev.StopAsked(storm.at()))
            storm.restart()
        while storm.processes:  # the end of one lets the next begin
            key = next(iter(storm.processes))
            if not storm.processes[key].exited:
                storm.exit(key, 0)
            storm.empty(key)
        for name in list(storm.batches):
            storm.bring_back(name, len(storm.batches[name]))
        state = storm.scheduler
        is_quiet = not (state.runs or state.unopened or state.waiting_alerts)
        if storm.wall >= until and is_quiet:
            return
        storm.to_next_moment()
    pytest.fail("the service does not come to rest")


@pytest.mark.parametrize(("seed", "steps"), STORMS)
def test_no_weather_breaks_a_law(monkeypatch, seed, steps):
    monkeypatch.setattr(tick, "CHUNK", CHUNKS[seed % len(CHUNKS)])
    dice = Random(seed)
    config = Config(jobs(dice), max_concurrent=3, shutdown_grace_s=5.0, notify=notify(dice))
    storm = Storm(seed, config)
    storm.dead.add("dead")

    for _ in range(steps):
        if storm.stopped:
            storm.pass_time_away = dice.expovariate(1 / 7200)
            storm.wall += timedelta(seconds=storm.pass_time_away)
            storm.latest_wall = max(storm.latest_wall, storm.wall)
            storm.restart()
        weather(storm)
    calm(storm)

    print(f"seed {seed}: {storm.events} events, {len(storm.ledger.runs)} runs")
    every_stable_slot_has_an_outcome(storm)
    every_run_is_final(storm)
    every_alert_arrived_or_says_why_not(storm)


def every_stable_slot_has_an_outcome(storm: Storm) -> None:
    for job in storm.config.jobs:
        if job.name not in STABLE:
            continue
        gaps = [gap for gap in storm.ledger.gaps if gap.job == job.name]
        for slot in schedule.calendar(job.cron, job.timezone).slots(START, storm.wall):
            has_row = (job.name, slot) in storm.ledger.slots
            in_gap = any(gap.since < slot <= gap.until for gap in gaps)
            assert has_row or in_gap, f"{job.name} {slot} was forgotten"


def every_run_is_final(storm: Storm) -> None:
    waiting = [run for run in storm.ledger.runs.values() if run.state.is_open]
    young = [run for run in waiting if run.id in storm.scheduler.runs]
    assert waiting == young, "an open row that nobody remembers"


def every_alert_arrived_or_says_why_not(storm: Storm) -> None:
    alerts = storm.ledger.alerts
    assert sorted(alerts) == list(range(1, len(alerts) + 1)), "a row was lost"
    lost = [row for row in alerts.values() if not (row.delivered_at or row.withheld)]
    channels = storm.scheduler.config.notify.channels
    quiet = {each.name for each in channels if each.quiet and quiet_until(each.quiet, storm.wall)}
    held = [row for row in storm.scheduler.waiting_alerts if row.channel in quiet]
    assert [row for row in lost if row not in held] == [], "an alert that nobody will send"
