"""Heartbeats: start, success, failure with its cause; once per tick for the service."""

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.alert_model import HeartbeatCall
from tests.core.core_harness import Harness, job

URL = "https://hc.example/1"
A = job("a", cron="0 2,3 * * *", heartbeat=URL)


def test_a_run_beats_when_it_begins_and_when_it_succeeds():
    harness = Harness(A)
    harness.at("02:00")

    harness.ends("a")

    assert harness.beats == [HeartbeatCall("a", URL, "start"), HeartbeatCall("a", URL, "success")]


def test_a_failure_beats_with_its_cause():
    harness = Harness(A)
    harness.at("02:00")

    harness.ends("a", status=3)

    assert harness.beats[-1] == HeartbeatCall("a", URL, "fail", "exit status 3")


def test_retries_are_one_run_with_one_start_and_one_end():
    harness = Harness(job("a", cron="0 2 * * *", heartbeat=URL, retries=1))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:02")

    harness.ends("a")

    assert [beat.pulse for beat in harness.beats] == ["start", "success"]


def test_a_cancelled_run_says_nothing_more():
    harness = Harness(A)
    harness.at("02:00")
    harness.asks(control_requests.CancelJob("a"))

    harness.ends("a", signal=15)

    assert [beat.pulse for beat in harness.beats] == ["start"]


def test_a_dry_run_is_no_sign_of_life():
    harness = Harness(job("a", worker="w.f", heartbeat=URL))
    harness.asks(control_requests.RunJobs(("a",), dry_run=True))

    harness.ends("a")

    assert harness.beats == []


def test_a_job_without_a_url_does_not_beat():
    harness = Harness(job("a", cron="0 2 * * *"))
    harness.at("02:00")

    harness.ends("a")

    assert harness.beats == []


def test_the_service_beats_at_each_tick_and_only_then():
    harness = Harness(A, heartbeat=URL)

    harness.at("00:10")
    harness.send(ev.TimePassed(harness.clocks()))

    assert harness.beats == [HeartbeatCall("", URL, "success")] * 10


def test_minutes_that_were_slept_through_are_one_beat():
    harness = Harness(A, heartbeat=URL)

    harness.sleeps_until("01:00")

    assert len(harness.beats) == 1


def test_a_service_without_a_calendar_has_no_beat():
    harness = Harness(A, heartbeat=URL, calendar=False)

    harness.at("00:10")

    assert harness.beats == []
