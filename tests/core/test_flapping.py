"""Flapping jobs: few messages, one incident, and every run in the ledger."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core import control_requests, incidents
from supervisor.core.model import Notify
from tests.core.core_harness import Night, instant, job
from workers.protocol import Failed

EVERY_MINUTE = job("a", cron="* * * * *")
SLACK = Notify("http://127.0.0.1/slack")


def night_of(*jobs):
    return Night(*(jobs or (EVERY_MINUTE,)), notify=SLACK)


def minutes(night, outcomes):
    """Run one minute per letter: f fails, s succeeds, k is killed, - does not run."""
    for letter in outcomes:
        if letter == "-":
            night.asks(control_requests.PauseJob("a", None))
        night.after(minutes=1)
        if letter == "-":
            night.asks(control_requests.ResumeJob("a"))
        else:
            night.ends("a", status=int(letter == "f"), signal=9 if letter == "k" else 0)
        night.delivers()


def sent(night):
    """Return kind and word of each alert that was not withheld."""
    return [f"{each.kind} {each.word}" for each in night.ledger.alerts if not each.withheld]


def ledger_incidents(night):
    return list(night.ledger.incidents.values())


def test_the_first_success_closes_and_says_nothing():
    night = night_of()

    minutes(night, "fs")

    assert night.incidents("a") == []
    assert night.status().incidents == ()
    assert sent(night) == ["exit opened"]


def test_the_second_success_in_a_row_announces_the_recovery():
    night = night_of()

    minutes(night, "ffss")

    assert sent(night) == ["exit opened", "exit recovered"]
    [recovery] = [each for each in night.ledger.alerts if each.word == "recovered"]
    assert (recovery.count, recovery.lasted_s) == (2, 120.0)


def test_a_failure_after_one_success_opens_the_same_incident_silently():
    night = night_of()

    minutes(night, "fsf")

    [only] = ledger_incidents(night)
    assert (only.count, only.closed_at, only.recovery_at) == (2, None, None)
    assert [each.id for each in night.status().incidents] == [only.id]
    assert sent(night) == ["exit opened"]


def test_fifteen_quiet_minutes_announce_the_recovery():
    night = night_of()
    minutes(night, "fs")

    minutes(night, "-" * 14)
    before = sent(night)
    minutes(night, "-")

    assert before == ["exit opened"]
    assert sent(night) == ["exit opened", "exit recovered"]


def test_a_failure_after_fifteen_minutes_is_a_new_incident():
    night = night_of(job("a", cron="0,1,16 * * * *"))
    for minute, status in (("00:00:59", None), ("00:01", 1), ("00:16", 0), ("01:00", 1)):
        night.at(minute)
        if status is not None:
            night.ends("a", status=status)

    assert sent(night) == ["exit opened", "exit recovered", "exit opened"]


def test_a_job_that_alternates_each_minute_for_a_day_sends_at_most_eight_messages():
    night = night_of()

    minutes(night, "fs" * 720)
    minutes(night, "s")

    assert len(sent(night)) <= 8
    assert sent(night) == ["exit opened", "exit reminder", "exit reminder", "exit recovered"]
    [only] = ledger_incidents(night)
    assert only.count == 720
    assert night.states("a").count("failed") == 720


def test_two_kinds_that_alternate_are_no_storm_either():
    night = night_of()

    minutes(night, "fkfs" * 360)

    assert len(sent(night)) <= 8


def test_a_failure_of_another_kind_keeps_the_recovery_waiting():
    night = night_of()

    minutes(night, "fsks")
    before = sent(night)
    minutes(night, "s")

    assert before == ["exit opened", "signal opened"]
    assert sorted(sent(night)[2:]) == ["exit recovered", "signal recovered"]


def test_a_job_that_is_removed_has_recovered_at_once():
    night = night_of(EVERY_MINUTE, job("b"))
    minutes(night, "fs")

    night.reloads(job("b"))

    assert sent(night) == ["exit opened", "exit recovered"]


def test_a_restart_forgets_neither_a_closed_incident_nor_what_it_waits_for():
    night = night_of()
    minutes(night, "fs")
    night.dies()
    night.starts("00:02:30")

    minutes(night, "f")
    again = sent(night)
    minutes(night, "s")
    night.stops()
    night.starts("00:30")

    assert again == ["exit opened"]
    assert len(ledger_incidents(night)) == 1
    assert sent(night) == ["exit opened", "exit recovered"]


def test_a_clock_that_was_put_back_keeps_no_recovery_for_long():
    night = night_of(job("a", cron="0 6 * * *"))
    night.at("06:00")
    night.ends("a", status=1)
    night.asks(control_requests.RunJobs(("a",)))
    night.ends("a")

    night.clock_is_set_to("2026-01-05 02:00")
    night.after(minutes=1)

    assert "exit recovered" in sent(night)


# --- acks ---------------------------------------------------------------------------


def test_an_ack_lasts_for_its_term_over_any_number_of_recoveries():
    night = night_of()
    minutes(night, "f")
    night.asks(control_requests.AckIncident(1, 3 * 86400.0, "known"))

    minutes(night, "ssfss" * 300)

    assert sent(night) == ["exit opened", "exit recovered"]
    assert ledger_incidents(night)[-1].ack_by == "uid 1000"
    assert ledger_incidents(night)[-1].ack_reason == "known"
    assert "acknowledged by uid 1000" in {each.withheld for each in night.ledger.alerts}


def test_what_opened_under_an_ack_is_reminded_of_when_the_ack_has_ended():
    night = night_of()
    minutes(night, "f")
    night.asks(control_requests.AckIncident(1, 7200.0))
    minutes(night, "ss")
    minutes(night, "f" * 180)

    assert sent(night) == ["exit opened", "exit recovered", "exit reminder"]
    assert night.ledger.alerts[-1].at == instant("2026-01-05 02:01")


def test_a_failure_after_the_end_of_the_ack_is_told_again():
    night = night_of()
    minutes(night, "f")
    night.asks(control_requests.AckIncident(1, 600.0))

    minutes(night, "ss" + "s" * 20 + "f")

    assert sent(night) == ["exit opened", "exit recovered", "exit opened"]


def test_an_ack_of_one_kind_keeps_back_no_other():
    night = night_of()
    minutes(night, "f")
    night.asks(control_requests.AckIncident(1, 86400.0))

    minutes(night, "ssk")

    assert sent(night) == ["exit opened", "exit recovered", "signal opened"]


def test_an_ack_outlives_a_restart_though_nothing_is_open():
    night = night_of()
    minutes(night, "f")
    night.asks(control_requests.AckIncident(1, 86400.0))
    minutes(night, "ss")
    night.dies()
    night.starts("00:04:30")

    minutes(night, "f")

    assert sent(night) == ["exit opened", "exit recovered"]
    assert night.incidents("a")[0].acked_until == instant("2026-01-06 00:01")


def test_a_closed_incident_that_may_come_back_can_be_acked():
    night = night_of()
    minutes(night, "fs")

    reply = night.asks(control_requests.AckIncident(1, 86400.0))
    minutes(night, "ssf")

    assert reply.answer == "ok"
    assert sent(night) == ["exit opened", "exit recovered"]


# --- what is not a job's ------------------------------------------------------------


def test_a_ledger_that_breaks_by_turns_is_no_storm():
    night = night_of(job("a"))

    for _ in range(60):
        night.breaks_ledger()
        night.after(minutes=1)
        night.mends_ledger()
        night.after(minutes=1)

    assert len(sent(night)) <= 3
    assert ledger_incidents(night)[0].count == 60


def test_a_text_that_is_mended_and_spoilt_by_turns_is_no_storm():
    night = night_of(job("a"))

    for _ in range(60):
        night.refuses("no")
        night.after(minutes=1)
        night.reloads(job("a"))
        night.after(minutes=1)

    assert len(sent(night)) <= 3
    assert len(ledger_incidents(night)) == 1


# --- invariants ---------------------------------------------------------------------

WEATHER = st.lists(
    st.one_of(
        st.text("fsk-", min_size=1, max_size=6),
        st.sampled_from(["ack", "dies", "stops", "long quiet"]),
    ),
    max_size=25,
)


@given(weather=WEATHER)
@settings(deadline=None, max_examples=60)
def test_whatever_comes_each_word_is_in_its_place_and_each_failure_is_counted(weather):
    night = night_of()
    for each in weather:
        match each:
            case "ack":
                night.asks(
                    control_requests.AckIncident(max(night.ledger.incidents, default=1), 900.0)
                )
            case "dies" | "stops":
                getattr(night, each)()
                night.starts((night.wall + timedelta(seconds=20)).strftime("%Y-%m-%d %H:%M:%S"))
            case "long quiet":
                minutes(night, "-" * 20)
            case letters:
                minutes(night, letters)

    failures = night.states("a").count("failed")
    assert sum(each.count for each in ledger_incidents(night)) == failures
    for each in ledger_incidents(night):
        told = [row for row in night.ledger.alerts if row.incident == each.id]
        assert [row.word for row in told].count("opened") == 1
        assert told[0].word == "opened"
        recoveries = [row for row in told if row.word == "recovered"]
        assert len(recoveries) == (each.closed_at is not None and each.recovery_at is None)
        for row in recoveries:
            assert told[-1] is row
            assert lasted(night, row)
    for kind in ("exit", "signal"):
        of_kind = [each for each in ledger_incidents(night) if each.kind == kind]
        assert sum(each.closed_at is None for each in of_kind) <= 1


def lasted(night, recovery):
    """Return whether two successes, or 15 minutes without a failure, precede the recovery."""
    ended = [run for run in night.runs("a") if run.ended_at and run.ended_at <= recovery.at]
    good = [run for run in ended if str(run.state) in ("success", "failed")]
    failed = [run.ended_at for run in good if str(run.state) == "failed"]
    two = [str(run.state) for run in good[-2:]] == ["success", "success"]
    return two or recovery.at - failed[-1] >= incidents.SETTLING


def test_the_cause_of_a_permanent_error_is_a_kind_of_its_own():
    night = night_of(job("a", worker="w.f", cron="* * * * *"))
    night.after(minutes=1)
    night.says("a", Failed("never", permanent=True))
    night.ends("a", status=1)

    assert sent(night) == ["permanent opened"]
