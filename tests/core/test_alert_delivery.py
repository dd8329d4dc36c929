"""Alert delivery: in order, once, with retries, across restarts; severity threshold."""

from datetime import timedelta

import pytest

from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.decide import next_wakeup
from supervisor.core.model import Notify, Severity
from tests.core.core_harness import Night, instant, job

SLACK = Notify("http://127.0.0.1/slack")
A = job("a", cron="0 2,3,4,5 * * *")
B = job("b", cron="0 2 * * *")
EVERY_MINUTE = job("a", cron="* * * * *")


def night_of(*jobs, notify=SLACK, **settings):
    return Night(*jobs, notify=notify, **settings)


def fails_at(night, text, *names):
    night.at(text)
    for name in names or ("a",):
        night.ends(name, status=1)


def sent(night):
    """Return `a opened`: job and word of all delivered alerts, in order."""
    return [f"{each.job} {each.word}" for each in night.arrived]


def test_an_alert_sets_out_at_once_and_after_its_record():
    night = night_of(A)
    night.at("02:00")

    actions = night.send(ev.Exited(night.clocks(), 1, 1, 256))

    recorded = [n for n, action in enumerate(actions) if isinstance(action, effects.Record)]
    [journey] = [n for n, action in enumerate(actions) if isinstance(action, effects.Deliver)]
    assert max(recorded) < journey


def test_what_arrived_is_recorded_and_never_sent_again():
    night = night_of(A)
    fails_at(night, "02:00")

    night.delivers()
    night.at("02:59")

    assert sent(night) == ["a opened"]
    assert night.ledger.alerts[0].delivered_at == instant("2026-01-05 02:00")
    assert night.journey == ()


def test_alerts_arrive_in_the_order_in_which_they_were_written():
    night = night_of(A, B)
    fails_at(night, "02:00", "b", "a")
    fails_at(night, "03:00")
    night.cannot_deliver()
    night.at("04:00")
    night.ends("a")
    night.at("04:15")

    night.delivers()

    assert [each.id for each in night.arrived] == [1, 2, 3, 4]


def test_a_failure_halfway_keeps_the_rest_in_order():
    night = night_of(A, B, job("c", cron="0 2 * * *"))
    night.at("02:00")
    night.exits("a", status=1)
    night.cannot_deliver()
    for name in ("b", "c"):
        night.ends(name, status=1)
    night.after(seconds=5)

    night.cannot_deliver(after=1)
    night.after(seconds=5)
    night.delivers()

    assert sent(night) == ["a opened", "b opened", "c opened"]


def test_a_failed_delivery_is_tried_again_after_5_s_15_s_and_then_every_30():
    night = night_of(A)
    fails_at(night, "02:00")
    tried = []
    for _ in range(5):
        night.cannot_deliver()
        while not night.journey:
            night.after(seconds=1)
        tried.append((night.wall - instant("2026-01-05 02:00")).total_seconds())

    assert tried == [5, 20, 50, 80, 110]


def test_ten_minutes_of_silence_make_it_slow():
    night = night_of(A)
    fails_at(night, "02:00")
    while night.wall < instant("2026-01-05 02:59"):
        night.cannot_deliver()
        night.after(seconds=30)

    gap = night.ledger.alerts[0].next_at - night.wall

    assert timedelta(seconds=30) < gap <= timedelta(minutes=5)


def test_the_next_try_is_a_reason_to_wake_up_and_nothing_else_is():
    night = night_of(A)
    fails_at(night, "02:00")
    on_its_way = next_wakeup(night.world)

    night.cannot_deliver()

    assert on_its_way is None
    assert next_wakeup(night.world) == night.mono + 5


def test_retry_after_is_obeyed():
    night = night_of(A)
    fails_at(night, "02:00")

    night.cannot_deliver("429", retry_after_s=120.0)

    assert next_wakeup(night.world) == night.mono + 120
    assert night.ledger.alerts[0].next_at == instant("2026-01-05 02:02")


def test_a_channel_that_says_no_is_asked_slowly_and_the_alert_is_kept():
    night = night_of(A)
    fails_at(night, "02:00")

    night.cannot_deliver("answered 404 no_service", refused=True)

    assert next_wakeup(night.world) == night.mono + 300
    assert night.waiting() == ["exit opened"]


