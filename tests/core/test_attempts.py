"""One attempt: timeout, kill steps, leftover processes, and unkillable ones."""

import pytest

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.attempts import MOST_METRICS
from supervisor.core.decide import next_wakeup
from tests.core.core_harness import Night, instant, job
from workers.protocol import Done, Garbage, Metric, Progress


def test_at_the_deadline_an_attempt_gets_term():
    night = Night(job("a", cron="0 2 * * *", timeout_s=90))

    night.at("02:01:29")
    before = list(night.forces("a"))
    night.at("02:01:30")

    assert before == []
    assert night.forces("a") == ["term"]


def test_after_the_grace_it_gets_kill():
    night = Night(job("a", cron="0 2 * * *", timeout_s=90, kill_grace_s=10))

    night.at("02:01:39")
    before = list(night.forces("a"))
    night.at("02:01:40")

    assert before == ["term"]
    assert night.forces("a") == ["term", "kill"]


def test_a_job_without_a_limit_lives_as_long_as_it_likes():
    night = Night(job("a", cron="0 2 * * *", timeout_s=None))

    night.at("2026-01-06 01:59")

    assert night.forces("a") == []
    assert next_wakeup(night.world) is None


def test_the_limit_counts_for_each_attempt_anew():
    night = Night(job("a", cron="0 2 * * *", timeout_s=90, retries=1, retry_delay_s=60))
    night.at("02:01")
    night.ends("a", status=1)

    night.at("02:03:29")
    before = list(night.forces("a"))
    night.at("02:03:30")

    assert before == []
    assert night.forces("a") == ["term"]


def test_what_survives_kill_is_given_up_with_its_keeper_and_its_place_is_free():
    night = Night(
        job("undead", cron="0 2 * * *", timeout_s=60, kill_grace_s=10),
        job("b", cron="1 2 * * *"),
        max_concurrent=1,
    )
    night.at("02:01:10")

    night.after(seconds=14)
    before = list(night.forces("undead"))
    night.after(seconds=1)
    forces = list(night.forces("undead"))
    state = night.run("undead").state
    night.survives("undead", "7 dd if=/dead/mount", "8 sync")

    assert before == ["term", "kill"]
    assert (forces, state) == (["term", "kill", "abandon"], "running")
    assert night.run("undead").state == "failed"
    assert night.words("undead") == ["unkillable opened", "timeout opened"]
    (unkillable,) = [i for i in night.incidents("undead") if i.kind == "unkillable"]
    assert unkillable.severity == "critical"
    assert unkillable.cause == ("processes of run 1 survive SIGKILL: 7 dd if=/dead/mount; 8 sync")
    assert night.living() == ["b"]


def test_what_ends_with_its_keeper_is_no_incident():
    night = Night(job("a", cron="0 2 * * *", timeout_s=60, kill_grace_s=10))
    night.at("02:01:25")
    night.loses("a")

    assert night.run("a").cause == "timeout after 1m"
    assert night.words("a") == ["timeout opened"]
    assert night.living() == []


def test_a_tree_of_which_nothing_is_heard_any_more_is_let_go_in_the_end():
    night = Night(job("a", cron="0 2 * * *", timeout_s=60, kill_grace_s=10))
    night.at("02:01:25")

    night.after(seconds=3)

    assert night.run("a").state == "failed"
    (unkillable,) = [i for i in night.incidents("a") if i.kind == "unkillable"]
    assert unkillable.cause == "processes of run 1 survive SIGKILL: which ones is not known"


def test_a_cancelled_run_that_survives_kill_is_cancelled():
    night = Night(job("a", kill_grace_s=10))
    night.asks(control_requests.RunJobs(("a",)))
    night.asks(control_requests.CancelJob("a"))

    night.after(seconds=25)
    night.survives("a", "7 sleep")

    assert night.states("a") == ["cancelled"]
    assert night.words("a") == ["unkillable opened"]


def test_leftovers_that_survive_kill_do_not_change_the_verdict():
    night = Night(job("a", cron="0 2 * * *", kill_grace_s=10))
    night.at("02:00")
    night.exits("a")

    night.after(seconds=15)
    night.survives("a", "7 sleep")

    assert night.states("a") == ["success"]
    assert night.words("a") == ["unkillable opened"]


def test_the_verdict_is_settled_when_the_own_process_ends():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")
    night.after(seconds=5)

    night.exits("a")
    settled = night.run("a")
    night.after(seconds=5)
    night.empties("a")

    assert settled.state == "success"
    assert night.run("a").ended_at == settled.ended_at


