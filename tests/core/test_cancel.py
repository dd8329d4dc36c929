"""Cancelling a run: at once while it waits, otherwise by TERM and KILL, with one verdict."""

import pytest

from supervisor.core import control_requests
from tests.core.core_harness import Harness, job
from workers.protocol import Done


def test_a_cancelled_run_that_survives_kill_is_cancelled():
    harness = Harness(job("a", kill_grace_s=10))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    harness.after(seconds=25)
    harness.survives("a", "7 sleep")

    assert harness.states("a") == ["cancelled"]
    assert harness.words("a") == ["unkillable opened"]


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


def test_a_command_that_ends_well_after_a_cancel_is_cancelled_all_the_same():
    harness = Harness(job("a"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a")

    assert harness.states("a") == ["cancelled"]


def test_a_worker_that_said_done_and_was_killed_by_the_cancel_is_cancelled():
    harness = Harness(job("a", worker="w.f"))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.says("a", Done({}))
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a", signal=15)

    assert harness.states("a") == ["cancelled"]


@pytest.mark.parametrize("how", ["cannot_launch", "loses", "empties"])
def test_however_a_cancelled_attempt_goes_its_run_is_cancelled(how):
    harness = Harness(job("a", retries=3))
    harness.asks(control_requests.RunJobs(("a",)))
    harness.asks(control_requests.CancelJob("a"))

    getattr(harness, how)("a")

    assert harness.states("a") == ["cancelled"]
