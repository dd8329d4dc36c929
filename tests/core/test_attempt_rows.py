"""What is kept of an attempt: progress, metrics, process, its row in the ledger, its cost."""

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.attempts import MOST_METRICS
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Done, Metric, Progress


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
