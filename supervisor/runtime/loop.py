"""The loop: wait -> event -> decide -> perform. The only reader of clocks and randomness.

One thread over one selector. It sleeps until the next full minute, deadline or backoff,
on the monotonic clock; nothing polls. The `Record`s of a turn are committed in one
transaction before any other action: no record, no launch (`effects.py`). An exception
in a step of a turn is caught, reported (`internal_errors.py`) and ends only that step.
"""

import random
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from supervisor.api.bridge import LoopBridge, TurnObserver
from supervisor.backups.lister import BackupLister
from supervisor.config.watch import seconds_to_poll
from supervisor.containment.internal_jobs import InternalJobOwner, LeavingOwner, is_internal
from supervisor.containment.processes import Processes
from supervisor.core import decide
from supervisor.core import events as ev
from supervisor.core.decide import next_minute
from supervisor.core.model import replace
from supervisor.core.state import SchedulerState
from supervisor.core.views import Tick
from supervisor.ledger import promises
from supervisor.ledger.store import Store
from supervisor.ledger.write_queue import WriteQueue
from supervisor.log import ServiceLog
from supervisor.notifications.alert_sender import AlertSender
from supervisor.notifications.heartbeat_sender import HeartbeatSender
from supervisor.notifications.message_source import MessageSource
from supervisor.notifications.trial_sender import TrialAlertSender
from supervisor.redaction import redact_events
from supervisor.reloader import Reloader
from supervisor.runtime.effects import Effects
from supervisor.runtime.event_source import EventSource
from supervisor.runtime.internal_errors import InternalErrors
from supervisor.runtime.maintenance import Maintenance
from supervisor.runtime.rehearsal import Rehearsal, select_precisely
from supervisor.runtime.requests import Requests
from supervisor.runtime.turns import Decide, Turns
from supervisor.systemd import SystemdNotifier

# How long the end waits for the heartbeats of the last runs, and for the agent of a cluster.
LAST_WORDS_S = 4.0
# The longest sleep when waiting precisely has failed.
COARSE_WAIT_S = 1.0
_HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

T = TypeVar("T")


