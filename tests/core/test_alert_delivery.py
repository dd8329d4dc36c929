"""Alert delivery: in order, once, with retries, across restarts; severity threshold."""

from datetime import timedelta

import pytest

from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.config_model import Notify, Severity
from supervisor.core.decide import next_wakeup
from tests.channels import notify_slack
from tests.core.alert_harness import EVERY_MINUTE, SLACK, A, B, fails_at, harness_of, sent
from tests.core.core_harness import instant, job


def test_an_alert_sets_out_at_once_and_after_its_record():
    harness = harness_of(A)
    harness.at("02:00")

    actions = harness.send(ev.Exited(harness.clocks(), 1, 1, 256))

    recorded = [n for n, action in enumerate(actions) if isinstance(action, effects.Record)]
    [batch] = [n for n, action in enumerate(actions) if isinstance(action, effects.Deliver)]
    assert max(recorded) < batch


def test_what_arrived_is_recorded_and_never_sent_again():
    harness = harness_of(A)
    fails_at(harness, "02:00")

    harness.delivers()
    harness.at("02:59")

    assert sent(harness) == ["a opened"]
    assert harness.alerts[0].delivered_at == instant("2026-01-05 02:00")
    assert harness.batch == ()


def test_alerts_arrive_in_the_order_in_which_they_were_written():
    harness = harness_of(A, B)
    fails_at(harness, "02:00", "b", "a")
    fails_at(harness, "03:00")
    harness.cannot_deliver()
    harness.at("04:00")
    harness.ends("a")
    harness.at("04:15")

    harness.delivers()

    assert [each.id for each in harness.arrived] == [1, 2, 3, 4]


def test_a_failure_halfway_keeps_the_rest_in_order():
    harness = harness_of(A, B, job("c", cron="0 2 * * *"))
    harness.at("02:00")
    harness.exits("a", status=1)
    harness.cannot_deliver()
    for name in ("b", "c"):
        harness.ends(name, status=1)
    harness.after(seconds=5)

    harness.cannot_deliver(after=1)
    harness.after(seconds=5)
    harness.delivers()

    assert sent(harness) == ["a opened", "b opened", "c opened"]


def test_a_failed_delivery_is_tried_again_after_5_s_15_s_and_then_every_30():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    tried = []
    for _ in range(5):
        harness.cannot_deliver()
        while not harness.batch:
            harness.after(seconds=1)
        tried.append((harness.wall - instant("2026-01-05 02:00")).total_seconds())

    assert tried == [5, 20, 50, 80, 110]


def test_ten_minutes_of_silence_make_it_slow():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    while harness.wall < instant("2026-01-05 02:59"):
        harness.cannot_deliver()
        harness.after(seconds=30)

    gap = harness.alerts[0].next_at - harness.wall

    assert timedelta(seconds=30) < gap <= timedelta(minutes=5)


def test_the_next_try_is_a_reason_to_wake_up_and_nothing_else_is():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    on_its_way = next_wakeup(harness.scheduler)

    harness.cannot_deliver()

    assert on_its_way is None
    assert next_wakeup(harness.scheduler) == harness.mono + 5


def test_retry_after_is_obeyed():
    harness = harness_of(A)
    fails_at(harness, "02:00")

    harness.cannot_deliver("429", retry_after_s=120.0)

    assert next_wakeup(harness.scheduler) == harness.mono + 120
    assert harness.alerts[0].next_at == instant("2026-01-05 02:02")


def test_a_channel_that_refuses_is_retried_slowly_and_the_alert_is_kept():
    harness = harness_of(A)
    fails_at(harness, "02:00")

    harness.cannot_deliver("answered 404 no_service", refused=True)

    assert next_wakeup(harness.scheduler) == harness.mono + 300
    assert harness.waiting() == ["exit opened"]


def test_the_ledger_says_how_often_and_why_it_failed():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver("no route to host")
    harness.after(seconds=5)
    harness.cannot_deliver("answered 500")

    [alert] = harness.alerts

    assert (alert.attempts, alert.error, alert.delivered_at) == (2, "answered 500", None)


def test_repeated_failures_are_logged_when_they_say_something_new():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    for cause in ("no answer", "no answer", "no answer", "answered 500"):
        harness.cannot_deliver(cause)
        while not harness.batch:
            harness.after(seconds=1)

    said = [note for note in harness.notes() if "is not delivered" in note]

    assert [note.partition(": ")[2] for note in said] == [
        "no answer; next try in 5s",
        "answered 500; next try in 30s",
    ]


def test_while_nobody_answers_reminders_become_one_with_the_count():
    harness = harness_of(job("a", cron="*/10 * * * *"))
    harness.at("00:10")
    while harness.wall < instant("2026-01-06 06:00"):
        for name in harness.live():
            harness.ends(name, status=1)
        if harness.batch:
            harness.cannot_deliver()
        harness.after(minutes=1)

    harness.after(minutes=5)
    harness.delivers()

    assert sent(harness) == ["a opened", "a reminder"]
    assert (harness.arrived[1].count, harness.arrived[1].folded) == (144, 2)


