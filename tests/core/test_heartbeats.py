"""Heartbeats: start, success, failure with its cause; once per tick for the service."""

from supervisor.core import control_requests
from supervisor.core import events as ev
from supervisor.core.alert_model import HeartbeatCall
from tests.core.core_harness import Night, job

URL = "https://hc.example/1"
A = job("a", cron="0 2,3 * * *", heartbeat=URL)


def test_a_run_beats_when_it_begins_and_when_it_succeeds():
    night = Night(A)
    night.at("02:00")

    night.ends("a")

    assert night.beats == [HeartbeatCall("a", URL, "start"), HeartbeatCall("a", URL, "success")]


def test_a_failure_beats_with_its_cause():
    night = Night(A)
    night.at("02:00")

    night.ends("a", status=3)

    assert night.beats[-1] == HeartbeatCall("a", URL, "fail", "exit status 3")


def test_retries_are_one_run_with_one_start_and_one_end():
    night = Night(job("a", cron="0 2 * * *", heartbeat=URL, retries=1))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:02")

    night.ends("a")

    assert [beat.pulse for beat in night.beats] == ["start", "success"]


def test_a_cancelled_run_says_nothing_more():
    night = Night(A)
    night.at("02:00")
    night.asks(control_requests.CancelJob("a"))

    night.ends("a", signal=15)

    assert [beat.pulse for beat in night.beats] == ["start"]


def test_a_dry_run_is_no_sign_of_life():
    night = Night(job("a", worker="w.f", heartbeat=URL))
    night.asks(control_requests.RunJobs(("a",), dry_run=True))

    night.ends("a")

    assert night.beats == []


def test_a_job_without_a_url_does_not_beat():
    night = Night(job("a", cron="0 2 * * *"))
    night.at("02:00")

    night.ends("a")

    assert night.beats == []


def test_the_service_beats_at_each_tick_and_only_then():
    night = Night(A, heartbeat=URL)

    night.at("00:10")
    night.send(ev.TimePassed(night.clocks()))

    assert night.beats == [HeartbeatCall("", URL, "success")] * 10


def test_minutes_that_were_slept_through_are_one_beat():
    night = Night(A, heartbeat=URL)

    night.sleeps_until("01:00")

    assert len(night.beats) == 1


def test_a_service_without_a_calendar_has_no_beat():
    night = Night(A, heartbeat=URL, calendar=False)

    night.at("00:10")

    assert night.beats == []
