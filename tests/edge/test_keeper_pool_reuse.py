"""Keepers that are used again: none is doubled, descriptors stay flat, at rest one is kept."""

import gc
import os
from datetime import UTC, datetime
from pathlib import Path

from supervisor.core import events
from tests.edge.fixtures_keepers import Runner, exited


def test_a_place_is_used_again_for_the_next_run(runner: Runner):
    runner.run_to_end(shell="ps -o ppid= $$ || echo 1")
    runner.run_to_end(shell="ps -o ppid= $$ || echo 1")

    assert runner.log(1) == runner.log(2)


def descriptors(pid: int) -> list[str]:
    """Return the open descriptors of a process, except the file that newer libffi opens."""
    opened = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
    return [name for name in opened if "/libffi.so" not in name]


def test_two_hundred_launches_leave_descriptors_and_keepers_flat(runner: Runner):
    def run_eight(first: int) -> None:
        for number in range(first, first + 8):
            kind = {"argv": ("/bin/true",)} if number % 2 else {"worker": "return_input"}
            runner.begin(**kind)
        runner.until(lambda: not runner.processes.living())

    run_eight(0)
    gc.collect()  # descriptors left open by earlier tests are not counted
    before = len(os.listdir("/proc/self/fd")), runner.keepers()
    for first in range(8, 200, 8):
        run_eight(first)

    assert (len(os.listdir("/proc/self/fd")), runner.keepers()) == before
    assert len(runner.keepers()) == 8
    assert {len(descriptors(pid)) for pid in runner.keepers()} == {5}
    assert all(
        event.wait_status == 0 for event in runner.happened if hasattr(event, "wait_status")
    )


def test_at_most_sixteen_idle_keepers_are_kept(runner: Runner):
    runs = [runner.begin(shell="sleep 0.2") for _ in range(24)]
    runner.until_ended(*runs)

    runner.until(lambda: len(runner.keepers()) == 16)


def test_at_rest_one_idle_keeper_is_kept_for_the_next_run(runner: Runner):
    runs = [runner.begin(shell="sleep 0.2") for _ in range(4)]
    living = runner.begin(argv=("/bin/sleep", "600"))
    runner.until_ended(*runs)

    assert runner.processes.rest_at is not None
    runner.processes.shrink_idle(events.At(datetime.now(UTC), runner.processes.rest_at - 0.1))
    before = len(runner.keepers())
    runner.processes.shrink_idle(events.At(datetime.now(UTC), runner.processes.rest_at))
    runner.until(lambda: len(runner.keepers()) == 2)

    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0
    assert runner.event_names(living) == ["Started"]
    assert (before, len(runner.keepers())) == (5, 2)
    assert runner.processes.keeper_deaths == 0