def test_the_ledger_says_how_often_and_why_it_failed():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver("no route to host")
    night.after(seconds=5)
    night.cannot_deliver("answered 500")

    [alert] = night.ledger.alerts

    assert (alert.attempts, alert.error, alert.delivered_at) == (2, "answered 500", None)


def test_repeated_failures_are_logged_when_they_say_something_new():
    night = night_of(A)
    fails_at(night, "02:00")
    for cause in ("no answer", "no answer", "no answer", "answered 500"):
        night.cannot_deliver(cause)
        while not night.journey:
            night.after(seconds=1)

    said = [note for note in night.notes() if "is not delivered" in note]

    assert [note.partition(": ")[2] for note in said] == [
        "no answer; next try in 5s",
        "answered 500; next try in 30s",
    ]


def test_while_nobody_answers_reminders_become_one_with_the_count():
    night = night_of(EVERY_MINUTE)
    night.at("00:01")
    while night.wall < instant("2026-01-06 06:00"):
        for name in night.living():
            night.ends(name, status=1)
        if night.journey:
            night.cannot_deliver()
        night.after(minutes=1)

    night.after(minutes=5)
    night.delivers()

    assert sent(night) == ["a opened", "a reminder"]
    assert (night.arrived[1].count, night.arrived[1].folded) == (1440, 2)


def test_a_job_that_fails_every_minute_for_a_day_sends_at_most_eight_messages():
    night = night_of(EVERY_MINUTE)
    while night.wall < instant("2026-01-06 00:00"):
        night.after(minutes=1)
        for name in night.living():
            night.ends(name, status=1)
        night.delivers()

    assert 1 < len(night.arrived) <= 8


def test_what_is_too_quiet_is_recorded_and_logged_but_not_sent():
    night = night_of(A, notify=Notify("http://x", Severity.CRITICAL))

    fails_at(night, "02:00")

    assert night.journey == ()
    assert night.words("a") == ["exit opened"]
    assert night.ledger.alerts[0].withheld == "error is below critical"
    assert any("opened: exit status 1" in note for note in night.notes())


@pytest.mark.parametrize("word", ["reminder", "recovered"])
def test_reminders_and_the_recovery_are_as_loud_as_their_incident(word):
    night = night_of(EVERY_MINUTE)
    night.at("01:30")
    for _ in range(70):
        for name in night.living():
            night.ends(name, status=1)
        night.after(minutes=1)
    night.ends("a")
    night.after(minutes=1)
    night.ends("a")

    severities = {each.severity for each in night.ledger.alerts if each.word == word}

    assert severities == {Severity.ERROR}


def test_without_a_channel_nothing_waits():
    night = night_of(A, notify=Notify())

    fails_at(night, "02:00")

    assert night.waiting() == []
    assert night.ledger.alerts[0].withheld == "no channel is configured"


def test_a_channel_that_comes_later_is_not_flooded_with_the_past():
    night = night_of(A, notify=Notify())
    fails_at(night, "02:00")

    night.reloads(A, notify=SLACK)
    night.at("02:10")

    assert night.journey == ()


def test_a_channel_that_goes_lets_what_waits_go_too():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver()

    night.reloads(A, notify=Notify())

    assert night.ledger.alerts[0].withheld == "no channel is configured"
    assert next_wakeup(night.world) is None


def test_a_mended_url_is_tried_at_once_and_quickly():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver("answered 404", refused=True)

    night.reloads(A, notify=Notify("http://127.0.0.1/mended"))

    assert [alert.id for alert in night.journey] == [1]
    assert night.ledger.alerts[0].attempts == 0


def test_a_test_alert_that_arrives_opens_the_way_for_what_waits():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver("answered 404", refused=True)

    night.send(ev.Delivered(night.clocks(), ()))

    assert [alert.id for alert in night.journey] == [1]


