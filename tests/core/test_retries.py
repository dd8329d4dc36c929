"""Retries: what is retried, how often, and with which delay."""

from itertools import pairwise

import pytest

from supervisor.core import control_requests, retry
from supervisor.core.model import Reason
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Done, Failed, Garbage

MIDDLE = 0.5  # the random number that leaves the delay unchanged


@pytest.mark.parametrize(
    ("reason", "allowed"),
    [
        (Reason.EXIT, True),
        (Reason.SIGNAL, True),
        (Reason.TIMEOUT, True),
        (Reason.ERROR, True),
        (Reason.PROTOCOL, True),
        (Reason.LAUNCH, True),
        (Reason.PERMANENT, False),
        (Reason.PERSON, False),
        (Reason.REPLACED, False),
        (Reason.REMOVED, False),
        (Reason.SHUTDOWN, False),
        (Reason.CRASH, False),
        (Reason.OVERLAP, False),
        (Reason.DEPENDENCY, False),
    ],
)
def test_what_may_be_tried_again(reason, allowed):
    assert retry.is_allowed(job("a", retries=1), reason, 0) is allowed


@pytest.mark.parametrize("used", [0, 1, 2, 3, 4])
def test_a_run_gets_as_many_retries_as_its_job_grants(used):
    assert retry.is_allowed(job("a", retries=3), Reason.EXIT, used) is (used < 3)


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [(1, [60, 60, 60, 60, 60]), (2, [60, 120, 240, 480, 600]), (10, [60, 600, 600, 600, 600])],
    ids=["constant", "doubling", "at its cap at once"],
)
def test_the_delay_grows_by_the_backoff_up_to_the_cap(backoff, delays):
    doubling = job("a", retry_delay_s=60.0, retry_backoff=float(backoff), retry_max_delay_s=600.0)

    assert [retry.delay_s(doubling, used, MIDDLE) for used in range(5)] == delays


@pytest.mark.parametrize(
    ("dice", "expected"), [(0.0, 90.0), (0.25, 95.0), (0.5, 100.0), (0.75, 105.0), (1.0, 110.0)]
)
def test_the_jitter_is_a_tenth_either_way(dice, expected):
    assert retry.delay_s(job("a", retry_delay_s=100.0), 0, dice) == pytest.approx(expected)


@pytest.mark.parametrize("used", [64, 1024, 10**9])
def test_a_large_exponent_meets_the_cap_and_no_overflow(used):
    patient = job("a", retry_backoff=2.0, retry_max_delay_s=3600.0)

    assert retry.delay_s(patient, used, MIDDLE) == 3600.0


def test_a_large_backoff_meets_the_cap_and_no_overflow():
    steep = job("a", retry_backoff=1e6, retry_max_delay_s=3600.0)

    assert retry.delay_s(steep, 100, MIDDLE) == 3600.0


def test_a_failed_attempt_is_followed_by_the_next_in_the_same_row():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")

    harness.ends("a", status=1)
    waiting = harness.run("a")
    harness.at("02:01")

    assert (waiting.state, waiting.attempt) == ("retrying", 1)
    assert waiting.next_attempt_at == instant("2026-01-05 02:01")
    assert len(harness.runs("a")) == 1
    assert (harness.run("a").state, harness.run("a").attempt) == ("running", 2)


def test_a_run_has_the_start_of_its_first_attempt_and_the_end_of_its_last():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")
    again = harness.run("a")
    harness.after(minutes=3)

    harness.ends("a", status=3)

    assert (again.reason, again.cause, again.next_attempt_at) == (None, "", None)
    assert harness.run("a").started_at == instant("2026-01-05 02:00")
    assert harness.run("a").ended_at == instant("2026-01-05 02:04")
    assert harness.run("a").next_attempt_at is None


def test_the_last_failure_is_the_runs_own():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")

    harness.ends("a", status=2)

    assert harness.states("a") == ["failed"]
    assert harness.run("a").cause == "exit status 2"
    assert harness.run("a").retries_used == 1


def test_a_retry_may_succeed():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")

    harness.ends("a")

    assert harness.states("a") == ["success"]
    assert harness.run("a").cause == ""


