"""Force: TERM, KILL and farewell, against the willing, the deaf and the many."""

import os
import signal

from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import Stage, emptied, exited, lives, parent, state
from workers.protocol import Done, Started


def test_term_lets_a_worker_end_well(stage: Stage):
    run = stage.begin("obedient")
    stage.until(lambda: stage.received(run, Started))

    stage.force(run, KillStep.TERM)
    stage.until_ended(run)

    assert stage.said(run)[-1] == Done({"stopped": True})


def test_the_deaf_need_kill_after_term(stage: Stage):
    run = stage.begin("deaf")
    stage.until_working(run)

    stage.force(run, KillStep.TERM)
    for _ in range(20):
        stage.turn()
    assert stage.words(run) == ["Started"]
    stage.force(run, KillStep.KILL)
    stage.until_ended(run)

    assert os.WTERMSIG(exited(stage.of(run))) == signal.SIGKILL
    assert emptied(stage.of(run)).strays == ()


def test_term_reaches_a_whole_pipeline(stage: Stage):
    run = stage.begin(shell="sleep 600 | sleep 601")
    stage.pid(run)

    stage.force(run, KillStep.TERM)
    stage.until_ended(run)

    assert os.WTERMSIG(exited(stage.of(run))) == signal.SIGTERM


def test_term_wakes_one_who_stands_still(stage: Stage):
    run = stage.begin("stopper")
    stage.until(lambda: state(stage.pid(run)) == "T")

    stage.force(run, KillStep.TERM)
    stage.until_ended(run)

    assert os.waitstatus_to_exitcode(exited(stage.of(run))) == 0


def test_force_in_the_first_moment_is_not_lost(stage: Stage):
    runs = [stage.begin("obedient") for _ in range(8)]

    for run in runs:
        stage.force(run, KillStep.TERM)
    stage.until_ended(*runs)

    assert all(exited(stage.of(run)) in (0, signal.SIGTERM) for run in runs)


def test_kill_ends_a_tree_of_two_hundred(stage: Stage):
    run = stage.begin("fork_bomb")
    stage.until(lambda: stage.received(run, Started))

    stage.force(run, KillStep.KILL)
    stage.until_ended(run)

    assert stage.jobs() == set()


def test_force_against_what_is_gone_is_nothing(stage: Stage):
    stage.play(argv=("/bin/true",))

    for force in KillStep:
        stage.force(1, force)

    assert os.waitstatus_to_exitcode(exited(stage.play(argv=("/bin/true",)))) == 0


def test_to_abandon_an_attempt_ends_its_keeper_and_all_that_it_held(stage: Stage):
    run = stage.begin("deaf")
    stage.until_working(run)
    pid = stage.pid(run)
    keeper = parent(pid)

    stage.force(run, KillStep.ABANDON)
    stage.until_ended(run)

    assert stage.words(run) == ["Started", "KeeperLost", "TreeEmpty"]
    assert stage.processes.living() == frozenset()
    assert not lives(pid)
    assert not lives(keeper)
