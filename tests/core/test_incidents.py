"""Incidents: one opening alert, few reminders, one recovery."""

from datetime import timedelta

import pytest

from supervisor.core import control_requests, effects, incidents
from supervisor.core import events as ev
from supervisor.core.model import Severity
from tests.core.core_harness import Night, instant, job
from workers.protocol import Failed

A = job("a", cron="0 2 * * *")
EVERY_MINUTE = job("a", cron="* * * * *")


def fails_for(night, until, status=1):
    """Make every run of the job fail until this instant."""
    while night.wall < instant(until):
        night.after(minutes=1)
        for name in night.living():
            night.ends(name, status=status)


def test_a_failed_run_opens_an_incident():
    night = Night(A)
    night.at("02:00")

    night.ends("a", status=2)

    [alert] = night.ledger.alerts
    assert (alert.job, alert.kind, alert.word) == ("a", "exit", "opened")
    assert (alert.severity, alert.cause, alert.run) == ("error", "exit status 2", 1)


def test_an_incident_opens_after_the_last_retry_and_not_before():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)
    before = night.words("a")
    night.at("02:01")

    night.ends("a", status=1)

    assert before == []
    assert night.words("a") == ["exit opened"]


def test_a_retry_that_succeeds_opens_nothing():
    night = Night(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:01")

    night.ends("a")

    assert night.words("a") == []


def test_one_success_closes_it_with_duration_and_count():
    night = Night(job("a", cron="0 2,3,4 * * *"))
    for hour in ("02:00", "03:00"):
        night.at(hour)
        night.ends("a", status=1)
    night.at("04:00")

    night.ends("a")
    closed = night.incidents("a") == []
    night.at("04:15")

    recovery = night.ledger.alerts[-1]
    assert closed
    assert recovery.word == "recovered"
    assert (recovery.count, recovery.lasted_s) == (2, 7200.0)
    assert recovery.severity == "error"


def test_a_success_without_an_incident_says_nothing():
    night = Night(A)
    night.at("02:00")

    night.ends("a")

    assert night.words("a") == []


def test_the_next_failure_after_a_recovery_is_a_new_incident():
    night = Night(job("a", cron="0 2,3,4 * * *"))
    for hour, status in (("02:00", 1), ("03:00", 0), ("04:00", 1)):
        night.at(hour)
        night.ends("a", status=status)

    assert night.words("a") == ["exit opened", "exit recovered", "exit opened"]
    assert len(night.ledger.incidents) == 2


def test_another_kind_opens_another():
    night = Night(job("a", worker="w.f", cron="0 2,3 * * *"))
    night.at("02:00")
    night.says("a", Failed("no", permanent=False))
    night.ends("a", status=1)
    night.at("03:00")

    night.says("a", Failed("never", permanent=True))
    night.ends("a", status=1)

    assert night.words("a") == ["error opened", "permanent opened"]


def test_one_success_closes_every_kind():
    night = Night(job("a", cron="0 2,3,4 * * *"))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("03:00")
    night.ends("a", signal=9)
    night.at("04:00")

    night.ends("a")
    night.at("04:15")

    assert night.incidents("a") == []
    assert sorted(night.words("a")[2:]) == ["exit recovered", "signal recovered"]


def test_reminders_come_after_an_hour_after_four_and_then_daily():
    night = Night(EVERY_MINUTE)

    fails_for(night, "2026-01-08 00:30")

    opened = night.ledger.alerts[0].at
    assert [alert.at - opened for alert in night.ledger.alerts] == [
        timedelta(0),
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(days=1),
        timedelta(days=2),
        timedelta(days=3),
    ]


def test_a_job_that_fails_every_minute_for_a_day_sends_at_most_eight_words():
    night = Night(EVERY_MINUTE)

    fails_for(night, "2026-01-06 00:00")

    assert len(night.ledger.alerts) <= 8
    assert night.incidents("a")[0].count == 1440


def test_a_reminder_tells_how_often_it_failed():
    night = Night(EVERY_MINUTE)

    fails_for(night, "2026-01-05 01:30")

    assert [alert.count for alert in night.ledger.alerts] == [1, 60]


def test_an_incident_tells_of_its_latest_failure():
    night = Night(job("a", cron="0,30 2 * * *"))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("02:30")
    night.ends("a", status=3)

    night.at("03:00")

    [known] = night.incidents("a")
    assert (known.cause, known.run, known.reminders) == ("exit status 3", 2, 1)
    assert known.last_at == instant("2026-01-05 02:30")
    assert night.ledger.alerts[-1].cause == "exit status 3"


def test_nothing_is_repeated_of_what_did_not_happen_again():
    night = Night(A)
    night.at("02:00")
    night.ends("a", status=1)

    night.at("2026-01-06 01:59")

    assert night.words("a") == ["exit opened"]


def test_what_failed_once_more_between_reminders_is_told_of_at_the_next():
    night = Night(job("a", cron="0,30 2 * * *"))
    for minute in ("02:00", "02:30"):
        night.at(minute)
        night.ends("a", status=1)

    night.at("12:00")

    assert [f"{alert.at:%H:%M}" for alert in night.ledger.alerts] == ["02:00", "03:00"]


def test_an_acknowledged_incident_is_silent():
    night = Night(EVERY_MINUTE)
    fails_for(night, "2026-01-05 00:01")

    night.asks(control_requests.AckIncident(1, 12 * 3600, "known"))
    fails_for(night, "2026-01-05 11:00")

    assert night.words("a") == ["exit opened"]
    assert night.incidents("a")[0].ack_by == "uid 1000"
    assert night.incidents("a")[0].ack_reason == "known"


def test_an_acknowledgement_silences_no_other_incident():
    night = Night(EVERY_MINUTE, job("b", cron="* * * * *"))
    fails_for(night, "2026-01-05 00:30")
    night.asks(control_requests.AckIncident(night.incidents("b")[0].id, for_s=7200))

    fails_for(night, "2026-01-05 01:30")

    assert night.words("a") == ["exit opened", "exit reminder"]
    assert night.words("b") == ["exit opened"]


def test_an_acknowledgement_has_an_end():
    night = Night(EVERY_MINUTE)
    fails_for(night, "2026-01-05 00:01")
    night.asks(control_requests.AckIncident(1, 2 * 3600))

    fails_for(night, "2026-01-05 02:30")

    assert night.words("a") == ["exit opened", "exit reminder"]
    assert night.ledger.alerts[-1].at == instant("2026-01-05 02:01")


def test_an_acknowledged_incident_still_recovers():
    night = Night(job("a", cron="0 2,3 * * *"))
    night.at("02:00")
    night.ends("a", status=1)
    night.asks(control_requests.AckIncident(1, 86400))
    night.at("03:00")

    night.ends("a")
    night.at("03:15")

    assert night.words("a") == ["exit opened", "exit recovered"]


def test_a_removed_job_closes_its_incident():
    night = Night(A, job("b"))
    night.at("02:00")
    night.ends("a", status=1)

    night.reloads(job("b"))

    assert night.words("a") == ["exit opened", "exit recovered"]


def test_a_removed_job_opens_no_incident_when_its_last_attempt_fails():
    night = Night(A, job("b"))
    night.at("02:00")
    night.reloads(job("b"))

    night.ends("a", status=1)

    assert night.incidents("a") == []


def test_a_job_removed_while_no_supervisor_lived_closes_its_incident():
    night = Night(A, job("b"))
    night.at("02:00")
    night.ends("a", status=1)
    night.stops()

    night.starts("03:00", job("b"))

    assert night.incidents("a") == []


def test_the_incident_of_the_clock_closes_though_the_silence_ended_while_nobody_lived():
    night = Night(EVERY_MINUTE)
    night.at("06:00")
    night.clock_is_set_to("2026-01-05 03:00")
    night.stops()

    night.starts("07:00")
    night.at("07:01")

    assert night.incidents() == []


def test_an_incident_survives_a_restart():
    night = Night(job("a", cron="0 2,3 * * *"))
    night.at("02:00")
    night.ends("a", status=1)
    night.stops()
    night.starts("02:30")
    night.at("03:00")

    night.ends("a", status=1)

    assert night.words("a") == ["exit opened", "exit reminder"]
    assert night.incidents("a")[0].count == 2


def test_a_manual_run_opens_and_closes_like_others():
    night = Night(A)
    night.asks(control_requests.RunJobs(("a",)))
    night.ends("a", status=1)
    for _ in range(2):
        night.asks(control_requests.RunJobs(("a",)))
        night.ends("a")

    assert night.words("a") == ["exit opened", "exit recovered"]


@pytest.mark.parametrize("status", [0, 1])
def test_a_dry_run_neither_opens_nor_closes(status):
    night = Night(job("a", worker="w.f"))
    if status == 0:
        night.asks(control_requests.RunJobs(("a",)))
        night.ends("a", status=1)
    before = night.words("a")
    night.asks(control_requests.RunJobs(("a",), dry_run=True))

    night.ends("a", status=status)

    assert night.words("a") == before


@pytest.mark.parametrize("kind", sorted(incidents.SEVERITY))
def test_what_needs_a_person_at_once_is_critical_and_all_else_an_error(kind):
    critical = {"unkillable", "clock", "ledger", "damage", "internal"}

    assert incidents.SEVERITY[kind] is (Severity.CRITICAL if kind in critical else Severity.ERROR)


def test_an_opening_stands_among_the_actions_of_its_own_verdict():
    night = Night(A)
    night.at("02:00")

    actions = night.send(ev.Exited(night.clocks(), 1, 1, 256))

    rows = [type(action.row).__name__ for action in actions if isinstance(action, effects.Record)]
    assert {"Run", "Incident", "Alert"} <= set(rows)