def test_what_it_left_behind_is_named_in_its_row():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")

    night.ends("a", strays=["77 sleep 1000"])

    assert night.run("a").strays == ("77 sleep 1000",)
    assert night.run("a").cpu_s == 1.5
    assert night.status().strays_killed == 1


def test_what_a_cancelled_retry_left_behind_is_named_in_its_row():
    night = Night(job("a", cron="0 2 * * *", retries=1))
    night.at("02:00")
    night.exits("a", status=1)
    night.asks(control_requests.CancelJob("a"))

    night.empties("a", strays=["77 sleep 1000"])

    assert night.run("a").strays == ("77 sleep 1000",)


def test_a_cancelled_run_gets_term_then_kill():
    night = Night(job("a", cron="0 2 * * *", kill_grace_s=10))
    night.at("02:00")

    night.asks(control_requests.CancelJob("a"))
    night.after(seconds=10)

    assert night.forces("a") == ["term", "kill"]


def test_a_run_that_is_cancelled_twice_is_told_once():
    night = Night(job("a", cron="0 2 * * *", kill_grace_s=10))
    night.at("02:00")
    night.asks(control_requests.CancelJob("a"))

    night.after(seconds=5)
    night.asks(control_requests.CancelJob("a"))
    night.after(seconds=5)

    assert night.forces("a") == ["term", "kill"]


def test_a_pending_run_is_cancelled_at_once():
    night = Night(job("hog"), job("a"), max_concurrent=1)
    night.asks(control_requests.RunJobs(("hog",)))
    night.asks(control_requests.RunJobs(("a",)))

    night.asks(control_requests.CancelJob("a"))

    assert night.states("a") == ["cancelled"]
    assert night.run("a").cause == "cancelled by uid 1000"


def test_cancelling_opens_no_incident():
    night = Night(job("a"))
    night.asks(control_requests.RunJobs(("a",)))
    night.asks(control_requests.CancelJob("a"))

    night.ends("a", signal=15)

    assert night.words("a") == []


def test_a_worker_that_finished_before_the_cancel_reached_it_has_succeeded():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))
    night.says("a", Done({}))
    night.asks(control_requests.CancelJob("a"))

    night.ends("a")

    assert night.states("a") == ["success"]


def test_progress_is_shown_and_a_metric_is_kept():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))

    night.says("a", Progress(3, 10, "sets"))
    night.says("a", Metric("rows", 12.0))

    [shown] = night.status().runs
    assert shown.progress.done == 3
    assert night.world.metrics["a"]["rows"] == 12.0


def test_progress_has_a_rate_since_the_attempt_began_but_none_in_its_first_instant():
    night = Night(job("a", worker="w.f"))
    night.at("02:00:00")
    night.asks(control_requests.RunJobs(("a",)))

    night.says("a", Progress(1, None, "bytes"))
    [first] = night.status().runs
    night.at("02:00:04")
    night.says("a", Progress(1000, None, "bytes"))
    [later] = night.status().runs

    assert first.progress.per_second is None
    assert later.progress.per_second == 250


def test_the_pid_of_a_living_attempt_is_recorded_and_shown():
    night = Night(job("a"))
    night.asks(control_requests.RunJobs(("a",)))

    night.send(ev.Started(night.clocks(), 1, 1, pid=4711))

    assert night.ledger.attempts[1, 1].pid == 4711
    assert night.status().runs[0].pid == 4711


def test_each_attempt_has_a_row_with_its_own_end():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:01")
    night.ends("a", status=0)

    first, second = night.ledger.attempts.values()
    assert (first.number, first.cause, first.wait_status) == (1, "exit status 1", 256)
    assert (second.number, second.cause, second.wait_status) == (2, "", 0)
    assert first.ended_at < second.started_at


def test_the_numbers_of_a_result_are_kept_for_curves_and_texts_are_not():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))
    night.says("a", Done({"rows": 12, "file": "x", "fits": True, "huge": 10**400}))
    night.ends("a")

    assert dict(night.world.metrics["a"]) == {"rows": 12.0}


def test_the_numbers_of_the_last_result_survive_a_restart():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))
    night.says("a", Done({"size_bytes": 12}))
    night.ends("a")
    night.dies()
    night.starts("01:00")

    assert night.world.metrics["a"]["size_bytes"] == 12.0


def test_a_worker_that_never_stops_naming_numbers_has_only_so_many():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))
    for number in range(2 * MOST_METRICS):
        night.says("a", Metric(f"m{number}", 1))
    night.says("a", Metric("m0", 2))

    assert len(night.world.metrics["a"]) == MOST_METRICS
    assert night.world.metrics["a"]["m0"] == 2.0


