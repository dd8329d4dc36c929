"""Shutdown: no admission, every run is signalled, and it ends in time."""

import pytest

from supervisor.core import control_requests
from supervisor.core import events as ev
from tests.core.core_harness import Harness, job


def stop(harness):
    return harness.send(ev.StopAsked(harness.clocks()))


def two_living():
    harness = Harness(
        job("a", cron="0 1 * * *"), job("b", cron="0 1 * * *"), job("c", cron="1 1 * * *"),
        shutdown_grace_s=30.0,
    )  # fmt: skip
    harness.at("01:00")
    return harness


def test_a_service_in_which_nothing_lives_stops_at_once():
    harness = Harness(job("a"))

    stop(harness)

    assert harness.has_stopped


def test_every_tree_gets_term_at_once():
    harness = two_living()

    stop(harness)

    assert harness.forces("a") == harness.forces("b") == ["term"]
    assert not harness.has_stopped


def test_after_the_grace_every_tree_gets_kill():
    harness = two_living()
    stop(harness)

    harness.after(seconds=29)
    before = harness.forces("a") + harness.forces("b")
    harness.after(seconds=1)

    assert before == ["term", "term"]
    assert harness.forces("a") == harness.forces("b") == ["term", "kill"]


def test_the_grace_of_the_service_stands_before_that_of_the_job():
    harness = Harness(job("a", cron="0 1 * * *", kill_grace_s=600), shutdown_grace_s=5.0)
    harness.at("01:00")
    stop(harness)

    harness.after(seconds=5)

    assert harness.forces("a") == ["term", "kill"]


def test_it_ends_when_the_last_tree_is_empty():
    harness = two_living()
    stop(harness)

    harness.ends("a", signal=15)
    before = harness.has_stopped
    harness.ends("b", signal=15)

    assert not before
    assert harness.has_stopped


def test_it_ends_within_the_grace_and_two_seconds_though_a_tree_will_not_go():
    harness = two_living()
    stop(harness)
    begun = harness.wall

    while not harness.has_stopped:
        harness.after(seconds=0.5)

    assert (harness.wall - begun).total_seconds() <= 32


def test_a_second_signal_kills_at_once():
    harness = two_living()
    stop(harness)

    stop(harness)

    assert harness.forces("a") == harness.forces("b") == ["term", "kill"]


def test_after_a_second_signal_it_ends_within_two_seconds():
    harness = two_living()
    stop(harness)
    stop(harness)

    harness.after(seconds=1)

    assert harness.has_stopped


def test_nothing_is_admitted_while_stopping():
    harness = two_living()
    stop(harness)

    harness.after(seconds=20)
    reply = harness.asks(control_requests.RunJobs(("c",)))

    assert reply.answer == "unavailable"
    assert harness.live() == ["a", "b"]


def test_a_slot_that_comes_while_stopping_is_caught_up_by_the_next_start():
    harness = Harness(
        job("a", cron="0 1 * * *"), job("c", cron="1 1 * * *"), shutdown_grace_s=120.0
    )
    harness.at("01:00")
    stop(harness)
    harness.at("01:01:30")
    harness.ends("a", signal=15)

    harness.starts("01:05")

    assert harness.run("c").trigger == "catch_up"


def test_a_run_that_ends_by_itself_while_stopping_is_interrupted_all_the_same():
    harness = two_living()
    stop(harness)

    harness.ends("a", signal=15)

    assert harness.states("a") == ["retrying"]
    assert harness.run("a").reason == "shutdown"
    assert harness.run("a").retries_used == 0


def test_a_planned_stop_opens_no_incident():
    harness = two_living()

    harness.stops()

    assert harness.alerts == []


def test_a_run_that_a_person_cancelled_before_the_stop_stays_cancelled():
    harness = two_living()
    harness.asks(control_requests.CancelJob("a"))
    stop(harness)

    harness.ends("a", signal=15)

    assert harness.states("a") == ["cancelled"]


def test_a_request_to_stop_is_like_a_signal():
    harness = two_living()

    reply = harness.asks(control_requests.StopService())

    assert reply.answer == "ok"
    assert harness.forces("a") == ["term"]


def test_a_second_request_to_stop_does_not_put_the_end_off():
    harness = two_living()
    stop(harness)
    harness.after(seconds=25)

    harness.asks(control_requests.StopService())
    harness.after(seconds=6)

    assert harness.forces("a") == ["term", "kill"]
    assert harness.has_stopped


# --- drain -------------------------------------------------------------------------------


def test_a_drain_lets_living_runs_finish():
    harness = two_living()
    harness.asks(control_requests.StopService(drain_s=3600))

    harness.after(minutes=30)
    forces = harness.forces("a") + harness.forces("b")
    harness.ends("a")
    harness.ends("b")

    assert forces == []
    assert harness.states("a") == ["success"]
    assert harness.has_stopped


def test_a_drain_admits_nothing():
    harness = two_living()
    harness.asks(control_requests.StopService(drain_s=3600))

    harness.at("01:05")

    assert harness.runs("c") == []
    assert harness.asks(control_requests.RunJobs(("c",))).answer == "unavailable"


def test_a_drain_has_an_end():
    harness = two_living()
    harness.asks(control_requests.StopService(drain_s=600))

    harness.after(seconds=600)

    assert harness.forces("a") == ["term"]


def test_after_the_end_of_a_drain_the_grace_is_kept():
    harness = two_living()
    harness.asks(control_requests.StopService(drain_s=600))

    harness.after(seconds=629)
    before = list(harness.forces("a"))
    harness.after(seconds=1)

    assert before == ["term"]
    assert harness.forces("a") == ["term", "kill"]


def test_a_drain_in_which_nothing_lives_is_over_at_once():
    harness = Harness(job("a"))

    harness.asks(control_requests.StopService(drain_s=3600))

    assert harness.has_stopped


def test_a_signal_ends_a_drain():
    harness = two_living()
    harness.asks(control_requests.StopService(drain_s=3600))

    stop(harness)

    assert harness.forces("a") == ["term"]


def test_a_drain_that_is_asked_for_while_stopping_changes_nothing():
    harness = two_living()
    stop(harness)

    harness.asks(control_requests.StopService(drain_s=3600))
    harness.after(seconds=31)

    assert harness.status().life == "stopped"
    assert harness.forces("a") == ["term", "kill"]


def test_a_retry_does_not_keep_a_drain_waiting():
    harness = Harness(job("a", cron="0 1 * * *", retries=1))
    harness.at("01:00")
    harness.asks(control_requests.StopService(drain_s=3600))

    harness.ends("a", status=1)

    assert harness.has_stopped
    assert harness.states("a") == ["retrying"]


@pytest.mark.parametrize("drain_s", [None, 60.0], ids=["stop", "drain"])
def test_the_service_says_what_it_is_doing(drain_s):
    harness = two_living()

    harness.asks(control_requests.StopService(drain_s))

    assert harness.status().life == ("stopping" if drain_s is None else "draining")


@pytest.mark.parametrize("instant", ["02:00", "02:00:10"])
def test_a_resume_from_now_while_draining_leaves_the_slot_of_that_minute_due(instant):
    harness = Harness(job("a", cron="0 2 * * *"), job("long"))
    harness.asks(control_requests.RunJobs(("long",)))
    harness.at("01:59:30")
    harness.asks(control_requests.StopService(600))
    harness.at(instant)

    harness.asks(control_requests.ResumeJob("", from_now=True))
    harness.ends("long")
    harness.starts("02:05", job("a", cron="0 2 * * *"), job("long"))

    assert harness.slots("a") == ["05 02:00"]
