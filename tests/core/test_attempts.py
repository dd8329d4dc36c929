"""One attempt: timeout, kill steps, leftover processes, and unkillable ones."""

import pytest

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.attempts import MOST_METRICS
from supervisor.core.decide import next_wakeup
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Done, Garbage, Metric, Progress


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


def test_a_cancelled_run_that_survives_kill_is_cancelled():
    harness = Harness(job("a", kill_grace_s=10))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    harness.after(seconds=25)
    harness.survives("a", "7 sleep")

    assert harness.states("a") == ["cancelled"]
    assert harness.words("a") == ["unkillable opened"]


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


def test_a_cancelled_run_gets_term_then_kill():
    harness = Harness(job("a", cron="0 2 * * *", kill_grace_s=10))
    harness.at("02:00")

    harness.asks(control_requests.CancelJob("a"))
    harness.after(seconds=10)

    assert harness.forces("a") == ["term", "kill"]


def test_a_run_that_is_cancelled_twice_is_reported_once():
    harness = Harness(job("a", cron="0 2 * * *", kill_grace_s=10))
    harness.at("02:00")
    harness.asks(control_requests.CancelJob("a"))

    harness.after(seconds=5)
    harness.asks(control_requests.CancelJob("a"))
    harness.after(seconds=5)

    assert harness.forces("a") == ["term", "kill"]


def test_a_pending_run_is_cancelled_at_once():
    harness = Harness(job("hog"), job("a"), max_concurrent=1)
    harness.asks(control_requests.RunJobs(("hog",)))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.asks(control_requests.CancelJob("a"))

    assert harness.states("a") == ["cancelled"]
    assert harness.run("a").cause == "cancelled by uid 1000"


def test_cancelling_opens_no_incident():
    harness = Harness(job("a"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a", signal=15)

    assert harness.words("a") == []


def test_a_worker_that_finished_before_the_cancel_reached_it_has_succeeded():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.says("a", Done({}))
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a")

    assert harness.states("a") == ["success"]


def test_progress_is_shown_and_a_metric_is_kept():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.says("a", Progress(3, 10, "sets"))
    harness.says("a", Metric("rows", 12.0))

    [shown] = harness.status().runs
    assert shown.progress.done == 3
    assert harness.scheduler.metrics["a"]["rows"] == 12.0


def test_progress_has_a_rate_since_the_attempt_began_but_none_in_its_first_instant():
    harness = Harness(job("a", worker="w.f"))
    harness.at("02:00:00")
    harness.asks(control_requests.RunJobs(("a",)))

    harness.says("a", Progress(1, None, "bytes"))
    [first] = harness.status().runs
    harness.at("02:00:04")
    harness.says("a", Progress(1000, None, "bytes"))
    [later] = harness.status().runs

    assert first.progress.per_second is None
    assert later.progress.per_second == 250


def test_the_pid_of_a_living_attempt_is_recorded_and_shown():
    harness = Harness(job("a"))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.send(ev.Started(harness.clocks(), 1, 1, pid=4711))

    assert harness.ledger.attempts[1, 1].pid == 4711
    assert harness.status().runs[0].pid == 4711


def test_each_attempt_has_a_row_with_its_own_end():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")
    harness.ends("a", status=0)

    first, second = harness.ledger.attempts.values()
    assert (first.number, first.cause, first.wait_status) == (1, "exit status 1", 256)
    assert (second.number, second.cause, second.wait_status) == (2, "", 0)
    assert first.ended_at < second.started_at


def test_the_numbers_of_a_result_are_kept_for_curves_and_texts_are_not():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.says("a", Done({"rows": 12, "file": "x", "fits": True, "huge": 10**400}))
    harness.ends("a")

    assert dict(harness.scheduler.metrics["a"]) == {"rows": 12.0}


def test_the_numbers_of_the_last_result_survive_a_restart():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.says("a", Done({"size_bytes": 12}))
    harness.ends("a")
    harness.dies()
    harness.starts("01:00")

    assert harness.scheduler.metrics["a"]["size_bytes"] == 12.0


def test_a_worker_that_never_stops_naming_numbers_has_only_so_many():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))
    for number in range(2 * MOST_METRICS):
        harness.says("a", Metric(f"m{number}", 1))
    harness.says("a", Metric("m0", 2))

    assert len(harness.scheduler.metrics["a"]) == MOST_METRICS
    assert harness.scheduler.metrics["a"]["m0"] == 2.0


def test_the_numbers_of_a_removed_job_go_with_it():
    harness = Harness(job("a", worker="w.f"), job("b"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.says("a", Metric("rows", 1))
    harness.reloads(job("b"))
    harness.says("a", Metric("rows", 2))

    assert "a" not in harness.scheduler.metrics


# --- actual end versus requested end -------------------------------------------------------


def test_a_command_that_ends_well_after_a_cancel_is_cancelled_all_the_same():
    harness = Harness(job("a"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a")

    assert harness.states("a") == ["cancelled"]


def test_a_command_that_ends_well_after_its_deadline_has_timed_out():
    harness = Harness(job("a", cron="0 2 * * *", timeout_s=60))
    harness.at("02:01")

    harness.ends("a")

    assert harness.states("a") == ["failed"]
    assert harness.run("a").cause == "timeout after 1m"


def test_a_worker_that_said_done_and_was_killed_by_the_cancel_is_cancelled():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.says("a", Done({}))
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a", signal=15)

    assert harness.states("a") == ["cancelled"]


def test_the_first_garbage_is_the_one_that_is_reported():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.says("a", Garbage("half a line"))
    harness.says("a", Garbage("noise"))
    harness.ends("a")

    assert harness.run("a").reason == "protocol"
    assert harness.run("a").cause == "the worker sent half a line"


@pytest.mark.parametrize("how", ["cannot_launch", "loses", "empties"])
def test_however_a_cancelled_attempt_goes_its_run_is_cancelled(how):
    harness = Harness(job("a", retries=3))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    getattr(harness, how)("a")

    assert harness.states("a") == ["cancelled"]


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


def test_the_row_of_an_attempt_has_its_end_at_once_and_its_cost_when_the_tree_is_empty():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")

    harness.exits("a", status=3)
    ended = harness.ledger.attempts[1, 1]
    harness.empties("a", strays=["77 sleep 1000"])

    assert (ended.ended_at, ended.cause) == (instant("2026-01-05 02:00"), "exit status 3")
    assert harness.ledger.attempts[1, 1].strays == ("77 sleep 1000",)
    assert harness.ledger.attempts[1, 1].cpu_s == 1.5
    assert harness.run("a").exit_status == 3


def test_the_cost_of_every_attempt_is_in_the_row_of_the_run():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60.0))
    harness.at("02:00")
    harness.ends("a", status=1, strays=["77 sleep 1000"])
    harness.at("02:01")

    harness.ends("a")

    assert harness.run("a").cpu_s == 3.0
    assert harness.run("a").strays == ("77 sleep 1000",)