def test_the_numbers_of_a_removed_job_go_with_it():
    night = Night(job("a", worker="w.f"), job("b"))
    night.asks(control_requests.RunJobs(("a",)))
    night.says("a", Metric("rows", 1))
    night.reloads(job("b"))
    night.says("a", Metric("rows", 2))

    assert "a" not in night.world.metrics


# --- actual end versus requested end -------------------------------------------------------


def test_a_command_that_ends_well_after_a_cancel_is_cancelled_all_the_same():
    night = Night(job("a"))
    night.asks(control_requests.RunJobs(("a",)))
    night.asks(control_requests.CancelJob("a"))

    night.ends("a")

    assert night.states("a") == ["cancelled"]


def test_a_command_that_ends_well_after_its_deadline_has_timed_out():
    night = Night(job("a", cron="0 2 * * *", timeout_s=60))
    night.at("02:01")

    night.ends("a")

    assert night.states("a") == ["failed"]
    assert night.run("a").cause == "timeout after 1m"


def test_a_worker_that_said_done_and_was_killed_by_the_cancel_is_cancelled():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))
    night.says("a", Done({}))
    night.asks(control_requests.CancelJob("a"))

    night.ends("a", signal=15)

    assert night.states("a") == ["cancelled"]


def test_the_first_garbage_is_the_one_that_is_told():
    night = Night(job("a", worker="w.f"))
    night.asks(control_requests.RunJobs(("a",)))

    night.says("a", Garbage("half a line"))
    night.says("a", Garbage("noise"))
    night.ends("a")

    assert night.run("a").reason == "protocol"
    assert night.run("a").cause == "the worker sent half a line"


@pytest.mark.parametrize("how", ["cannot_launch", "loses", "empties"])
def test_however_a_cancelled_attempt_goes_its_run_is_cancelled(how):
    night = Night(job("a", retries=3))
    night.asks(control_requests.RunJobs(("a",)))
    night.asks(control_requests.CancelJob("a"))

    getattr(night, how)("a")

    assert night.states("a") == ["cancelled"]


@pytest.mark.parametrize("how", ["cannot_launch", "loses", "empties"])
def test_however_an_attempt_goes_its_place_is_free(how):
    night = Night(job("a", retries=3), job("b"), max_concurrent=1)
    night.asks(control_requests.RunJobs(("a",)))
    night.asks(control_requests.RunJobs(("b",)))

    getattr(night, how)("a")

    assert night.states("a") == ["retrying"]
    assert night.living() == ["b"]


def test_a_tree_that_is_empty_without_a_word_of_its_process_was_interrupted():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")

    night.empties("a")

    assert night.run("a").state == "retrying"
    assert night.run("a").reason == "crash"
    assert night.run("a").retries_used == 0


def test_a_keeper_lost_after_the_process_had_ended_changes_no_verdict():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")
    night.exits("a", status=3)
    [(run, number)] = night.processes

    night.send(ev.KeeperLost(night.clocks(), run, number))
    night.empties("a")

    assert night.states("a") == ["failed"]
    assert night.run("a").cause == "exit status 3"


def test_leftovers_are_not_told_that_the_time_of_their_process_is_up():
    night = Night(job("a", cron="0 2 * * *", timeout_s=12.0, kill_grace_s=10.0))
    night.at("02:00")
    night.exits("a")

    night.after(seconds=14)

    assert night.forces("a") == []
    assert night.states("a") == ["success"]


# --- resource use -----------------------------------------------------------------------------


def test_the_row_of_an_attempt_has_its_end_at_once_and_its_cost_when_the_tree_is_empty():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")

    night.exits("a", status=3)
    ended = night.ledger.attempts[1, 1]
    night.empties("a", strays=["77 sleep 1000"])

    assert (ended.ended_at, ended.cause) == (instant("2026-01-05 02:00"), "exit status 3")
    assert night.ledger.attempts[1, 1].strays == ("77 sleep 1000",)
    assert night.ledger.attempts[1, 1].cpu_s == 1.5
    assert night.run("a").exit_status == 3


def test_the_cost_of_every_attempt_is_in_the_row_of_the_run():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60.0))
    night.at("02:00")
    night.ends("a", status=1, strays=["77 sleep 1000"])
    night.at("02:01")

    night.ends("a")

    assert night.run("a").cpu_s == 3.0
    assert night.run("a").strays == ("77 sleep 1000",)
