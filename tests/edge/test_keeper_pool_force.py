"""Kill steps: TERM, KILL and ABANDON, with cooperative, TERM-ignoring and many processes."""

import os
import signal

from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import Runner, emptied, exited, lives, parent, state
from workers.protocol import Done, Started


def test_a_worker_may_finish_after_term(runner: Runner):
    run = runner.begin("end_on_cancel")
    runner.until(lambda: runner.received(run, Started))

    runner.force(run, KillStep.TERM)
    runner.until_ended(run)

    assert runner.messages(run)[-1] == Done({"stopped": True})


def test_a_worker_that_ignores_term_needs_kill(runner: Runner):
    run = runner.begin("ignore_sigterm")
    runner.until_working(run)

    runner.force(run, KillStep.TERM)
    for _ in range(20):
        runner.turn()
    assert runner.event_names(run) == ["Started"]
    runner.force(run, KillStep.KILL)
    runner.until_ended(run)

    assert os.WTERMSIG(exited(runner.of(run))) == signal.SIGKILL
    assert emptied(runner.of(run)).strays == ()


def test_term_reaches_a_whole_pipeline(runner: Runner):
    run = runner.begin(shell="sleep 600 | sleep 601")
    runner.pid(run)

    runner.force(run, KillStep.TERM)
    runner.until_ended(run)

    assert os.WTERMSIG(exited(runner.of(run))) == signal.SIGTERM


def test_term_reaches_a_stopped_worker(runner: Runner):
    run = runner.begin("stop_itself")
    runner.until(lambda: state(runner.pid(run)) == "T")

    runner.force(run, KillStep.TERM)
    runner.until_ended(run)

    assert os.waitstatus_to_exitcode(exited(runner.of(run))) == 0


def test_force_in_the_first_moment_is_not_lost(runner: Runner):
    runs = [runner.begin("end_on_cancel") for _ in range(8)]

    for run in runs:
        runner.force(run, KillStep.TERM)
    runner.until_ended(*runs)

    assert all(exited(runner.of(run)) in (0, signal.SIGTERM) for run in runs)


def test_kill_ends_a_tree_of_two_hundred(runner: Runner):
    run = runner.begin("fork_bomb")
    runner.until(lambda: runner.received(run, Started))

    runner.force(run, KillStep.KILL)
    runner.until_ended(run)

    assert runner.jobs() == set()


def test_a_signal_to_an_ended_run_does_nothing(runner: Runner):
    runner.run_to_end(argv=("/bin/true",))

    for force in KillStep:
        runner.force(1, force)

    assert os.waitstatus_to_exitcode(exited(runner.run_to_end(argv=("/bin/true",)))) == 0


def test_to_abandon_an_attempt_ends_its_keeper_and_all_that_it_held(runner: Runner):
    run = runner.begin("ignore_sigterm")
    runner.until_working(run)
    pid = runner.pid(run)
    keeper = parent(pid)

    runner.force(run, KillStep.ABANDON)
    runner.until_ended(run)

    assert runner.event_names(run) == ["Started", "KeeperLost", "TreeEmpty"]
    assert runner.processes.living() == frozenset()
    assert not lives(pid)
    assert not lives(keeper)
