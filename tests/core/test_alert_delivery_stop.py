"""Alerts that wait when the service stops, dies or begins again."""

from supervisor.core import events as ev
from supervisor.core.decide import next_wakeup
from tests.core.alert_harness import A, fails_at, harness_of, sent


def test_what_was_not_delivered_is_delivered_by_the_next_service():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver()
    harness.dies()

    harness.starts("02:30")
    harness.delivers()

    assert sent(harness) == ["a opened"]
    assert harness.waiting() == []


def test_what_arrived_before_a_crash_is_not_sent_by_the_next_service():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.delivers()
    harness.dies()

    harness.starts("02:30")

    assert harness.batch == ()


def test_a_restart_keeps_the_retry_after_of_a_channel():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver("answered 429", retry_after_s=600.0)
    harness.dies()

    harness.starts("02:04")

    assert harness.batch == ()
    assert next_wakeup(harness.scheduler) == harness.mono + 360


def test_a_stop_waits_for_an_alert_that_was_not_tried_yet():
    harness = harness_of(A, shutdown_grace_s=30.0)
    fails_at(harness, "02:00")

    harness.send(ev.StopAsked(harness.clocks()))
    before = harness.has_stopped
    harness.delivers()

    assert (before, harness.has_stopped) == (False, True)
    assert sent(harness) == ["a opened"]


def test_a_stop_waits_no_longer_than_its_grace():
    harness = harness_of(A, shutdown_grace_s=30.0)
    fails_at(harness, "02:00")

    harness.send(ev.StopAsked(harness.clocks()))
    harness.after(seconds=31)

    assert harness.has_stopped
    assert harness.waiting() == ["exit opened"]


def test_a_stop_does_not_wait_for_a_channel_that_is_known_to_be_dead():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver()

    harness.send(ev.StopAsked(harness.clocks()))

    assert harness.has_stopped


def test_no_alert_is_sent_after_the_end():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver()
    harness.send(ev.StopAsked(harness.clocks()))

    harness.mono += 3600
    harness.send(ev.TimePassed(harness.clocks()))

    assert harness.batch == ()