def test_an_acknowledged_incident_sends_no_waiting_reminder():
    night = night_of(EVERY_MINUTE)
    night.at("00:01")
    while night.wall < instant("2026-01-05 01:10"):
        night.ends("a", status=1)
        if night.journey:
            night.cannot_deliver()
        night.after(minutes=1)
    before = night.waiting()

    night.asks(control_requests.AckIncident(1, 3600.0))

    assert before == ["exit opened", "exit reminder"]
    assert night.waiting() == ["exit opened"]


def test_a_removed_job_closes_its_incident_and_says_so():
    night = night_of(A, B)
    fails_at(night, "02:00")
    night.delivers()

    night.reloads(B)
    night.delivers()

    assert sent(night) == ["a opened", "a recovered"]


def test_what_was_not_delivered_is_delivered_by_the_next_service():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver()
    night.dies()

    night.starts("02:30")
    night.delivers()

    assert sent(night) == ["a opened"]
    assert night.waiting() == []


def test_what_arrived_before_a_crash_is_not_sent_by_the_next_service():
    night = night_of(A)
    fails_at(night, "02:00")
    night.delivers()
    night.dies()

    night.starts("02:30")

    assert night.journey == ()


def test_a_restart_is_no_way_around_the_patience_a_channel_asked_for():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver("answered 429", retry_after_s=600.0)
    night.dies()

    night.starts("02:04")

    assert night.journey == ()
    assert next_wakeup(night.world) == night.mono + 360


def test_a_clock_put_back_does_not_make_a_wait_endless():
    night = night_of(A)
    fails_at(night, "2026-01-06 02:00")
    night.cannot_deliver()
    night.dies()

    night.wall = instant("2025-01-01 00:00")
    night.starts("2025-01-01 00:01")

    assert next_wakeup(night.world) <= night.mono + 3600


def test_a_word_of_a_journey_that_nobody_is_on_changes_nothing():
    night = night_of(A)
    before = night.world.outbox, night.world.deliver_at

    night.send(ev.Undelivered(night.clocks(), "late"))
    night.send(ev.Delivered(night.clocks(), (77,)))

    assert (night.world.outbox, night.world.deliver_at) == before


# --- the end of a service -----------------------------------------------------------


def test_a_stop_waits_for_an_alert_that_was_not_tried_yet():
    night = night_of(A, shutdown_grace_s=30.0)
    fails_at(night, "02:00")

    night.send(ev.StopAsked(night.clocks()))
    before = night.has_stopped
    night.delivers()

    assert (before, night.has_stopped) == (False, True)
    assert sent(night) == ["a opened"]


def test_a_stop_waits_no_longer_than_its_grace():
    night = night_of(A, shutdown_grace_s=30.0)
    fails_at(night, "02:00")

    night.send(ev.StopAsked(night.clocks()))
    night.after(seconds=31)

    assert night.has_stopped
    assert night.waiting() == ["exit opened"]


def test_a_stop_does_not_wait_for_a_channel_that_is_known_to_be_dead():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver()

    night.send(ev.StopAsked(night.clocks()))

    assert night.has_stopped


def test_nothing_sets_out_when_all_is_over():
    night = night_of(A)
    fails_at(night, "02:00")
    night.cannot_deliver()
    night.send(ev.StopAsked(night.clocks()))

    night.mono += 3600
    night.send(ev.TimePassed(night.clocks()))

    assert night.journey == ()


# --- what people see ----------------------------------------------------------------


def test_status_says_what_waits_and_why():
    night = night_of(A, B)
    fails_at(night, "02:00", "a", "b")
    night.cannot_deliver("answered 500")

    shown = night.status()

    assert (shown.alerts.channel, shown.alerts.waiting, shown.alerts.failures) == ("slack", 2, 1)
    assert shown.alerts.error == "answered 500"
    assert shown.alerts.next_at == instant("2026-01-05 02:00:05")
    assert [incident.undelivered for incident in shown.incidents] == [1, 1]


def test_status_is_silent_about_a_channel_that_works():
    night = night_of(A)
    fails_at(night, "02:00")
    night.delivers()

    shown = night.status()

    assert (shown.alerts.waiting, shown.alerts.error) == (0, "")
    assert shown.incidents[0].undelivered == 0
