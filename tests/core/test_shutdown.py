"""Shutdown: no admission, every run is signalled, and it ends in time."""

import pytest

from supervisor.core import control_requests
from supervisor.core import events as ev
from tests.core.core_harness import Night, job


def stop(night):
    return night.send(ev.StopAsked(night.clocks()))


def two_living():
    night = Night(
        job("a", cron="0 1 * * *"), job("b", cron="0 1 * * *"), job("c", cron="1 1 * * *"),
        shutdown_grace_s=30.0,
    )  # fmt: skip
    night.at("01:00")
    return night


def test_a_service_in_which_nothing_lives_stops_at_once():
    night = Night(job("a"))

    stop(night)

    assert night.has_stopped


def test_every_tree_gets_term_at_once():
    night = two_living()

    stop(night)

    assert night.forces("a") == night.forces("b") == ["term"]
    assert not night.has_stopped


def test_after_the_grace_every_tree_gets_kill():
    night = two_living()
    stop(night)

    night.after(seconds=29)
    before = night.forces("a") + night.forces("b")
    night.after(seconds=1)

    assert before == ["term", "term"]
    assert night.forces("a") == night.forces("b") == ["term", "kill"]


def test_the_grace_of_the_service_stands_before_that_of_the_job():
    night = Night(job("a", cron="0 1 * * *", kill_grace_s=600), shutdown_grace_s=5.0)
    night.at("01:00")
    stop(night)

    night.after(seconds=5)

    assert night.forces("a") == ["term", "kill"]


def test_it_ends_when_the_last_tree_is_empty():
    night = two_living()
    stop(night)

    night.ends("a", signal=15)
    before = night.has_stopped
    night.ends("b", signal=15)

    assert not before
    assert night.has_stopped


def test_it_ends_within_the_grace_and_two_seconds_though_a_tree_will_not_go():
    night = two_living()
    stop(night)
    begun = night.wall

    while not night.has_stopped:
        night.after(seconds=0.5)

    assert (night.wall - begun).total_seconds() <= 32


def test_a_second_signal_kills_at_once():
    night = two_living()
    stop(night)

    stop(night)

    assert night.forces("a") == night.forces("b") == ["term", "kill"]


def test_after_a_second_signal_it_ends_within_two_seconds():
    night = two_living()
    stop(night)
    stop(night)

    night.after(seconds=1)

    assert night.has_stopped


def test_nothing_is_admitted_while_stopping():
    night = two_living()
    stop(night)

    night.after(seconds=20)
    reply = night.asks(control_requests.RunJobs(("c",)))

    assert reply.answer == "unavailable"
    assert night.living() == ["a", "b"]


def test_a_slot_that_comes_while_stopping_is_caught_up_by_the_next_start():
    night = Night(job("a", cron="0 1 * * *"), job("c", cron="1 1 * * *"), shutdown_grace_s=120.0)
    night.at("01:00")
    stop(night)
    night.at("01:01:30")
    night.ends("a", signal=15)

    night.starts("01:05")

    assert night.run("c").trigger == "catch_up"


def test_a_run_that_ends_by_itself_while_stopping_is_interrupted_all_the_same():
    night = two_living()
    stop(night)

    night.ends("a", signal=15)

    assert night.states("a") == ["retrying"]
    assert night.run("a").reason == "shutdown"
    assert night.run("a").retries_used == 0


def test_a_planned_stop_opens_no_incident():
    night = two_living()

    night.stops()

    assert night.ledger.alerts == []


def test_a_run_that_a_person_cancelled_before_the_stop_stays_cancelled():
    night = two_living()
    night.asks(control_requests.CancelJob("a"))
    stop(night)

    night.ends("a", signal=15)

    assert night.states("a") == ["cancelled"]


def test_a_request_to_stop_is_like_a_signal():
    night = two_living()

    reply = night.asks(control_requests.StopService())

    assert reply.answer == "ok"
    assert night.forces("a") == ["term"]


def test_a_second_request_to_stop_does_not_put_the_end_off():
    night = two_living()
    stop(night)
    night.after(seconds=25)

    night.asks(control_requests.StopService())
    night.after(seconds=6)

    assert night.forces("a") == ["term", "kill"]
    assert night.has_stopped


# --- drain -------------------------------------------------------------------------------


def test_a_drain_lets_living_runs_finish():
    night = two_living()
    night.asks(control_requests.StopService(drain_s=3600))

    night.after(minutes=30)
    forces = night.forces("a") + night.forces("b")
    night.ends("a")
    night.ends("b")

    assert forces == []
    assert night.states("a") == ["success"]
    assert night.has_stopped


def test_a_drain_admits_nothing():
    night = two_living()
    night.asks(control_requests.StopService(drain_s=3600))

    night.at("01:05")

    assert night.runs("c") == []
    assert night.asks(control_requests.RunJobs(("c",))).answer == "unavailable"


def test_a_drain_has_an_end():
    night = two_living()
    night.asks(control_requests.StopService(drain_s=600))

    night.after(seconds=600)

    assert night.forces("a") == ["term"]


def test_after_the_end_of_a_drain_the_grace_is_kept():
    night = two_living()
    night.asks(control_requests.StopService(drain_s=600))

    night.after(seconds=629)
    before = list(night.forces("a"))
    night.after(seconds=1)

    assert before == ["term"]
    assert night.forces("a") == ["term", "kill"]


def test_a_drain_in_which_nothing_lives_is_over_at_once():
    night = Night(job("a"))

    night.asks(control_requests.StopService(drain_s=3600))

    assert night.has_stopped


def test_a_signal_ends_a_drain():
    night = two_living()
    night.asks(control_requests.StopService(drain_s=3600))

    stop(night)

    assert night.forces("a") == ["term"]


def test_a_drain_that_is_asked_for_while_stopping_changes_nothing():
    night = two_living()
    stop(night)

    night.asks(control_requests.StopService(drain_s=3600))
    night.after(seconds=31)

    assert night.status().life == "stopped"
    assert night.forces("a") == ["term", "kill"]


def test_a_retry_does_not_keep_a_drain_waiting():
    night = Night(job("a", cron="0 1 * * *", retries=1))
    night.at("01:00")
    night.asks(control_requests.StopService(drain_s=3600))

    night.ends("a", status=1)

    assert night.has_stopped
    assert night.states("a") == ["retrying"]


@pytest.mark.parametrize("drain_s", [None, 60.0], ids=["stop", "drain"])
def test_the_service_says_what_it_is_doing(drain_s):
    night = two_living()

    night.asks(control_requests.StopService(drain_s))

    assert night.status().life == ("stopping" if drain_s is None else "draining")