def test_a_job_that_fails_every_few_minutes_for_a_day_sends_at_most_eight_messages():
    harness = harness_of(job("a", cron="*/4 * * * *"))
    while harness.wall < instant("2026-01-06 00:00"):
        harness.after(minutes=4)
        for name in harness.live():
            harness.ends(name, status=1)
        harness.delivers()

    assert 1 < len(harness.arrived) <= len(harness.alerts) <= 8
    assert harness.incidents("a")[0].count == 360


def test_what_is_too_quiet_is_recorded_and_logged_but_not_sent():
    harness = harness_of(A, notify=notify_slack("http://x", Severity.CRITICAL))

    fails_at(harness, "02:00")

    assert harness.batch == ()
    assert harness.words("a") == ["exit opened"]
    assert harness.alerts[0].withheld == "error is below critical"
    assert any("opened: exit status 1" in note for note in harness.notes())


@pytest.mark.parametrize("word", ["reminder", "recovered"])
def test_reminders_and_the_recovery_are_as_loud_as_their_incident(word):
    harness = harness_of(EVERY_MINUTE)
    harness.at("01:30")
    for _ in range(70):
        for name in harness.live():
            harness.ends(name, status=1)
        harness.after(minutes=1)
    harness.ends("a")
    harness.after(minutes=1)
    harness.ends("a")

    severities = {each.severity for each in harness.alerts if each.word == word}

    assert severities == {Severity.ERROR}


def test_without_a_channel_nothing_waits():
    harness = harness_of(A, notify=Notify())

    fails_at(harness, "02:00")

    assert harness.waiting() == []
    assert harness.alerts[0].withheld == "no channel is configured"


def test_a_channel_that_comes_later_is_not_flooded_with_the_past():
    harness = harness_of(A, notify=Notify())
    fails_at(harness, "02:00")

    harness.reloads(A, notify=SLACK)
    harness.at("02:10")

    assert harness.batch == ()


def test_a_removed_channel_withholds_what_waits():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver()

    harness.reloads(A, notify=Notify())

    assert harness.alerts[0].withheld == "no channel is configured"
    assert next_wakeup(harness.scheduler) is None


def test_a_fixed_url_is_tried_at_once_and_quickly():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver("answered 404", refused=True)

    harness.reloads(A, notify=notify_slack("http://127.0.0.1/fixed"))

    assert [alert.id for alert in harness.batch] == [1]
    assert harness.alerts[0].attempts == 0


def test_a_delivered_test_alert_is_followed_by_what_waits():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.cannot_deliver("answered 404", refused=True)

    harness.send(ev.Delivered(harness.clocks(), (), "slack"))

    assert [alert.id for alert in harness.batch] == [1]


def test_an_acknowledged_incident_sends_no_waiting_reminder():
    harness = harness_of(EVERY_MINUTE)
    harness.at("00:01")
    while harness.wall < instant("2026-01-05 01:10"):
        harness.ends("a", status=1)
        if harness.batch:
            harness.cannot_deliver()
        harness.after(minutes=1)
    before = harness.waiting()

    harness.asks(control_requests.AckIncident(1, 3600.0))

    assert before == ["exit opened", "exit reminder"]
    assert harness.waiting() == ["exit opened"]


def test_a_removed_job_closes_its_incident_and_says_so():
    harness = harness_of(A, B)
    fails_at(harness, "02:00")
    harness.delivers()

    harness.reloads(B)
    harness.delivers()

    assert sent(harness) == ["a opened", "a recovered"]


def test_a_clock_put_back_does_not_make_a_wait_endless():
    harness = harness_of(A)
    fails_at(harness, "2026-01-06 02:00")
    harness.cannot_deliver()
    harness.dies()

    harness.wall = instant("2025-01-01 00:00")
    harness.starts("2025-01-01 00:01")

    assert next_wakeup(harness.scheduler) <= harness.mono + 3600


def test_a_late_result_of_a_batch_changes_nothing():
    harness = harness_of(A)
    before = harness.scheduler.waiting_alerts, next_wakeup(harness.scheduler)

    harness.send(ev.Undelivered(harness.clocks(), "late", "slack"))
    harness.send(ev.Delivered(harness.clocks(), (77,), "slack"))

    assert (harness.scheduler.waiting_alerts, next_wakeup(harness.scheduler)) == before


# --- the end of a service -----------------------------------------------------------


# --- what people see ----------------------------------------------------------------


def test_status_says_what_waits_and_why():
    harness = harness_of(A, B)
    fails_at(harness, "02:00", "a", "b")
    harness.cannot_deliver("answered 500")

    shown = harness.status()

    assert (shown.alerts.channel, shown.alerts.waiting, shown.alerts.failures) == ("slack", 2, 1)
    assert shown.alerts.error == "answered 500"
    assert shown.alerts.next_at == instant("2026-01-05 02:00:05")
    assert [incident.undelivered for incident in shown.incidents] == [1, 1]


def test_status_is_silent_about_a_channel_that_works():
    harness = harness_of(A)
    fails_at(harness, "02:00")
    harness.delivers()

    shown = harness.status()

    assert (shown.alerts.waiting, shown.alerts.error) == (0, "")
    assert shown.incidents[0].undelivered == 0
