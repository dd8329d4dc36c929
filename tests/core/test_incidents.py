"""Incidents: one opening alert, few reminders, one recovery."""

from datetime import timedelta

import pytest

from supervisor.core import control_requests, effects, incidents
from supervisor.core import events as ev
from supervisor.core.config_model import Severity
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Done, Failed

A = job("a", cron="0 2 * * *")
EVERY_MINUTE = job("a", cron="* * * * *")


def fails_for(harness, until, status=1, every=1):
    """Make every run of the job fail until this instant; every: minutes between runs."""
    while harness.wall < instant(until):
        harness.after(minutes=every)
        for name in harness.live():
            harness.ends(name, status=status)


def test_a_failed_run_opens_an_incident():
    harness = Harness(A)
    harness.at("02:00")

    harness.ends("a", status=2)

    [alert] = harness.alerts
    assert (alert.job, alert.kind, alert.word) == ("a", "exit", "opened")
    assert (alert.severity, alert.cause, alert.run) == ("error", "exit status 2", 1)


def test_an_incident_opens_after_the_last_retry_and_not_before():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    before = harness.words("a")
    harness.at("02:01")

    harness.ends("a", status=1)

    assert before == []
    assert harness.words("a") == ["exit opened"]


def test_a_retry_that_succeeds_opens_nothing():
    harness = Harness(job("a", cron="0 2 * * *", retries=1, retry_delay_s=60))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:01")

    harness.ends("a")

    assert harness.words("a") == []


def test_one_success_closes_it_with_duration_and_count():
    harness = Harness(job("a", cron="0 2,3,4 * * *"))
    for hour in ("02:00", "03:00"):
        harness.at(hour)
        harness.ends("a", status=1)
    harness.at("04:00")

    harness.ends("a")
    closed = harness.incidents("a") == []
    harness.at("04:15")

    recovery = harness.alerts[-1]
    assert closed
    assert recovery.word == "recovered"
    assert (recovery.count, recovery.lasted_s) == (2, 7200.0)
    assert recovery.severity == "error"


def test_a_success_without_an_incident_says_nothing():
    harness = Harness(A)
    harness.at("02:00")

    harness.ends("a")

    assert harness.words("a") == []


def test_the_next_failure_after_a_recovery_is_a_new_incident():
    harness = Harness(job("a", cron="0 2,3,4 * * *"))
    for hour, status in (("02:00", 1), ("03:00", 0), ("04:00", 1)):
        harness.at(hour)
        harness.ends("a", status=status)

    assert harness.words("a") == ["exit opened", "exit recovered", "exit opened"]
    assert len(harness.ledger.incidents) == 2


def test_another_kind_opens_another():
    harness = Harness(job("a", worker="w.f", cron="0 2,3 * * *"))
    harness.at("02:00")
    harness.says("a", Failed("no", permanent=False))
    harness.ends("a", status=1)
    harness.at("03:00")

    harness.says("a", Failed("never", permanent=True))
    harness.ends("a", status=1)

    assert harness.words("a") == ["error opened", "permanent opened"]


def test_one_success_closes_every_kind():
    harness = Harness(job("a", cron="0 2,3,4 * * *"))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("03:00")
    harness.ends("a", signal=9)
    harness.at("04:00")

    harness.ends("a")
    harness.at("04:15")

    assert harness.incidents("a") == []
    assert sorted(harness.words("a")[2:]) == ["exit recovered", "signal recovered"]


def test_reminders_come_after_an_hour_after_four_and_then_daily():
    harness = Harness(job("a", cron="*/30 * * * *"))

    fails_for(harness, "2026-01-08 00:30", every=30)

    opened = harness.alerts[0].at
    assert [alert.at - opened for alert in harness.alerts] == [
        timedelta(0),
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(days=1),
        timedelta(days=2),
        timedelta(days=3),
    ]


def test_a_reminder_tells_how_often_it_failed():
    harness = Harness(EVERY_MINUTE)

    fails_for(harness, "2026-01-05 01:30")

    assert [alert.count for alert in harness.alerts] == [1, 60]


