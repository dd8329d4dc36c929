"""Launches that are recorded before the disk is synced: none is unknown after a power cut."""

import random
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Config, Job
from supervisor.core.decide import decide, next_wakeup
from supervisor.core.memory import Memory
from supervisor.core.model import Run, State, Trigger, replace
from supervisor.core.state import SchedulerState
from supervisor.ledger import promises, startup_memory
from supervisor.ledger.errors import Written
from supervisor.ledger.promises import Promise
from supervisor.ledger.rows import RowError
from supervisor.ledger.store import Store
from supervisor.ledger.write_queue import SYNC_S, WriteQueue

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)
PENDING = Run(7, "a", AT, Trigger.SCHEDULE, State.PENDING, slot=AT)
ANOTHER_BOOT = "another"


class Machine(Store):
    """A ledger, and a copy of its files after the last sync, as a power cut would leave them."""

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "disk"
        self.syncs = 0
        (folder / "state").mkdir(parents=True)
        super().__init__(folder / "state")
        self._keep()

    def write(self, actions: Iterable[Written]) -> None:
        super().write(actions)
        self._keep()

    def after_power_cut(self) -> Memory:
        return remembered(self.disk)

    def _keep(self) -> None:
        self.syncs += 1
        shutil.rmtree(self.disk, ignore_errors=True)
        shutil.copytree(self.path.parent, self.disk)


class Burst:
    """A service whose jobs are all due at once, and that runs a few of them at a time."""

    def __init__(self, store: Store, jobs: tuple[Job, ...], places: int) -> None:
        config = Config(jobs=jobs, max_concurrent=places)
        self.queue = WriteQueue(store)
        self.mono = 0.0
        self.launched: set[tuple[int, int]] = set()
        self.living: list[tuple[int, int]] = []
        self.scheduler = SchedulerState(config)
        self.take(ev.Restored(self.at, config, store.memory()))
        self.mono = 60.0
        self.take(ev.TimePassed(self.at))

    @property
    def at(self) -> ev.At:
        return ev.At(AT + timedelta(seconds=self.mono), self.mono)

    def take(self, *events: ev.Event) -> None:
        due = self.queue.flush_at
        if due is not None and due <= self.mono:
            assert self.queue.flush(self.mono, promises.next_of(self.scheduler)) == ""
        actions: list[effects.Action] = []
        for event in events:
            self.scheduler, asked = decide(self.scheduler, event)
            actions += asked
        assert self.queue.take(actions, self.mono, promises.next_of(self.scheduler)) == ""
        begun = [(a.run.id, a.run.attempt) for a in actions if type(a) is effects.Launch]
        self.launched.update(begun)
        self.living += begun

    def end(self, count: int, status: int) -> None:
        """End the oldest attempts, and open the remaining slots of the minute."""
        self.mono += 0.002
        ended, self.living = self.living[:count], self.living[count:]
        events: list[ev.Event] = []
        wake = next_wakeup(self.scheduler)
        if wake is not None and wake <= self.mono:
            events.append(ev.TimePassed(self.at))
        for key in ended:
            events += [
                ev.Started(self.at, *key, 100),
                ev.Exited(self.at, *key, status),
                ev.TreeEmpty(self.at, *key),
            ]
        self.take(*events)


def plain(number: int) -> tuple[Job, ...]:
    return tuple(Job(f"job-{n}", n, cron=("* * * * *",)) for n in range(number))


def of_all_kinds(number: int) -> tuple[Job, ...]:
    """Return jobs of which some are retried and some wait for each other."""
    return tuple(
        replace(
            job,
            retries=job.place % 3,
            retry_delay_s=0.01,
            exclusive="group" if job.place % 4 == 1 else None,
        )
        for job in plain(number)
    )


