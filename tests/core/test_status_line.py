"""Status of the service in one line."""

from supervisor.core.config_model import Problem
from supervisor.core.events import StopAsked
from supervisor.core.model import replace
from supervisor.systemd import summary
from tests.core.core_harness import Harness, job


def test_it_counts_jobs_and_what_runs_and_waits():
    harness = Harness(job("a", cron="0 2 * * *"), job("b", cron="0 2 * * *", deps=["a"]))

    assert summary(harness.scheduler) == "2 jobs, 0 running, 0 pending"

    harness.at("02:00")

    assert summary(harness.scheduler) == "2 jobs, 1 running, 1 pending"


def test_it_says_what_is_wrong():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.ends("a", status=1)
    scheduler = replace(
        harness.scheduler, problems=(Problem(1, 1, "", "x"),), ledger_error="disk full"
    )

    said = summary(scheduler)

    assert "1 with an incident" in said
    assert "jobs.yaml is refused" in said
    assert "the ledger cannot be written" in said


def test_it_says_that_the_service_is_ending():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")
    harness.send(StopAsked(harness.clocks()))

    assert summary(harness.scheduler) == "stopping: 1 job, 1 running, 0 pending"