def test_an_incident_tells_of_its_latest_failure():
    harness = Harness(job("a", cron="0,30 2 * * *"))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("02:30")
    harness.ends("a", status=3)

    harness.at("03:00")

    [known] = harness.incidents("a")
    assert (known.cause, known.run, known.reminders) == ("exit status 3", 2, 1)
    assert known.last_at == instant("2026-01-05 02:30")
    assert harness.alerts[-1].cause == "exit status 3"


def test_nothing_is_repeated_of_what_did_not_happen_again():
    harness = Harness(A)
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.at("2026-01-06 01:59")

    assert harness.words("a") == ["exit opened"]


def test_what_failed_once_more_between_reminders_is_reported_at_the_next():
    harness = Harness(job("a", cron="0,30 2 * * *"))
    for minute in ("02:00", "02:30"):
        harness.at(minute)
        harness.ends("a", status=1)

    harness.at("12:00")

    assert [f"{alert.at:%H:%M}" for alert in harness.alerts] == ["02:00", "03:00"]


def test_an_acknowledged_incident_is_silent():
    harness = Harness(EVERY_MINUTE)
    fails_for(harness, "2026-01-05 00:01")

    harness.asks(control_requests.AckIncident(1, 6 * 3600, "known"))
    fails_for(harness, "2026-01-05 05:00")

    assert harness.words("a") == ["exit opened"]
    assert harness.incidents("a")[0].ack_by == "uid 1000"
    assert harness.incidents("a")[0].ack_reason == "known"


def test_an_acknowledgement_silences_no_other_incident():
    harness = Harness(EVERY_MINUTE, job("b", cron="* * * * *"))
    fails_for(harness, "2026-01-05 00:30")
    harness.asks(control_requests.AckIncident(harness.incidents("b")[0].id, for_s=7200))

    fails_for(harness, "2026-01-05 01:30")

    assert harness.words("a") == ["exit opened", "exit reminder"]
    assert harness.words("b") == ["exit opened"]


def test_an_acknowledgement_has_an_end():
    harness = Harness(EVERY_MINUTE)
    fails_for(harness, "2026-01-05 00:01")
    harness.asks(control_requests.AckIncident(1, 2 * 3600))

    fails_for(harness, "2026-01-05 02:30")

    assert harness.words("a") == ["exit opened", "exit reminder"]
    assert harness.alerts[-1].at == instant("2026-01-05 02:01")


def test_an_acknowledged_incident_still_recovers():
    harness = Harness(job("a", cron="0 2,3 * * *"))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.asks(control_requests.AckIncident(1, 86400))
    harness.at("03:00")

    harness.ends("a")
    harness.at("03:15")

    assert harness.words("a") == ["exit opened", "exit recovered"]


def test_a_removed_job_closes_its_incident():
    harness = Harness(A, job("b"))
    harness.at("02:00")
    harness.ends("a", status=1)

    harness.reloads(job("b"))

    assert harness.words("a") == ["exit opened", "exit recovered"]


def test_a_removed_job_opens_no_incident_when_its_last_attempt_fails():
    harness = Harness(A, job("b"))
    harness.at("02:00")
    harness.reloads(job("b"))

    harness.ends("a", status=1)

    assert harness.incidents("a") == []


def test_a_job_removed_while_no_supervisor_lived_closes_its_incident():
    harness = Harness(A, job("b"))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.stops()

    harness.starts("03:00", job("b"))

    assert harness.incidents("a") == []


def test_the_incident_of_the_clock_closes_though_the_silence_ended_while_nobody_lived():
    harness = Harness(EVERY_MINUTE)
    harness.at("06:00")
    harness.clock_is_set_to("2026-01-05 03:00")
    harness.stops()

    harness.starts("07:00")
    harness.at("07:01")

    assert harness.incidents() == []


def test_an_incident_survives_a_restart():
    harness = Harness(job("a", cron="0 2,3 * * *"))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.stops()
    harness.starts("02:30")
    harness.at("03:00")

    harness.ends("a", status=1)

    assert harness.words("a") == ["exit opened", "exit reminder"]
    assert harness.incidents("a")[0].count == 2


