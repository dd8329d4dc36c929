"""Preparation shortly before a minute in which jobs are due."""

import selectors
import socket
from datetime import timedelta

import pytest

from supervisor.containment.keeper_pool import IDLE_KEEPERS
from supervisor.core import decide as rules
from supervisor.core import events as ev
from supervisor.core.decide import next_minute
from supervisor.runtime.rehearsal import LEAD_S, SELECTOR_STEP_S, Rehearsal, select_precisely
from tests.core.core_harness import Harness, job
from tests.edge.fixtures_keepers import Runner


def before(harness: Harness, seconds: float) -> tuple[ev.At, object]:
    """Return a reading of the clocks this long before the next minute, and that minute."""
    minute = next_minute(harness.wall)
    return ev.At(minute - timedelta(seconds=seconds), 1000.0), minute


@pytest.fixture
def harness() -> Harness:
    made = Harness(*(job(f"j{n}", cron="1 0 * * *") for n in range(3)), max_concurrent=2)
    made.after(seconds=30)
    return made


def test_the_loop_wakes_before_a_minute_with_slots_and_a_step_before_its_end(harness, runner):
    rehearsal = Rehearsal(runner.processes, rules.decide)
    early, minute = before(harness, 20)
    late, _ = before(harness, LEAD_S / 2)

    assert rehearsal.next_instant(harness.scheduler, minute, early) == pytest.approx(1020 - LEAD_S)
    assert rehearsal.next_instant(harness.scheduler, minute, late) is None
    rehearsal.prepare(harness.scheduler, minute, late)
    assert rehearsal.next_instant(harness.scheduler, minute, late) == pytest.approx(
        1000 + LEAD_S / 2 - SELECTOR_STEP_S
    )


def test_a_minute_without_slots_needs_nothing(harness, runner):
    rehearsal = Rehearsal(runner.processes, rules.decide)
    at, minute = before(harness, LEAD_S)
    other = minute + timedelta(minutes=1)

    rehearsal.prepare(harness.scheduler, other, at)

    assert rehearsal.next_instant(harness.scheduler, other, at) is None
    assert len(runner.keepers()) <= 1


def test_there_are_keepers_for_what_is_due_and_may_run_and_nothing_else_has_changed(
    harness, runner
):
    decided = []

    def decide(scheduler, event):
        decided.append(event)
        return rules.decide(scheduler, event)

    rehearsal = Rehearsal(runner.processes, decide)
    at, minute = before(harness, LEAD_S / 2)
    known = harness.scheduler.next_run, harness.scheduler.queue, dict(harness.scheduler.runs)

    rehearsal.prepare(harness.scheduler, minute, at)
    rehearsal.prepare(harness.scheduler, minute, at)

    runner.until(lambda: len(runner.keepers()) == 2)
    assert [event.at.wall for event in decided] == [minute]
    assert (
        harness.scheduler.next_run,
        harness.scheduler.queue,
        dict(harness.scheduler.runs),
    ) == known
    harness.at("00:01")
    assert [run.state for run in harness.scheduler.runs.values()].count("running") == 2


def test_a_minute_that_is_not_near_is_not_prepared(harness, runner):
    rehearsal = Rehearsal(runner.processes, rules.decide)
    at, minute = before(harness, LEAD_S * 2)

    rehearsal.prepare(harness.scheduler, minute, at)

    assert rehearsal.next_instant(harness.scheduler, minute, at) is not None


def test_an_error_is_left_for_the_minute_itself(harness, runner):
    def decide(scheduler, event):
        raise RuntimeError("not now")

    at, minute = before(harness, LEAD_S / 2)

    Rehearsal(runner.processes, decide).prepare(harness.scheduler, minute, at)


def test_no_more_keepers_are_made_than_may_be_idle(runner: Runner):
    runner.processes.expect(1000)

    runner.until(lambda: len(runner.keepers()) == IDLE_KEEPERS)
    runner.run_to_end(shell="exit 0")
    assert len(runner.keepers()) == IDLE_KEEPERS


def test_a_wait_of_less_than_a_step_still_finds_what_is_ready():
    with selectors.DefaultSelector() as selector:
        mine, theirs = socket.socketpair()
        with mine, theirs:
            selector.register(mine, selectors.EVENT_READ, "mine")
            assert select_precisely(selector, SELECTOR_STEP_S / 2) == []
            theirs.send(b"x")
            ((key, _),) = select_precisely(selector, 0.0)

    assert key.data == "mine"
