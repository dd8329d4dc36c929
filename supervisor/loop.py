"""The loop: wait -> event -> decide -> perform. The only reader of clocks and dice.

One thread over one selector. It sleeps to the next full minute, deadline or
backoff, on the monotonic clock; nothing polls. `Record`s of a turn are
committed in one transaction before anything else of the turn is done: no
record, no launch.
"""

import random
import selectors
import signal
import time
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from supervisor import hearing
from supervisor.alerts.courier import Courier, Trial
from supervisor.alerts.heartbeats import Heartbeats
from supervisor.containment import output
from supervisor.containment.processes import Processes
from supervisor.core import asks, changes
from supervisor.core import events as ev
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.model import Beat, Pulse, replace
from supervisor.core.view import Tick
from supervisor.core.world import World
from supervisor.desk import Desk, Reload, TestAlert
from supervisor.errands import Party, is_of_an_errand
from supervisor.given import Given, as_kept
from supervisor.herald import Herald
from supervisor.ledger.backlog import Backlog
from supervisor.ledger.store import LedgerTrouble, Store
from supervisor.log import Log
from supervisor.reload import Asker, Reloader
from supervisor.watch import seconds_to_look
from supervisor.witness import Witness

# How long the end waits for heartbeats that tell of the last runs.
LAST_BEATS_S = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Loop:
    """One life of the service, from `Restored` to `Stop`."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        store: Store,
        processes: Processes,
        reloader: Reloader,
        desk: Desk,
        log: Log,
        herald: Herald,
    ) -> None:
        self._selector = selector
        self._store = store
        self._processes = processes
        self._reloader = reloader
        self._desk = desk
        self._log = log
        self._herald = herald
        folder = reloader.folder
        self._courier, self._trial = Courier(folder.root, log), Trial()
        self._heartbeats = Heartbeats(folder.heartbeats, log)
        parties: list[Party] = [reloader, self._courier, self._trial, self._heartbeats]
        self._parties = tuple(parties)
        self._witness = Witness(desk)
        self._given = Given()
        self._backlog = Backlog(store)
        self._answers: dict[int, Future[Any]] = {}
        self._signals: list[int] = []
        self._last_token = 0
        self._is_over = False
        self._end_by: float | None = None
        self._wake_at: float | None = None
        self.world: World

    def begin(self, restored: ev.Restored) -> None:
        """The first turn: settle, catch up, launch what is due."""
        self._selector.register(self._desk.wake_fd, selectors.EVENT_READ, self._desk)
        self.world = World(restored.config)
        self._minute = next_minute(restored.at.wall)
        self._look_at = restored.at.mono + seconds_to_look(restored.at.wall)
        self._desk.ticked_mono = restored.at.mono
        self._turn([restored])

    def run(self, until_idle: bool = False) -> None:
        """Turn until stopped (or, for `run --local`, until nothing is open)."""
        while not self._is_over and not (until_idle and self._is_idle):
            self.once()
        self._end_by = self.read_clocks().mono + LAST_BEATS_S
        if self.world.stop_by is not None:
            self._end_by = min(self._end_by, self.world.stop_by)
        while not self._heartbeats.is_idle and self.read_clocks().mono < self._end_by:
            self.once()
        self._heartbeats.close()

    def once(self) -> None:
        """Sleep to the next thing that happens, and act on it."""
        ready = self._selector.select(self._timeout_s())
        self._desk.woken()
        at = self.read_clocks()
        heard: list[ev.Event] = []
        for key, _ in ready:
            if key.data is self._processes:
                heard += self._heard(self._processes.ready(key, at))
        heard += self._heed_signals(at)
        heard += self._take_calls(at)
        happened = [event for event in heard if not is_of_an_errand(event)]
        self._look(at)
        happened += self._run_errands(heard, at)
        happened += self._pass_time(at)
        self._turn(happened)
        self._herald.look(self.world, self._reloader.is_reading, self._minute, at)
        self._processes.rest(at)

    def flush(self) -> None:
        """Write what still waits, as the last thing before the ledger is closed."""
        self._backlog.flush(self.read_clocks().mono)

    def read_clocks(self) -> ev.At:
        """This turn's one reading of clocks and dice."""
        return ev.At(datetime.now(UTC), time.monotonic(), random.random())

    def heed(self, number: int, _frame: object = None) -> None:
        """A signal handler: note it; the wake-up descriptor does the rest."""
        self._signals.append(number)

    def install_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads, SIGCHLD buries."""
        signal.set_wakeup_fd(self._desk.signal_fd, warn_on_full_buffer=False)
        for number in (*_SIGNALS, signal.SIGCHLD):
            signal.signal(number, self.heed)

    def _heard(self, said: Iterable[ev.Event]) -> list[ev.Event]:
        return [hearing.masked(event, self._log.mask) for event in said]

    # --- what happens -------------------------------------------------------------

    def _timeout_s(self) -> float:
        at = self.read_clocks()
        instants = [
            at.mono + (self._minute - at.wall).total_seconds(),
            self._look_at,
            self._wake_at,
            self._backlog.flush_at,
            self._end_by,
            self._processes.next_instant(),
            *(party.next_instant() for party in self._parties),
            self._herald.next_instant(),
        ]
        return max(0.0, min(each for each in instants if each is not None) - at.mono)

    def _pass_time(self, at: ev.At) -> list[ev.Event]:
        """Time itself as an event: a minute began, a timer ran out, a clock was put back."""
        happened: list[ev.Event] = []
        flush_at = self._backlog.flush_at
        if flush_at is not None and at.mono >= flush_at:
            happened += self._flush_late(at)
        wake = self._wake_at
        minute_began = at.wall >= self._minute
        # A clock put back leaves a minute that lies too far ahead.
        clock_back = (self._minute - at.wall).total_seconds() > 61
        if minute_began or clock_back or (wake is not None and wake <= at.mono):
            happened.append(ev.TimePassed(at))
        if minute_began or clock_back:
            lateness = (at.wall - self._minute).total_seconds()
            self._tick(at, max(0.0, lateness))
        return happened

    def _tick(self, at: ev.At, lateness_s: float) -> None:
        self._minute = next_minute(at.wall)
        self._desk.ticked_mono = at.mono
        self._witness.saw_tick(lateness_s)
        self._publish(tick=Tick(at.wall, lateness_s))

    def _keep_house(self, at: ev.At) -> None:
        """Forget what is too old, a little at a time and far from the full minute."""
        history, runs_dir = self.world.config.history, self._reloader.folder.runs
        try:
            for run in self._store.purge(history, at.wall):
                output.remove(runs_dir, run)
            for run in self._store.purge_logs(history.log_bytes):
                output.remove(runs_dir, run)
            self._store.tidy()
        except LedgerTrouble as trouble:
            self._log.note(at.wall, ev.Note("warning", f"purge history: {trouble}"))

    def _heed_signals(self, at: ev.At) -> list[ev.Event]:
        happened: list[ev.Event] = []
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGCHLD:
                self._processes.reap()
            elif number == signal.SIGHUP:
                self._reloader.ask(None, at)
            else:
                happened.append(ev.StopAsked(at))
        return happened

    def _take_calls(self, at: ev.At) -> list[ev.Event]:
        happened: list[ev.Event] = []
        for call in self._desk.take():
            if isinstance(call.what, Reload):
                self._reloader.ask(Asker(call.peer, call.answer, call.what.previous), at)
            elif isinstance(call.what, TestAlert):
                self._trial.ask(call.answer, self.world)
            else:
                if self._given.hear(call.what):
                    self._log.mask = self._given.masker(self.world.config)
                self._last_token += 1
                self._answers[self._last_token] = call.answer
                happened.append(ev.Asked(at, self._last_token, call.peer, call.what))
        return happened

    def _look(self, at: ev.At) -> None:
        if at.mono >= self._look_at:
            self._look_at = at.mono + seconds_to_look(at.wall)
            self._reloader.look(at)
            self._keep_house(at)

    def _run_errands(self, heard: list[ev.Event], at: ev.At) -> list[ev.Event]:
        happened: list[ev.Event] = []
        theirs = [event for event in heard if is_of_an_errand(event)]
        for party in self._parties:
            if theirs:
                happened += party.settled(theirs, at)
            launch = party.errand(at)
            if launch is not None:
                happened += party.settled(self._heard(self._processes.launch(launch, at)), at)
        return happened

    @property
    def _is_idle(self) -> bool:
        return self.world.is_idle and not self.world.has_news

    # --- what is done -------------------------------------------------------------

    def _turn(self, happened: Iterable[ev.Event]) -> None:
        waiting = list(happened)
        while waiting:
            actions: list[ev.Action] = []
            for event in waiting:
                before = self.world
                self.world, asked = decide(before, event)
                actions += asked
                self._witness.saw(before, self.world, asked)
                actions += self._tell_reloader(event, before)
            at = waiting[-1].at
            waiting = self._perform(actions, at) if actions else []
        self._wake_at = next_wakeup(self.world)
        self._publish()
        self._witness.tell()

    def _tell_reloader(self, event: ev.Event, before: World) -> list[ev.Record]:
        """Answer those who asked for a reload; what the ledger keeps of them."""
        if isinstance(event, ev.Reloaded):
            self._log.mask = self._given.masker(event.config)
            self._publish(config_loaded_at=event.at.wall)
            found = changes.compare(before.jobs, self.world.jobs, event.at.wall)
            later = changes.at_next_start(before.config, event.config)
            return self._reloader.accepted(replace(found, at_next_start=later), event.at.wall)
        if isinstance(event, ev.ReloadRefused):
            if event.error:
                return self._reloader.failed(event.error, event.at.wall)
            return self._reloader.refused(event.problems, event.at.wall)
        return []

    def _perform(self, actions: list[ev.Action], at: ev.At) -> list[ev.Event]:
        """Do all of it, in order, records first; what that made happen."""
        follow: list[ev.Event] = []
        launches = [action for action in actions if isinstance(action, ev.Launch)]
        trouble = self._backlog.take([as_kept(action) for action in actions], at.mono)
        if trouble:
            keys = tuple((launch.run.id, launch.run.attempt) for launch in launches)
            if launches or not self.world.ledger_trouble:
                follow.append(ev.Unrecorded(at, keys, trouble))
            launches = []
        for action in actions:
            match action:
                case ev.Signal(run, attempt, force):
                    self._processes.signal(run, attempt, force)
                case asks.Reply(token=token):
                    self._desk.answer(self._answers.pop(token), action, self.world)
                case ev.Deliver():
                    self._courier.take(action, self.world)
                case Beat(pulse=pulse) if not (trouble and pulse is Pulse.START):
                    self._heartbeats.take(action)
                case ev.Stop():
                    self._is_over = True
        for launch in launches:
            follow += self._heard(self._processes.launch(launch, at))
        self._log.note(at.wall, *(action for action in actions if isinstance(action, ev.Note)))
        return follow

    def _flush_late(self, at: ev.At) -> list[ev.Event]:
        """Write what waited, for a moment or for a ledger that could not be written."""
        was_broken = self._backlog.is_broken
        trouble = self._backlog.flush(at.mono)
        if trouble:
            return [] if was_broken else [ev.Unrecorded(at, (), trouble)]
        return [ev.Recorded(at, self._store.take_damage())] if was_broken else []

    def _publish(self, **facts: Any) -> None:
        counted = {
            "log_lines_dropped": self._log.dropped,
            "keeper_deaths": self._processes.keeper_deaths,
            "heartbeat_failures": self._heartbeats.failures,
        }
        changed = replace(self._desk.facts, **counted, **facts)
        if changed != self._desk.facts:
            self._desk.facts = changed
        self._desk.world = self.world
