"""Flapping jobs: few messages, one incident, and every run in the ledger."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import control_requests, incidents
from tests.channels import notify_slack
from tests.core.core_harness import Harness, instant, job
from workers.protocol import Failed

EVERY_MINUTE = job("a", cron="* * * * *")
SLACK = notify_slack("http://127.0.0.1/slack")


def harness_of(*jobs):
    return Harness(*(jobs or (EVERY_MINUTE,)), notify=SLACK)


def minutes(harness, outcomes, each=1):
    """Run `each` minutes per letter: f fails, s succeeds, k is killed, - does not run."""
    for letter in outcomes:
        if letter == "-":
            harness.asks(control_requests.PauseJob("a", None))
        harness.after(minutes=each)
        if letter == "-":
            harness.asks(control_requests.ResumeJob("a"))
        else:
            harness.ends("a", status=int(letter == "f"), signal=9 if letter == "k" else 0)
        harness.delivers()


def sent(harness):
    """Return kind and word of each alert that was not withheld."""
    return [f"{each.kind} {each.word}" for each in harness.alerts if not each.withheld]


def ledger_incidents(harness):
    return list(harness.ledger.incidents.values())


def test_the_first_success_closes_and_says_nothing():
    harness = harness_of()

    minutes(harness, "fs")

    assert harness.incidents("a") == []
    assert harness.status().incidents == ()
    assert sent(harness) == ["exit opened"]


def test_the_second_success_in_a_row_announces_the_recovery():
    harness = harness_of()

    minutes(harness, "ffss")

    assert sent(harness) == ["exit opened", "exit recovered"]
    [recovery] = [each for each in harness.alerts if each.word == "recovered"]
    assert (recovery.count, recovery.lasted_s) == (2, 120.0)


def test_a_failure_after_one_success_opens_the_same_incident_silently():
    harness = harness_of()

    minutes(harness, "fsf")

    [only] = ledger_incidents(harness)
    assert (only.count, only.closed_at, only.recovery_at) == (2, None, None)
    assert [each.id for each in harness.status().incidents] == [only.id]
    assert sent(harness) == ["exit opened"]


def test_fifteen_quiet_minutes_announce_the_recovery():
    harness = harness_of()
    minutes(harness, "fs")

    minutes(harness, "-" * 14)
    before = sent(harness)
    minutes(harness, "-")

    assert before == ["exit opened"]
    assert sent(harness) == ["exit opened", "exit recovered"]


def test_a_failure_after_fifteen_minutes_is_a_new_incident():
    harness = harness_of(job("a", cron="0,1,16 * * * *"))
    for minute, status in (("00:00:59", None), ("00:01", 1), ("00:16", 0), ("01:00", 1)):
        harness.at(minute)
        if status is not None:
            harness.ends("a", status=status)

    assert sent(harness) == ["exit opened", "exit recovered", "exit opened"]


def test_a_job_that_alternates_for_a_day_sends_at_most_eight_messages():
    harness = harness_of(job("a", cron="*/8 * * * *"))

    minutes(harness, "fs" * 90, each=8)
    minutes(harness, "s", each=8)

    assert len(sent(harness)) <= 8
    assert sent(harness) == ["exit opened", "exit reminder", "exit reminder", "exit recovered"]
    [only] = ledger_incidents(harness)
    assert only.count == 90
    assert harness.states("a").count("failed") == 90


def test_two_kinds_that_alternate_send_few_alerts_too():
    harness = harness_of()

    minutes(harness, "fkfs" * 75)

    assert len(sent(harness)) <= 8


def test_a_failure_of_another_kind_keeps_the_recovery_waiting():
    harness = harness_of()

    minutes(harness, "fsks")
    before = sent(harness)
    minutes(harness, "s")

    assert before == ["exit opened", "signal opened"]
    assert sorted(sent(harness)[2:]) == ["exit recovered", "signal recovered"]


def test_a_job_that_is_removed_has_recovered_at_once():
    harness = harness_of(EVERY_MINUTE, job("b"))
    minutes(harness, "fs")

    harness.reloads(job("b"))

    assert sent(harness) == ["exit opened", "exit recovered"]


def test_a_restart_forgets_neither_a_closed_incident_nor_what_it_waits_for():
    harness = harness_of()
    minutes(harness, "fs")
    harness.dies()
    harness.starts("00:02:30")

    minutes(harness, "f")
    again = sent(harness)
    minutes(harness, "s")
    harness.stops()
    harness.starts("00:30")

    assert again == ["exit opened"]
    assert len(ledger_incidents(harness)) == 1
    assert sent(harness) == ["exit opened", "exit recovered"]


def test_a_clock_that_was_put_back_keeps_no_recovery_for_long():
    harness = harness_of(job("a", cron="0 6 * * *"))
    harness.at("06:00")
    harness.ends("a", status=1)
    harness.asks(control_requests.RunJobs(("a",)))
    harness.ends("a")

    harness.clock_is_set_to("2026-01-05 02:00")
    harness.after(minutes=1)

    assert "exit recovered" in sent(harness)


# --- acks ---------------------------------------------------------------------------


def test_an_ack_lasts_for_its_term_over_any_number_of_recoveries():
    harness = harness_of()
    minutes(harness, "f")
    harness.asks(control_requests.AckIncident(1, 3 * 86400.0, "known"))

    minutes(harness, "ssfss" * 60)

    assert sent(harness) == ["exit opened", "exit recovered"]
    assert ledger_incidents(harness)[-1].ack_by == "uid 1000"
    assert ledger_incidents(harness)[-1].ack_reason == "known"
    assert "acknowledged by uid 1000" in {each.withheld for each in harness.alerts}


def test_what_opened_under_an_ack_is_reminded_of_when_the_ack_has_ended():
    harness = harness_of()
    minutes(harness, "f")
    harness.asks(control_requests.AckIncident(1, 7200.0))
    minutes(harness, "ss")
    minutes(harness, "f" * 180)

    assert sent(harness) == ["exit opened", "exit recovered", "exit reminder"]
    assert harness.alerts[-1].at == instant("2026-01-05 02:01")


def test_a_failure_after_the_end_of_the_ack_is_reported_again():
    harness = harness_of()
    minutes(harness, "f")
    harness.asks(control_requests.AckIncident(1, 600.0))

    minutes(harness, "ss" + "s" * 20 + "f")

    assert sent(harness) == ["exit opened", "exit recovered", "exit opened"]


def test_an_ack_of_one_kind_keeps_back_no_other():
    harness = harness_of()
    minutes(harness, "f")
    harness.asks(control_requests.AckIncident(1, 86400.0))

    minutes(harness, "ssk")

    assert sent(harness) == ["exit opened", "exit recovered", "signal opened"]


def test_an_ack_outlives_a_restart_though_nothing_is_open():
    harness = harness_of()
    minutes(harness, "f")
    harness.asks(control_requests.AckIncident(1, 86400.0))
    minutes(harness, "ss")
    harness.dies()
    harness.starts("00:04:30")

    minutes(harness, "f")

    assert sent(harness) == ["exit opened", "exit recovered"]
    assert harness.incidents("a")[0].acked_until == instant("2026-01-06 00:01")


def test_a_closed_incident_that_may_come_back_can_be_acked():
    harness = harness_of()
    minutes(harness, "fs")

    reply = harness.asks(control_requests.AckIncident(1, 86400.0))
    minutes(harness, "ssf")

    assert reply.answer == "ok"
    assert sent(harness) == ["exit opened", "exit recovered"]


# --- incidents of the service -------------------------------------------------------


def test_a_ledger_that_breaks_by_turns_sends_few_alerts():
    harness = harness_of(job("a"))

    for _ in range(60):
        harness.breaks_ledger()
        harness.after(minutes=1)
        harness.fixes_ledger()
        harness.after(minutes=1)

    assert len(sent(harness)) <= 3
    assert ledger_incidents(harness)[0].count == 60


def test_a_text_that_is_fixed_and_spoilt_by_turns_sends_few_alerts():
    harness = harness_of(job("a"))

    for _ in range(60):
        harness.refuses("no")
        harness.after(minutes=1)
        harness.reloads(job("a"))
        harness.after(minutes=1)

    assert len(sent(harness)) <= 3
    assert len(ledger_incidents(harness)) == 1


# --- invariants ---------------------------------------------------------------------

EVENTS = st.lists(
    st.one_of(
        st.text("fsk-", min_size=1, max_size=6),
        st.sampled_from(["ack", "dies", "stops", "long quiet"]),
    ),
    max_size=25,
)


@given(events=EVENTS)
def test_whatever_comes_each_word_is_in_its_place_and_each_failure_is_counted(events):
    harness = harness_of()
    for each in events:
        match each:
            case "ack":
                harness.asks(
                    control_requests.AckIncident(max(harness.ledger.incidents, default=1), 900.0)
                )
            case "dies" | "stops":
                getattr(harness, each)()
                harness.starts(
                    (harness.wall + timedelta(seconds=20)).strftime("%Y-%m-%d %H:%M:%S")
                )
            case "long quiet":
                minutes(harness, "-" * 20)
            case letters:
                minutes(harness, letters)

    failures = harness.states("a").count("failed")
    assert sum(each.count for each in ledger_incidents(harness)) == failures
    for each in ledger_incidents(harness):
        reported = [row for row in harness.alerts if row.incident == each.id]
        assert [row.word for row in reported].count("opened") == 1
        assert reported[0].word == "opened"
        recoveries = [row for row in reported if row.word == "recovered"]
        assert len(recoveries) == (each.closed_at is not None and each.recovery_at is None)
        for row in recoveries:
            assert reported[-1] is row
            assert lasted(harness, row)
    for kind in ("exit", "signal"):
        of_kind = [each for each in ledger_incidents(harness) if each.kind == kind]
        assert sum(each.closed_at is None for each in of_kind) <= 1


def lasted(harness, recovery):
    """Return whether two successes, or 15 minutes without a failure, precede the recovery."""
    ended = [run for run in harness.runs("a") if run.ended_at and run.ended_at <= recovery.at]
    good = [run for run in ended if str(run.state) in ("success", "failed")]
    failed = [run.ended_at for run in good if str(run.state) == "failed"]
    two = [str(run.state) for run in good[-2:]] == ["success", "success"]
    return two or recovery.at - failed[-1] >= incidents.SETTLING


def test_the_cause_of_a_permanent_error_is_a_kind_of_its_own():
    harness = harness_of(job("a", worker="w.f", cron="* * * * *"))
    harness.after(minutes=1)
    harness.says("a", Failed("never", permanent=True))
    harness.ends("a", status=1)

    assert sent(harness) == ["permanent opened"]
