"""Simulate a service without real time: the ledger is in memory, processes are in a dict.

`RandomService` performs the actions of `decide` and raises AssertionError as soon as an
invariant is violated. `test_random_events.py` generates the events.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from supervisor.core import control_requests, effects, schedule
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert, HeartbeatCall
from supervisor.core.config_model import Channel, Config, Severity
from supervisor.core.counters import recorded_rows, transitions
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.model import (
    Peer,
    Run,
    State,
)
from supervisor.core.quiet_hours import quiet_until
from supervisor.core.state import SchedulerState, ServicePhase
from tests.core.simulated_ledger import Ledger, waits
from tests.core.state_changes import listed_changes

START = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)  # before the spring clock change in Berlin


@dataclass
class Process:
    """A simulated attempt: alive, exited, then gone."""

    job: str
    groups: tuple[str, ...]
    is_asked_to_end: bool = False
    killed: bool = False
    exited: bool = False


class RandomService:
    """One service under random events, and the invariants it must keep."""

    def __init__(self, seed: int, config: Config) -> None:
        self.random = Random(seed)
        self.wall, self.mono = START, 1000.0
        self.config = config
        self.ledger = Ledger()
        self.backlog: list[effects.Action] = []
        self.ledger_broken = False
        self.processes: dict[tuple[int, int], Process] = {}
        self.batches: dict[str, tuple[Alert, ...]] = {}
        self.failing: set[str] = set()  # channels that have failed since they last worked
        self.dead: set[str] = set()  # channels that accept nothing
        self.rows: set[int] = set()
        self.crashed = False
        self.stopped = False
        self.may_release = False
        self.events = 0
        self.latest_wall = START
        self.ended: set[int] = set()
        self.replies: list[control_requests.Reply] = []
        self.scheduler: SchedulerState = SchedulerState(config)
        self.restart()

    # --- events -----------------------------------------------------------------

    def at(self) -> ev.At:
        return ev.At(self.wall, self.mono, self.random.random())

    def send(self, event: ev.Event) -> None:
        self.events += 1
        before = self.scheduler
        self.scheduler, actions = decide(before, event)
        listed_changes(before, event, actions)
        self.count_ends(before, actions)
        self.check_rows(actions)
        self.perform(actions)
        self.check_channels()

    def count_ends(self, before: SchedulerState, actions: tuple[effects.Action, ...]) -> None:
        """Check that each run ends once, however often that is recorded."""
        ends = [
            run.id for run in transitions(before, recorded_rows(actions)) if not run.state.is_open
        ]
        assert len(set(ends)) == len(ends), "a run ended twice in a turn"
        assert not self.ended & set(ends), "a run ended twice"
        self.ended.update(ends)
        rows = [action.row for action in actions if isinstance(action, effects.Record)]
        final = {row.id for row in rows if isinstance(row, Run) and not row.state.is_open}
        assert final <= self.ended, "an end was recorded without a transition"

    def check_rows(self, actions: tuple[effects.Action, ...]) -> None:
        """Check that each new alert has one row for each channel, and for no other."""
        recorded = [each.row for each in actions if isinstance(each, effects.Record)]
        found: dict[tuple[int, str], list[str]] = {}
        for row in recorded:
            if isinstance(row, Alert) and row.id not in self.rows:
                self.rows.add(row.id)
                found.setdefault((row.incident, row.word), []).append(row.channel)
        names = [channel.name for channel in self.scheduler.config.notify.channels] or [""]
        for channels in found.values():
            assert channels == names * (len(channels) // len(names)), (
                "channels of the rows of an alert"
            )

    def check_channels(self) -> None:
        """Check that an alert waits only for what concerns its own channel."""
        if self.stopped or self.scheduler.life is ServicePhase.STOPPED:
            return
        for channel in self.scheduler.config.notify.channels:
            box = self.scheduler.outboxes.get(channel.name)
            if box is None or not box.waiting or channel.name in self.batches:
                continue
            is_quiet = channel.quiet is not None and quiet_until(channel.quiet, self.wall)
            is_delayed = box.deliver_at is not None and box.deliver_at > self.mono
            assert is_quiet or (is_delayed and channel.name in self.failing), (
                f"alerts wait without a reason: {channel.name}"
            )

    def restart(self) -> None:
        """Start a new supervisor; the processes of the old one are gone."""
        self.processes.clear()
        self.batches.clear()
        self._write_backlog()
        self.rows = set(self.ledger.alerts)
        self.failing = {row.channel for row in self.ledger.waiting() if row.attempts}
        self.ledger_broken = False
        memory = self.ledger.memory()
        self.stopped = False
        self.scheduler = SchedulerState(self.config)
        self.ended = {run.id for run in self.ledger.runs.values() if not run.state.is_open}
        self.send(ev.Restored(self.at(), self.config, memory, crashed=self.crashed))
        self.crashed = False

    def crash(self) -> None:
        """Kill the supervisor: unwritten data and the state are lost."""
        self.ledger.lose_soon()
        self.backlog.clear()
        self.ledger_broken = False
        self.crashed = True
        self.restart()

    def pass_time(self, seconds: float, wall_step: timedelta = timedelta(0)) -> None:
        self.mono += seconds
        self.wall += timedelta(seconds=seconds) + wall_step
        self.latest_wall = max(self.latest_wall, self.wall)
        self.send(ev.TimePassed(self.at()))
        self.check_silence()

    def check_silence(self) -> None:
        """Check that minutely slots do not wait for a set-back clock, unless it is critical."""
        clock = self.scheduler.incidents.get(("", "clock"))
        is_critical = clock is not None and clock.severity is Severity.CRITICAL
        if self.scheduler.life is ServicePhase.SERVING and not is_critical:
            ahead = self.scheduler.next_slot["every-minute"] - self.wall
            assert ahead <= timedelta(minutes=2), "silent without a clock incident"

    def to_next_moment(self) -> None:
        """Advance to the next minute, deadline or backoff, as the loop does."""
        to_minute = (next_minute(self.wall) - self.wall).total_seconds()
        wake = next_wakeup(self.scheduler)
        to_timer = to_minute if wake is None else max(0.0, wake - self.mono)
        self.pass_time(min(to_minute, to_timer))

    def ask(self, request: control_requests.Request) -> None:
        asked = len(self.replies)
        self.may_release = isinstance(request, control_requests.ResumeJob) and request.from_now
        self.send(ev.Requested(self.at(), self.events, Peer(1000, 1), request))
        self.may_release = False
        assert len(self.replies) == asked + 1, "a request without exactly one reply"

    def fix_ledger(self) -> None:
        self.ledger_broken = False
        self._write_backlog()
        if self.scheduler.ledger_error:
            self.send(ev.LedgerRecovered(self.at()))

    # --- processes ----------------------------------------------------------------

    def any_process(self, wanted: Callable[[Process], bool]) -> tuple[int, int] | None:
        found = [key for key, process in self.processes.items() if wanted(process)]
        return self.random.choice(found) if found else None

    def exit(self, key: tuple[int, int], wait_status: int) -> None:
        self.processes[key].exited = True
        self.send(ev.Exited(self.at(), *key, wait_status))

    def empty(self, key: tuple[int, int]) -> None:
        del self.processes[key]
        self.send(ev.TreeEmpty(self.at(), *key, strays=("7 sleep",), cpu_s=0.1))

    def end_together(self, keys: Iterable[tuple[int, int]], wait_status: int) -> None:
        """End several attempts, whose events arrive at once."""
        at, events = self.at(), list[ev.AttemptEvent]()
        for key in keys:
            if not self.processes.pop(key).exited:
                events.append(ev.Exited(at, *key, wait_status))
            events.append(ev.TreeEmpty(at, *key, cpu_s=0.1))
        self.send(ev.AttemptEvents(at, tuple(events)))

    # --- the channels -------------------------------------------------------------

    def finish_batch(self, channel: str, arrived: int) -> None:
        """Deliver the first `arrived` alerts in flight; fail the next one, if any."""
        batch = self.batches.pop(channel)
        if arrived:
            numbers = tuple(alert.id for alert in batch[:arrived])
            self.failing.discard(channel)
            if arrived < len(batch):
                self.batches[channel] = batch[arrived:]  # until its failure is known
            self.send(ev.Delivered(self.at(), numbers, channel))
        if arrived < len(batch):
            retry_after = self.random.choice([None, 7.0, 1e9])
            refused = self.random.random() < 0.1
            self.failing.add(channel)
            self.batches.pop(channel, None)
            self.send(ev.Undelivered(self.at(), "no answer", channel, retry_after, refused))

    # --- actions ------------------------------------------------------------------

    def perform(self, actions: tuple[effects.Action, ...]) -> None:
        unlaunched = []
        for action in actions:
            match action:
                case effects.ReleaseSlots(job):
                    self._check_release(job)
                    self._record(action)
                case effects.Record() | effects.RecordPause() | effects.RecordTick():
                    self._record(action)
                case effects.Launch(run) if self.ledger_broken:
                    unlaunched.append((run.id, run.attempt))
                case effects.Launch():
                    self._launch(action)
                case effects.Signal(run, attempt, force):
                    self._force(run, attempt, force)
                case control_requests.Reply():
                    self.replies.append(action)
                case effects.Deliver(channel, alerts):
                    self._send_batch(channel, alerts)
                case effects.Stop():
                    self.stopped = True
                case effects.Note() | HeartbeatCall():
                    pass
        if self.ledger_broken and (unlaunched or self.backlog) and not self.scheduler.ledger_error:
            self.send(ev.LedgerWriteFailed(self.at(), tuple(unlaunched), "disk full"))
        else:
            assert not unlaunched, "launched while the ledger had a problem"

    def _check_release(self, name: str) -> None:
        """Check that fixed times of a job fire again only by request of a user."""
        cron = next(job.cron for job in self.config.jobs if job.name == name)
        is_repeated = any(schedule.is_interval_like(expression) for expression in cron)
        assert self.may_release or is_repeated, f"fixed times of {name} fired again"

    def _record(self, action: effects.Action) -> None:
        if self.ledger_broken:
            self.backlog.append(action)
        else:
            self.ledger.write(action)

    def _write_backlog(self) -> None:
        for action in self.backlog:
            self.ledger.write(action)
        self.backlog.clear()

    def _send_batch(self, channel: Channel, alerts: tuple[Alert, ...]) -> None:
        assert channel.name not in self.batches, "two batches at a time to a channel"
        assert channel in self.scheduler.config.notify.channels
        assert {alert.channel for alert in alerts} == {channel.name}
        loud = list(Severity)[list(Severity).index(channel.min_severity) :]
        about_incidents = [alert for alert in alerts if alert.word != "summary"]
        assert all(alert.severity in loud for alert in about_incidents), "below min_severity"
        assert not channel.quiet or not quiet_until(channel.quiet, self.wall), (
            "sent in quiet hours"
        )
        assert list(alerts) == sorted(alerts, key=lambda alert: alert.id)
        assert not self.stopped, "sent after the service had stopped"
        known = [self.ledger.alerts[alert.id] for alert in alerts if not self.backlog]
        assert all(waits(alert) for alert in known), "delivered twice"
        self.batches[channel.name] = alerts

    def _launch(self, action: effects.Launch) -> None:
        run, job = action.run, action.job
        recorded = self.ledger.runs[run.id]
        assert recorded.state is State.RUNNING, "launched before it was recorded"
        assert recorded.attempt == run.attempt
        assert self.scheduler.life is ServicePhase.SERVING, "launched while stopping"
        groups = tuple(group for group in (job.exclusive, run.batch) if group)
        for other in self.processes.values():
            assert other.job != run.job, f"two live attempts of {run.job}"
            assert not set(other.groups) & set(groups), "two live runs of a group"
        self.processes[run.id, run.attempt] = Process(run.job, groups)
        assert len(self.processes) <= self.most_at_once, "more than max_concurrent"

    @property
    def most_at_once(self) -> int:
        return self.config.max_concurrent

    def _force(self, run: int, attempt: int, force: effects.KillStep) -> None:
        process = self.processes.get((run, attempt))
        if process is None:
            return
        if force is effects.KillStep.TERM:
            process.is_asked_to_end = True
        elif force is effects.KillStep.KILL:
            process.killed = True
        else:
            del self.processes[run, attempt]
