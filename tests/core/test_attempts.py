"""One attempt: timeout, kill steps, leftover processes, and unkillable ones."""

import pytest

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.decide import next_wakeup
from tests.core.core_harness import Harness, job
from workers.protocol import Garbage


def test_at_the_deadline_an_attempt_gets_term():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=90))

    harness.at("02:01:29")
    before = list(harness.forces("a"))
    harness.at("02:01:30")

    assert before == []
    assert harness.forces("a") == ["term"]


def test_after_the_grace_it_gets_kill():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=90, kill_grace_s=10))

    harness.at("02:01:39")
    before = list(harness.forces("a"))
    harness.at("02:01:40")

    assert before == ["term"]
    assert harness.forces("a") == ["term", "kill"]


def test_a_job_without_a_timeout_runs_without_limit():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=None))

    harness.at("2026-01-06 01:59")

    assert harness.forces("a") == []
    assert next_wakeup(harness.scheduler) is None


def test_the_limit_counts_for_each_attempt_anew():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=90, retries=1, retry_delay_s=60))
    harness.at("02:01")
    harness.ends("a", status=1)

    harness.at("02:03:29")
    before = list(harness.forces("a"))
    harness.at("02:03:30")

    assert before == []
    assert harness.forces("a") == ["term"]


def test_what_survives_kill_is_given_up_with_its_keeper_and_its_place_is_free():
    harness = Harness(
        job("undead", cron="0 2 * * *", timeout_s=60, kill_grace_s=10),
        job("b", cron="1 2 * * *"),
        max_concurrent=1,
    )
    harness.at("02:01:10")

    harness.after(seconds=14)
    before = list(harness.forces("undead"))
    harness.after(seconds=1)
    forces = list(harness.forces("undead"))
    state = harness.run("undead").state
    harness.survives("undead", "7 dd if=/dead/mount", "8 sync")

    assert before == ["term", "kill"]
    assert (forces, state) == (["term", "kill", "abandon"], "running")
    assert harness.run("undead").state == "failed"
    assert harness.words("undead") == ["unkillable opened", "timeout opened"]
    (unkillable,) = [i for i in harness.incidents("undead") if i.kind == "unkillable"]
    assert unkillable.severity == "critical"
    assert unkillable.cause == ("processes of run 1 survive SIGKILL: 7 dd if=/dead/mount; 8 sync")
    assert harness.live() == ["b"]


def test_what_ends_with_its_keeper_is_no_incident():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=60, kill_grace_s=10))
    harness.at("02:01:25")
    harness.loses("a")

    assert harness.run("a").cause == "timeout after 1m"
    assert harness.words("a") == ["timeout opened"]
    assert harness.live() == []


def test_a_tree_that_sends_no_events_any_more_is_let_go_in_the_end():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=60, kill_grace_s=10))
    harness.at("02:01:25")

    harness.after(seconds=3)

    assert harness.run("a").state == "failed"
    (unkillable,) = [i for i in harness.incidents("a") if i.kind == "unkillable"]
    assert unkillable.cause == "processes of run 1 survive SIGKILL: which ones is not known"


def test_leftovers_that_survive_kill_do_not_change_the_verdict():
    harness = Harness(job("a", cron="0 2 * * *", kill_grace_s=10))
    harness.at("02:00")
    harness.exits("a")

    harness.after(seconds=15)
    harness.survives("a", "7 sleep")

    assert harness.states("a") == ["success"]
    assert harness.words("a") == ["unkillable opened"]


def test_the_verdict_is_settled_when_the_own_process_ends():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.after(seconds=5)

    harness.exits("a")
    settled = harness.run("a")
    harness.after(seconds=5)
    harness.empties("a")

    assert settled.state == "success"
    assert harness.run("a").ended_at == settled.ended_at


def test_what_it_left_behind_is_named_in_its_row():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")

    harness.ends("a", strays=["77 sleep 1000"])

    assert harness.run("a").strays == ("77 sleep 1000",)
    assert harness.run("a").cpu_s == 1.5
    assert harness.status().strays_killed == 1


def test_what_a_cancelled_retry_left_behind_is_named_in_its_row():
    harness = Harness(job("a", cron="0 2 * * *", retries=1))
    harness.at("02:00")
    harness.exits("a", status=1)
    harness.asks(control_requests.CancelJob("a"))

    harness.empties("a", strays=["77 sleep 1000"])

    assert harness.run("a").strays == ("77 sleep 1000",)


# --- actual end versus requested end -------------------------------------------------------


def test_a_command_that_ends_well_after_its_deadline_has_timed_out():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=60))
    harness.at("02:01")

    harness.ends("a")

    assert harness.states("a") == ["failed"]
    assert harness.run("a").cause == "timeout after 1m"


def test_the_first_garbage_is_the_one_that_is_reported():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.says("a", Garbage("half a line"))
    harness.says("a", Garbage("noise"))
    harness.ends("a")

    assert harness.run("a").reason == "protocol"
    assert harness.run("a").cause == "the worker sent half a line"


@pytest.mark.parametrize("how", ["cannot_launch", "loses", "empties"])
def test_however_an_attempt_goes_its_place_is_free(how):
    harness = Harness(job("a", retries=3), job("b"), max_concurrent=1)
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.RunJobs(("b",)))

    getattr(harness, how)("a")

    assert harness.states("a") == ["retrying"]
    assert harness.live() == ["b"]


def test_a_tree_that_is_empty_without_an_exit_was_interrupted():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")

    harness.empties("a")

    assert harness.run("a").state == "retrying"
    assert harness.run("a").reason == "crash"
    assert harness.run("a").retries_used == 0


def test_a_keeper_lost_after_the_process_had_ended_changes_no_verdict():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.exits("a", status=3)
    [(run, number)] = harness.processes

    harness.send(ev.KeeperLost(harness.clocks(), run, number))
    harness.empties("a")

    assert harness.states("a") == ["failed"]
    assert harness.run("a").cause == "exit status 3"


def test_leftovers_get_no_signal_at_the_deadline():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=12.0, kill_grace_s=10.0))
    harness.at("02:00")
    harness.exits("a")

    harness.after(seconds=14)

    assert harness.forces("a") == []
    assert harness.states("a") == ["success"]


# --- resource use -----------------------------------------------------------------------------