class Loop:
    """One run of the service, from `Restored` to `Stop`; decide: the transition function."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        store: Store,
        processes: Processes,
        reloader: Reloader,
        bridge: LoopBridge,
        log: ServiceLog,
        notifier: SystemdNotifier,
        decide: Decide = decide.decide,
        owners: tuple[InternalJobOwner, ...] = (),
        sources: tuple[EventSource, ...] = (),
    ) -> None:
        self._selector = selector
        self._store = store
        self._processes = processes
        self._reloader = reloader
        self._bridge = bridge
        self._log = log
        self._notifier = notifier
        self._errors = InternalErrors(log)
        self._alerts = AlertSender(MessageSource(reloader.folder.root, store.instance, log))
        self._heartbeats = HeartbeatSender(reloader.folder.heartbeats, log)
        trial, lister = TrialAlertSender(), BackupLister()
        internal = (reloader, self._alerts, trial, self._heartbeats, lister)
        self._owners: tuple[InternalJobOwner, ...] = (*internal, *owners)
        self._sources = sources
        self._observer = TurnObserver(bridge)
        self._queue = WriteQueue(store)
        sending = self._alerts, self._heartbeats
        self._effects = Effects(
            self._queue, processes, bridge, *sending, log, self._errors, self._events_of
        )
        self._requests = Requests(bridge, self._effects, reloader, trial, lister, log)
        after_turn = self._observer, self._publish, self._requests.mask
        self._turns = Turns(decide, self._effects, reloader, self._errors, *after_turn)
        self._rehearsal = Rehearsal(processes, decide)
        self._maintenance = Maintenance(store, self._queue, reloader.folder.runs, log)
        self._signals: list[int] = []
        self._end_by: float | None = None

    def begin(self, restored: ev.Restored) -> None:
        """Run the first turn: settle, catch up and launch what is due."""
        self._selector.register(self._bridge.wake_fd, selectors.EVENT_READ, self._bridge)
        self._minute = next_minute(restored.at.wall)
        self._look_at = restored.at.mono + seconds_to_poll(restored.at.wall)
        self._bridge.ticked_mono = restored.at.mono
        self._turns.begin(restored)

    def run(self, until_idle: bool = False) -> None:
        """Run turns until stopped (or, for `run --local`, until nothing is open)."""
        while not self._effects.is_over and not (until_idle and self._is_idle):
            self.once()
        leaving = [owner for owner in self._owners if isinstance(owner, LeavingOwner)]
        for owner in leaving:
            owner.leave(self._processes)
        self._end_by = self.read_clocks().mono + LAST_WORDS_S
        if self.scheduler.stop_by is not None:
            self._end_by = min(self._end_by, self.scheduler.stop_by)
        while self.read_clocks().mono < self._end_by:
            if self._heartbeats.is_idle and all(owner.has_left for owner in leaving):
                break
            self.once()
        self._heartbeats.close()

    def once(self) -> None:
        """Sleep until something happens, and process it."""
        ready = self._wait()
        self._bridge.drain_wakeup()
        at = self.read_clocks()
        events: list[ev.Event] = []
        for key, _ in ready:
            if key.data is self._processes:
                events += self._receive(key, at)
        events += self._step("signals", at, [], self._handle_signals, at)
        events += self._step("requests", at, [], self._take_requests, at)
        happened = [event for event in events if not is_internal(event)]
        happened += self._step("minute", at, [], self._poll_config, at)
        happened += self._step("purge", at, [], self._maintenance.go_on, self.scheduler, at)
        happened += self._run_internal_jobs(events, at)
        for source in self._sources:
            happened += self._step(type(source).__name__, at, [], source.poll, at)
        happened += self._step("time", at, [], self._pass_time, at)
        happened += self._errors.take()
        self._step("turn", at, None, self._turns.turn, happened)
        seen = (self.scheduler, self._reloader.is_reading, self._minute, at)
        self._step("service manager", at, None, self._notifier.update, *seen)
        self._step("idle keepers", at, None, self._processes.shrink_idle, at)
        known = (self.scheduler, self._minute, at)
        self._step("rehearsal", at, None, self._rehearsal.prepare, *known)

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        try:
            return select_precisely(self._selector, self._timeout_s())
        except Exception as error:
            self._errors.caught(error, "waiting", self.read_clocks())
            return self._selector.select(COARSE_WAIT_S)

    def _step(
        self, where: str, at: ev.At, otherwise: T, act: Callable[..., T], *given: object
    ) -> T:
        """Run one step of a turn; return `otherwise` if it raises or is suspended."""
        if self._errors.rests_until(where, at.mono) is not None:
            return otherwise
        try:
            done = act(*given)
        except Exception as error:
            self._errors.caught(error, where, at)
            return otherwise
        self._errors.went_well(where)
        return done

    def _receive(self, key: selectors.SelectorKey, at: ev.At) -> list[ev.Event]:
        """Read a descriptor; drop one that raises twice in a row."""
        where = f"descriptor {key.fd}"
        try:
            events = self._events_of(self._processes.ready(key, at))
        except Exception as error:
            self._errors.caught(error, where, at)
            if not self._errors.has_failed_twice(where):
                return []
            self._errors.went_well(where)  # the number may be reused for another descriptor
            return self._step(where, at, [], lambda: [*self._processes.let_go(key.fd, at)])
        self._errors.went_well(where)
        return events

    def turn(self, happened: Iterable[ev.Event]) -> None:
        """Decide about these events and perform the resulting actions."""
        self._turns.turn(happened)

    def flush(self) -> None:
        """Write the queued records; call before the ledger is closed."""
        self._queue.flush(self.read_clocks().mono)

    def read_clocks(self) -> ev.At:
        """Return the current wall clock, monotonic clock and a random number."""
        return ev.At(datetime.now(UTC), time.monotonic(), random.random())

    def on_signal(self, number: int, _frame: object = None) -> None:
        """Record a signal (signal handler); the wake-up descriptor wakes the loop."""
        self._signals.append(number)

    def install_signals(self) -> None:
        """Install handlers: SIGTERM and SIGINT stop, SIGHUP reloads, SIGCHLD reaps children."""
        signal.set_wakeup_fd(self._bridge.signal_fd, warn_on_full_buffer=False)
        for number in (*_HANDLED_SIGNALS, signal.SIGCHLD):
            signal.signal(number, self.on_signal)

    def _events_of(self, said: Iterable[ev.Event]) -> list[ev.Event]:
        return [redact_events.redact_event(event, self._log.mask) for event in said]

    def _timeout_s(self) -> float:
        at = self.read_clocks()
        instants = [
            at.mono + (self._minute - at.wall).total_seconds(),
            self._rehearsal.next_instant(self.scheduler, self._minute, at),
            self._look_at,
            self._turns.wake_at(at.mono),
            self._queue.flush_at,
            self._maintenance.again_at,
            self._end_by,
            self._processes.next_instant(),
            *(self._instant_of(owner, at) for owner in self._owners),
            *(self._instant_of(source, at) for source in self._sources),
            self._notifier.next_instant(),
            0.0 if self._errors.is_waiting else None,
        ]
        return max(0.0, min(each for each in instants if each is not None) - at.mono)

    def _instant_of(self, owner: InternalJobOwner | EventSource, at: ev.At) -> float | None:
        resting = self._errors.rests_until(type(owner).__name__, at.mono)
        return owner.next_instant() if resting is None else resting

    def _pass_time(self, at: ev.At) -> list[ev.Event]:
        """Return the events of time: a minute began, a timer expired, a clock was set back."""
        happened: list[ev.Event] = []
        flush_at = self._queue.flush_at
        if flush_at is not None and at.mono >= flush_at:
            happened += self._flush_deferred(at)
        wake = self._turns.wake_at(at.mono)
        minute_began = at.wall >= self._minute
        # After a clock was set back, the next minute lies too far ahead.
        clock_back = (self._minute - at.wall).total_seconds() > 61
        if minute_began or clock_back or (wake is not None and wake <= at.mono):
            happened.append(ev.TimePassed(at))
        if minute_began or clock_back:
            lateness = (at.wall - self._minute).total_seconds()
            self._tick(at, max(0.0, lateness))
        return happened

    def _tick(self, at: ev.At, lateness_s: float) -> None:
        self._minute = next_minute(at.wall)
        self._bridge.ticked_mono = at.mono
        self._observer.record_tick(lateness_s)
        self._publish(tick=Tick(at.wall, lateness_s))

    def _handle_signals(self, at: ev.At) -> list[ev.Event]:
        happened: list[ev.Event] = []
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGCHLD:
                self._processes.reap()
            elif number == signal.SIGHUP:
                self._reloader.request(None, at)
            else:
                happened.append(ev.StopAsked(at))
        return happened

    def _take_requests(self, at: ev.At) -> list[ev.Event]:
        return self._requests.take(self.scheduler, at)

    def _poll_config(self, at: ev.At) -> list[ev.Event]:
        if at.mono < self._look_at:
            return []
        self._look_at = at.mono + seconds_to_poll(at.wall)
        self._reloader.poll(at)
        return self._maintenance.run(self.scheduler, at)

    def _run_internal_jobs(self, events: list[ev.Event], at: ev.At) -> list[ev.Event]:
        theirs = [event for event in events if is_internal(event)]
        happened: list[ev.Event] = []
        for owner in self._owners:
            name = type(owner).__name__
            if theirs:  # the end of a job is reported once
                happened += self._step(f"end in {name}", at, [], owner.on_events, theirs, at)
            happened += self._step(name, at, [], self._send_out, owner, at)
        happened += self._step("look", at, [], self._reloader.overdue, at)
        return happened

    def _send_out(self, owner: InternalJobOwner, at: ev.At) -> list[ev.Event]:
        launch = owner.next_launch(at)
        if launch is None:
            return []
        return owner.on_events(self._events_of(self._processes.launch(launch, at)), at)

    @property
    def scheduler(self) -> SchedulerState:
        """Return the scheduler state after the last turn."""
        return self._turns.scheduler

    @property
    def _is_idle(self) -> bool:
        return self.scheduler.is_idle and not self.scheduler.has_unsent_alerts

    def _flush_deferred(self, at: ev.At) -> list[ev.Event]:
        """Write deferred records and those of a ledger that could not be written."""
        was_broken = self._queue.is_broken
        problem = self._queue.flush(at.mono, promises.next_of(self.scheduler))
        if problem:
            return [] if was_broken else [ev.LedgerWriteFailed(at, (), problem)]
        return [ev.LedgerRecovered(at, self._store.pop_damage())] if was_broken else []

    def _publish(self, **facts: Any) -> None:
        counted = {
            "log_lines_dropped": self._log.dropped,
            "keeper_deaths": self._processes.keeper_deaths,
            "heartbeat_failures": self._heartbeats.failures,
        }
        changed = replace(self._bridge.facts, **counted, **facts)
        if changed != self._bridge.facts:
            self._bridge.facts = changed
        self._bridge.scheduler = self.scheduler