def remembered(folder: Path, boot: Callable[[], str] = lambda: ANOTHER_BOOT) -> Memory:
    """Return what a service remembers that starts in this boot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promises, "boot_id", boot)
        store = Store(folder)
        try:
            return store.memory()
        finally:
            store.close()


def begun_by(memory: Memory, launched: Iterable[tuple[int, int]]) -> list[bool]:
    """Return for each attempt whether the memory counts it as begun."""
    attempts = {run.id: run.attempt for run in memory.runs}
    return [attempts.get(run, 0) >= attempt for run, attempt in launched]


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 150))
def test_after_a_power_cut_at_any_moment_each_attempt_that_was_launched_counts_as_begun(
    tmp_path_factory, seed, places, jobs
):
    dice = random.Random(seed)
    machine = Machine(tmp_path_factory.mktemp("machine"))
    burst = Burst(machine, of_all_kinds(jobs), places)

    for _ in range(60):
        burst.end(dice.randint(0, places), status=dice.choice((0, 0, 0, 256)))
        if dice.random() < 0.1:
            burst.mono += SYNC_S
        if dice.random() < 0.2:
            assert all(begun_by(machine.after_power_cut(), burst.launched))
    assert burst.launched
    assert all(begun_by(machine.after_power_cut(), burst.launched))
    machine.close()


def test_a_burst_waits_for_the_disk_once_for_many_launches(tmp_path):
    machine = Machine(tmp_path)
    burst = Burst(machine, plain(500), places=8)
    before = machine.syncs

    while burst.living:
        burst.end(2, status=0)

    assert len(burst.launched) == 500
    assert machine.syncs - before < 500 / promises.MOST * 2


def test_a_promise_that_ends_in_a_burst_is_followed_by_the_next_in_the_same_commit(tmp_path):
    machine = Machine(tmp_path)
    burst = Burst(machine, plain(100), places=8)
    before = machine.syncs

    burst.mono += SYNC_S
    burst.end(2, status=0)

    assert machine.syncs == before + 1
    assert all(begun_by(machine.after_power_cut(), burst.launched))
    machine.close()


def test_a_crash_of_the_process_leaves_promised_runs_pending(tmp_path):
    machine = Machine(tmp_path)
    burst = Burst(machine, plain(100), places=8)
    burst.end(2, status=0)
    shutil.copytree(machine.path.parent, tmp_path / "killed")

    found = remembered(tmp_path / "killed", promises.boot_id)

    states = {run.id: run.state for run in found.runs}
    assert states == {**dict.fromkeys(states, State.PENDING),
                      **dict.fromkeys((1, 2), State.SUCCESS),
                      **dict.fromkeys(range(3, 11), State.RUNNING)}  # fmt: skip


def test_a_promise_ends_when_nothing_more_happens(tmp_path):
    machine = Machine(tmp_path)
    burst = Burst(machine, plain(100), places=8)
    burst.end(2, status=0)
    assert machine.after_power_cut() != remembered(machine.path.parent)

    assert burst.queue.flush_at is not None
    burst.queue.flush(burst.queue.flush_at)

    counted = [run.state for run in machine.after_power_cut().runs]
    assert counted.count(State.RUNNING) == 8


def test_nothing_is_promised_while_there_are_free_places(tmp_path):
    machine = Machine(tmp_path)
    burst = Burst(machine, plain(5), places=8)
    syncs = machine.syncs

    burst.end(1, status=0)

    assert machine.syncs == syncs + 1


def test_only_the_promised_attempt_counts_as_begun():
    promise = Promise("then", ((7, 1), (8, 2)))
    retried = replace(PENDING, id=8, attempt=1)
    other, running = replace(PENDING, id=9), replace(PENDING, id=10, state=State.RUNNING)
    twice = replace(PENDING, id=7, attempt=1)

    found = promises.begun((PENDING, retried, other, running, twice), promise, "now")

    assert [(run.state, run.attempt) for run in found] == [
        (State.RUNNING, 1),
        (State.RUNNING, 2),
        (State.PENDING, 0),
        (State.RUNNING, 0),
        (State.PENDING, 1),
    ]


@pytest.mark.parametrize(
    ("then", "now", "state"),
    [("b", "b", State.PENDING), ("b", "c", State.RUNNING), ("", "", State.RUNNING)],
)
def test_a_machine_that_does_not_name_its_boot_counts_as_booted_again(then, now, state):
    (found,) = promises.begun([PENDING], Promise(then, ((7, 1),)), now)

    assert found.state is state


@pytest.mark.parametrize("text", ["{", "[]", '{"boot": 1}', "[" * 100_000, '{"boot": "\ud800"}'])
def test_what_is_no_promise_is_a_damaged_row(text):
    with pytest.raises(RowError, match="meta: promised"):
        startup_memory.promise(text)