def test_backoffs_are_waited_for_by_the_second():
    harness = Harness(
        job("a", cron="0 2 * * *", retries=3, retry_delay_s=10, retry_backoff=3.0),
        start="2026-01-05 01:59",
    )
    harness.at("02:00")

    begun = [harness.wall]
    for _ in range(3):
        harness.ends("a", status=1)
        while not harness.live():
            harness.after(seconds=1)
        begun.append(harness.wall)

    waits = [int((b - a).total_seconds()) for a, b in pairwise(begun)]
    assert waits == [10, 30, 90]


def test_a_permanent_error_is_not_tried_again():
    harness = Harness(job("a", worker="w.f", cron="0 2 * * *", retries=3))
    harness.at("02:00")

    harness.says("a", Failed("no such table", permanent=True))
    harness.ends("a", status=1)

    assert harness.states("a") == ["failed"]
    assert harness.run("a").reason == "permanent"


@pytest.mark.parametrize(
    "message",
    [Failed("no", permanent=False), Garbage("noise"), None],
    ids=["error", "garbage", "silence"],
)
def test_what_a_worker_may_do_badly_is_tried_again(message):
    harness = Harness(job("a", worker="w.f", cron="0 2 * * *", retries=1))
    harness.at("02:00")

    if message:
        harness.says("a", message)
    harness.ends("a", status=1)

    assert harness.states("a") == ["retrying"]


def test_an_outside_kill_is_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=1))
    harness.at("02:00")

    harness.ends("a", signal=9)

    assert harness.states("a") == ["retrying"]


def test_a_timeout_is_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, timeout_s=60))
    harness.at("02:01")

    harness.ends("a", signal=15)

    assert harness.states("a") == ["retrying"]
    assert harness.run("a").cause == "timeout after 1m"


def test_a_launch_that_failed_is_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=1))
    harness.at("02:00")

    harness.cannot_launch("a", "no such file: /x")

    assert harness.states("a") == ["retrying"]
    assert harness.run("a").cause == "no such file: /x"


def test_a_cancelled_run_is_not_tried_again():
    harness = Harness(job("a", cron="0 2 * * *", retries=3))
    harness.at("02:00")

    harness.asks(control_requests.CancelJob("a"))
    harness.ends("a", signal=15)

    assert harness.states("a") == ["cancelled"]


def test_a_retrying_run_can_be_cancelled():
    harness = Harness(job("a", cron="0 2 * * *", retries=3))
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.asks(control_requests.CancelJob("a"))
    harness.at("04:00")

    assert harness.states("a") == ["cancelled"]
    assert harness.run("a").attempt == 1


def test_a_manual_run_is_tried_again_like_others():
    harness = Harness(job("a", retries=1))
    harness.asks(control_requests.RunJobs(("a",)))

    harness.ends("a", status=1)

    assert harness.states("a") == ["retrying"]


def test_a_lost_keeper_is_an_interruption_that_uses_no_retry():
    harness = Harness(job("a", cron="0 2 * * *", retries=0, retry_delay_s=60))
    harness.at("02:00")

    harness.loses("a")
    waiting = harness.run("a")
    harness.at("02:01")

    assert (waiting.state, waiting.retries_used, waiting.interruptions) == ("retrying", 0, 1)
    assert harness.run("a").state == "running"


def test_a_run_whose_keeper_is_lost_again_and_again_ends_after_three_new_attempts():
    harness = Harness(job("a", cron="0 2 * * *", retry_delay_s=60))
    harness.at("02:00")

    for _ in range(4):
        harness.loses("a")
        harness.after(minutes=1)

    assert harness.states("a") == ["interrupted"]
    assert harness.run("a").attempt == 4


def test_a_worker_that_said_done_before_the_deadline_killed_it_has_succeeded():
    harness = Harness(job("a", worker="w.f", cron="0 2 * * *", timeout_s=60))
    harness.at("02:00:59")
    harness.says("a", Done({"rows": 3}))
    harness.at("02:01")

    harness.ends("a")

    assert harness.states("a") == ["success"]
    assert harness.run("a").result_json == '{"rows":3}'


def test_the_retry_uses_the_definition_in_force():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.reloads(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60, nice=7))
    harness.at("02:01")

    [process] = harness.processes.values()
    assert process.job.nice == 7
