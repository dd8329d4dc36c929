"""Several channels: each has its own alerts, order, retries, filters and quiet hours."""

import pytest

from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.config_model import Notify, QuietHours, Severity
from supervisor.core.decide import next_wakeup
from tests.channels import channel, notify_slack
from tests.core.core_harness import Harness, job

A = job("a", cron="0 2,3,4,5 * * *")
B = job("b", cron="0 2 * * *", exclusive="nas")
TWO = Notify((channel("ops"), channel("phone")))
NIGHT = QuietHours(22 * 60, 7 * 60, "UTC")


def harness_of(*jobs, notify=TWO, **settings):
    return Harness(*jobs, notify=notify, **settings)


def fails_at(harness, text, name="a"):
    harness.at(text)
    harness.ends(name, status=1)


def sent(harness, to):
    """Return `a opened`: job and word of what arrived at a channel, in order."""
    return [f"{each.job} {each.word}" for each in harness.arrived if each.channel == to]


def rows(harness):
    """Return (channel, word, why it is not sent) of all alerts."""
    return [(each.channel, each.word, each.withheld) for each in harness.alerts]


def test_an_alert_has_a_row_for_each_channel():
    harness = harness_of(A)

    fails_at(harness, "02:00")

    assert rows(harness) == [("ops", "opened", ""), ("phone", "opened", "")]
    assert sorted(harness.batches) == ["ops", "phone"]


def test_a_dead_channel_delays_no_other_and_loses_nothing():
    harness = harness_of(A)
    for hour in ("02:00", "03:00", "04:00"):
        fails_at(harness, hour)
        harness.delivers(channel="ops")
        while "phone" in harness.batches:
            harness.cannot_deliver(channel="phone")
    harness.at("05:00")
    harness.ends("a")
    harness.at("05:15")
    harness.delivers(channel="ops")
    before = sent(harness, "phone")

    harness.at("05:20")
    harness.delivers()

    assert before == []
    assert sent(harness, "ops") == ["a opened", "a reminder", "a recovered"]
    assert sent(harness, "phone") == ["a opened", "a reminder", "a recovered"]


def test_one_channel_that_fails_does_not_touch_the_retries_of_the_other():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver(channel="ops", refused=True)
    harness.cannot_deliver(channel="phone")

    retried_at = next_wakeup(harness.scheduler)
    harness.after(seconds=5)

    assert retried_at == harness.mono
    assert list(harness.batches) == ["phone"]


def test_a_retry_of_each_channel_outlives_a_crash():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver(channel="ops", retry_after_s=600.0)
    harness.delivers(channel="phone")
    harness.dies()

    harness.starts("02:04")
    before = list(harness.batches)
    harness.at("02:10")

    assert before == []
    assert list(harness.batches) == ["ops"]


def test_a_stop_waits_for_a_channel_that_was_not_tried_and_not_for_a_dead_one():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver(channel="ops")

    harness.send(ev.StopAsked(harness.clocks()))
    before = harness.has_stopped
    harness.delivers(channel="phone")

    assert (before, harness.has_stopped) == (False, True)


def test_each_channel_has_its_own_severity_and_jobs():
    loud = channel("phone", min_severity=Severity.CRITICAL)
    nas = channel("nas", groups=("nas",))
    harness = harness_of(A, B, notify=Notify((channel("ops"), loud, nas)))

    fails_at(harness, "02:00")
    harness.ends("b", status=1)
    harness.delivers()

    assert sent(harness, "ops") == ["a opened", "b opened"]
    assert sent(harness, "phone") == []
    assert sent(harness, "nas") == ["b opened"]
    assert ("phone", "opened", "error is below critical") in rows(harness)
    assert ("nas", "opened", "channel nas is not for a") in rows(harness)


def test_a_removed_channel_lets_go_what_waits_for_it_and_nothing_else():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver(channel="phone")
    harness.cannot_deliver(channel="ops")

    harness.reloads(A, notify=Notify((channel("ops"),)))

    assert rows(harness) == [
        ("ops", "opened", ""),
        ("phone", "opened", "channel phone is not configured any more"),
    ]


def test_what_is_on_its_way_to_a_removed_channel_is_recorded_as_it_ends():
    harness = harness_of(A, B)
    fails_at(harness, "02:00")

    harness.reloads(A, B, notify=notify_slack("http://other"))
    harness.delivers(channel="ops")
    harness.cannot_deliver(channel="phone")

    [ops, phone] = harness.alerts
    assert ops.delivered_at == harness.wall
    assert phone.withheld == "channel phone is not configured any more"
    assert harness.scheduler.waiting_alerts == []


def test_a_changed_url_resets_the_retries_of_its_channel_alone():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver(channel="ops", refused=True)
    harness.cannot_deliver(channel="phone", refused=True)

    harness.reloads(A, notify=Notify((channel("ops", "http://fixed"), channel("phone"))))

    assert list(harness.batches) == ["ops"]