def test_a_manual_run_opens_and_closes_like_others():
    harness = Harness(A)
    harness.asks(control_requests.RunJobs(("a",)))
    harness.ends("a", status=1)
    for _ in range(2):
        harness.asks(control_requests.RunJobs(("a",)))
        harness.ends("a")

    assert harness.words("a") == ["exit opened", "exit recovered"]


@pytest.mark.parametrize("status", [0, 1])
def test_a_dry_run_neither_opens_nor_closes(status):
    harness = Harness(job("a", worker="w.f"))
    if status == 0:
        harness.asks(control_requests.RunJobs(("a",)))
        harness.ends("a", status=1)
    before = harness.words("a")
    harness.asks(control_requests.RunJobs(("a",), dry_run=True))

    harness.ends("a", status=status)

    assert harness.words("a") == before


@pytest.mark.parametrize("kind", sorted(incidents.SEVERITY))
def test_what_needs_a_person_at_once_is_critical_and_all_else_an_error(kind):
    critical = {"unkillable", "clock", "ledger", "damage", "internal"}

    assert incidents.SEVERITY[kind] is (Severity.CRITICAL if kind in critical else Severity.ERROR)


def test_an_opening_stands_among_the_actions_of_its_own_verdict():
    harness = Harness(A)
    harness.at("02:00")

    actions = harness.send(ev.Exited(harness.clocks(), 1, 1, 256))

    rows = [type(action.row).__name__ for action in actions if isinstance(action, effects.Record)]
    assert {"Run", "Incident", "Alert"} <= set(rows)


def test_a_success_with_a_problem_lets_dependants_run_and_opens_an_incident_until_there_is_none():
    backup = job("backup", cron="0 2,4,6 * * *", worker="backup.run", retries=2)
    harness = Harness(backup, job("rotate", cron="30 2 * * *", deps=("backup",)))
    harness.at("02:00")
    harness.says("backup", Done({"problem": "second copy failed in /nas", "warnings": 1}))
    harness.ends("backup")
    opened, run = harness.words("backup"), harness.run("backup")
    harness.at("02:30")
    rotates = harness.live()
    harness.at("04:00")
    harness.says("backup", Done({"problem": "second copy failed in /nas"}))
    harness.ends("backup")
    [again] = harness.incidents("backup")
    harness.at("06:00")

    harness.says("backup", Done({"problem": ""}))
    harness.ends("backup")

    assert opened == ["partial opened"]
    assert (run.state, run.cause) == ("success", "second copy failed in /nas")
    assert rotates == ["rotate"]
    assert again.count == 2
    assert harness.incidents("backup") == []


def test_a_problem_is_of_another_kind_than_the_failure_before_it():
    backup = job("backup", cron="0 2,4 * * *", worker="backup.run")
    harness = Harness(backup)
    harness.at("02:00")
    harness.says("backup", Failed("the disk is full", True))
    harness.ends("backup", status=1)
    harness.at("04:00")

    harness.says("backup", Done({"problem": "second copy failed in /nas"}))
    harness.ends("backup")

    assert [one.kind for one in harness.incidents("backup")] == ["partial"]


def test_a_worker_may_say_what_kind_of_incident_its_failure_is_from_a_closed_list():
    drill, other = (job(name, cron="0 2,4 * * *", worker="backup.drill") for name in "ab")
    harness = Harness(drill, other)
    harness.at("02:00")
    harness.says("a", Failed("the copy is damaged", True, "drill"))
    harness.says("b", Failed("the copy is damaged", True, "clock"))
    harness.ends("a", status=1)
    harness.ends("b", status=1)
    opened = harness.words("a"), harness.words("b")
    harness.at("04:00")

    harness.says("a", Done({}))
    harness.ends("a")

    assert opened == (["drill opened"], ["permanent opened"])
    assert harness.run("a").reason is None
    assert harness.incidents("a") == []
