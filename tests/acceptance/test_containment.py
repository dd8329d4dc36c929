"""Nothing escapes: six fugitives under four endings, and a child that was left behind."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import fugitives, line
from tests.acceptance.account import instance
from tests.acceptance.daemon import House, living, supervised
from tests.acceptance.hunting import carrying, children, is_free_of
from tests.waiting import until

FUGITIVES = ("deaf", "daemon", "restless", "statue", "mute", "nameless")
GRACE_S = 0.3
# From the moment that an end is asked for, by DESIGN: kill_grace + 2 s.
WITHIN_S = GRACE_S + 2


def command(fugitive: str) -> str:
    """A string command, so that the shell gives each run a word of its own."""
    return f"exec {sys.executable} -S {fugitives.__file__} {fugitive} {fugitive}-$NIGHTSHIFT_RUN"


def jobs() -> str:
    lines = [f"defaults: {{kill_grace: {GRACE_S}s}}", "max_concurrent: 9"]
    lines += [f"shutdown_grace: {GRACE_S}s", "jobs:"]
    for name in FUGITIVES:
        said = f"command: {command(name)!r}"
        lines.append(f"  {name}: {{{said}}}")
        lines.append(f"  {name}-late: {{{said}, timeout: 600ms}}")
        lines.append(f"  {name}-replaced: {{{said}, overlap: replace}}")
    lines.append("  parent: {command: 'sleep 600 & echo done'}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with living(jobs()) as house:
        yield house


def begin(house: House, job: str, fugitive: str) -> int:
    """Request a run and wait until it is at work; its number."""
    (run,) = house.json("run", job)["runs"]
    until(lambda: Path(house.root, f"{fugitive}-{run}").exists())
    return int(run)


def timed_out(house: House, fugitive: str) -> tuple[int, str]:
    run = begin(house, f"{fugitive}-late", fugitive)
    until(lambda: line.run(house, run)["state"] != "running")
    return run, "failed"


def cancelled(house: House, fugitive: str) -> tuple[int, str]:
    run = begin(house, fugitive, fugitive)
    house.says("cancel", str(run))
    return run, "cancelled"


def replaced(house: House, fugitive: str) -> tuple[int, str]:
    job = f"{fugitive}-replaced"
    run = begin(house, job, fugitive)
    house.says("run", job)
    return run, "cancelled"


Ending = Callable[[House, str], tuple[int, str]]


@pytest.mark.parametrize("fugitive", FUGITIVES)
@pytest.mark.parametrize("end", [timed_out, cancelled, replaced])
def test_not_one_process_is_left(house: House, end: Ending, fugitive: str) -> None:
    run, state = end(house, fugitive)

    until(lambda: is_free_of(f"{fugitive}-{run}"), within_s=WITHIN_S)

    until(lambda: line.run(house, run)["state"] == state)
    if end is replaced:
        until(lambda: Path(house.root, f"{fugitive}-{run + 1}").exists())
        house.says("cancel", str(run + 1))
        until(lambda: is_free_of(f"{fugitive}-{run + 1}"), within_s=WITHIN_S)


def test_not_one_process_is_left_after_a_shutdown() -> None:
    with House(jobs()) as house:
        with supervised(house) as supervisor:
            tokens = [f"{name}-{begin(house, name, name)}" for name in FUGITIVES]

            house.says("stop")

            assert supervisor.wait(WITHIN_S) == 0
        assert [token for token in tokens if not is_free_of(token)] == []


def test_when_it_is_quiet_only_one_idle_keeper_is_left() -> None:
    jobs = "max_concurrent: 4\njobs:\n" + "".join(
        f"  nap-{n}: {{command: 'sleep 0.5', run_on_startup: true}}\n" for n in range(4)
    )
    with House(jobs) as house, supervised(house) as supervisor:
        until(lambda: len(carrying(instance(house))) > 5)

        (nursery,) = children(supervisor.pid)

        until(lambda: len(children(nursery)) == 1)


def test_a_job_that_leaves_a_child_has_succeeded_and_the_child_is_named(house: House) -> None:
    for _ in range(2):  # the second run finds its job free
        (number,) = house.json("run", "parent")["runs"]
        until(lambda number=number: line.run(house, number)["strays"])

        newest = line.run(house, number)

        assert newest["state"] == "success"
        assert newest["duration_seconds"] < 2
        (stray,) = newest["strays"]
        pid, argv = stray.split(" ", 1)
        # It may have been caught before it became a `sleep`.
        assert argv in ("sleep 600", "[sleep]", "/bin/sh -c sleep 600 & echo done")
        assert not Path("/proc", pid).exists()
        assert f"It left behind {stray}, which was killed." in house.says("explain", "parent")