def test_alerts_wait_through_quiet_hours_and_are_then_sent():
    quiet = channel("phone", quiet=NIGHT)
    harness = harness_of(A, notify=Notify((channel("ops"), quiet)))
    fails_at(harness, "02:00")
    harness.delivers()
    before = sent(harness, "phone")

    harness.at("07:00")
    harness.delivers()

    assert before == []
    assert sent(harness, "ops")[0] == "a opened"
    assert sent(harness, "phone")[0] == "a opened"


def test_what_came_and_went_in_quiet_hours_is_one_message():
    harness = harness_of(A, notify=Notify((channel("phone", quiet=NIGHT),)))
    fails_at(harness, "02:00")
    harness.at("03:00")
    harness.ends("a")
    harness.at("04:00")
    harness.ends("a")
    harness.at("06:59")
    assert harness.batches == {}

    harness.at("07:00")
    harness.delivers()

    assert sent(harness, "phone") == ["a recovered"]
    assert harness.arrived[0].folded == 1


def test_quiet_hours_are_no_reason_to_wake_up_or_to_delay_a_stop():
    harness = harness_of(A, notify=Notify((channel("phone", quiet=NIGHT),)))
    fails_at(harness, "02:00")
    wake = next_wakeup(harness.scheduler)

    harness.send(ev.StopAsked(harness.clocks()))

    assert wake is None
    assert harness.has_stopped


def test_a_retry_that_comes_due_in_quiet_hours_does_not_wake_the_loop():
    late = job("a", cron="58 21 * * *")
    harness = harness_of(late, notify=Notify((channel("phone", quiet=NIGHT),)))
    fails_at(harness, "21:58")
    harness.cannot_deliver(refused=True)

    harness.at("22:05")

    assert harness.batches == {}
    assert next_wakeup(harness.scheduler) is None


def test_a_restart_in_quiet_hours_keeps_them():
    harness = harness_of(A, notify=Notify((channel("phone", quiet=NIGHT),)))
    fails_at(harness, "02:00")
    harness.dies()

    harness.starts("02:30")

    assert harness.batches == {}


def test_status_tells_the_state_of_each_channel():
    phone = channel("phone", quiet=NIGHT)
    harness = harness_of(A, notify=Notify((channel("ops"), channel("hook"), phone)))
    fails_at(harness, "02:00")
    harness.cannot_deliver("answered 500", channel="hook")
    harness.delivers(channel="ops")

    alerts = harness.status().alerts

    states = [(each.name, each.waiting, each.failures, each.error) for each in alerts.channels]
    assert states == [("ops", 0, 0, ""), ("hook", 1, 1, "answered 500"), ("phone", 1, 0, "")]
    assert alerts.channels[0].delivered_at == harness.wall
    assert f"{alerts.channels[2].quiet_until:%d %H:%M}" == "05 07:00"
    assert (alerts.channel, alerts.waiting, alerts.error) == (
        "ops, hook, phone", 2, "answered 500",
    )  # fmt: skip


def test_an_incident_counts_what_waits_for_all_channels():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.delivers(channel="ops")

    [incident] = harness.status().incidents

    assert incident.undelivered == 1


def test_a_test_of_an_unknown_channel_is_refused_with_the_known_ones():
    harness = harness_of(A)

    reply = harness.asks(control_requests.NotifyTest("pager"))
    granted = harness.asks(control_requests.NotifyTest("phone"))

    assert (reply.answer, reply.error) == ("unknown", 'no channel is called "pager"')
    assert reply.hint == "there is ops, phone"
    assert granted.answer == "ok"


def test_an_ack_silences_the_waiting_reminders_of_all_channels():
    harness = harness_of(job("a", cron="* * * * *"))
    harness.at("00:01")
    for _ in range(70):
        harness.ends("a", status=1)
        for name in list(harness.batches):
            harness.cannot_deliver(channel=name)
        harness.after(minutes=1)

    harness.asks(control_requests.AckIncident(1, 3600.0))

    assert harness.waiting() == ["exit opened", "exit opened"]


def test_every_row_is_recorded_before_anything_is_sent():
    harness = harness_of(A)
    harness.at("02:00")

    actions = harness.send(ev.Exited(harness.clocks(), 1, 1, 256))

    recorded = [n for n, each in enumerate(actions) if isinstance(each, effects.Record)]
    sets_out = [n for n, each in enumerate(actions) if isinstance(each, effects.Deliver)]
    assert len(sets_out) == 2
    assert max(recorded) < min(sets_out)


@pytest.mark.parametrize("where", ["Deliver", "Delivered", "Undelivered"])
def test_an_internal_error_of_a_delivery_is_followed_by_another_try(where):
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.batches.clear()

    harness.send(ev.InternalError(harness.clocks(), where, "x"))
    before = dict(harness.batches)
    harness.after(seconds=300)

    assert before == {}
    assert sorted(harness.batches) == ["ops", "phone"]
