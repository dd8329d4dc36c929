"""Outbox: folding, withholding, and the delay after failed deliveries."""

from datetime import UTC, datetime, timedelta

import pytest

from supervisor.core import incidents, outbox
from supervisor.core.config_model import Job, Severity
from supervisor.core.incidents import AlertKind
from tests.channels import channel

AT = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
OPENED, REMINDER, RECOVERED = AlertKind.OPENED, AlertKind.REMINDER, AlertKind.RECOVERED


def row(number, about, word, job="a", kind="exit"):
    """Return alert `number` about incident `about`."""
    opened, _ = incidents.open_new(about, job, kind, Severity.ERROR, "exit status 1", None, AT)
    return outbox.alert(number, opened, word, AT + timedelta(minutes=number), "ops")


def waiting(*words, sending=()):
    """Return (waiting ids, folded ids, folded count of the last) for these (incident, word)s."""
    rows, changed = (), {}
    for number, (about, word) in enumerate(words, 1):
        rows, recorded = outbox.add(rows, row(number, about, word), sending)
        changed |= {each.id: each for each in recorded}
    folded = [each.id for each in changed.values() if each.withheld]
    return [each.id for each in rows], sorted(folded), rows[-1].folded


def test_reminders_of_one_incident_are_folded_into_the_newest():
    ids, folded, stands_for = waiting((1, OPENED), (1, REMINDER), (1, REMINDER), (1, REMINDER))

    assert (ids, folded, stands_for) == ([1, 4], [2, 3], 2)


def test_a_recovery_makes_waiting_reminders_idle_and_keeps_the_opening():
    ids, folded, _ = waiting((1, OPENED), (1, REMINDER), (1, RECOVERED))

    assert (ids, folded) == ([1, 3], [2])


def test_a_problem_that_came_and_went_in_the_silence_is_folded_into_the_next():
    ids, folded, stands_for = waiting(
        (1, OPENED), (1, RECOVERED), (2, OPENED), (2, RECOVERED), (3, OPENED)
    )

    assert (ids, folded, stands_for) == ([5], [1, 2, 3, 4], 4)


def test_a_recovery_from_what_was_reported_is_reported():
    ids, folded, _ = waiting((1, RECOVERED), (2, OPENED))

    assert (ids, folded) == ([1, 2], [])


def test_what_is_on_its_way_is_not_folded():
    ids, folded, _ = waiting((1, OPENED), (1, REMINDER), (1, REMINDER), sending={1, 2})

    assert (ids, folded) == ([1, 2, 3], [])


def test_what_waits_is_bounded_however_long_nobody_answers():
    flapping = [(n // 3, (OPENED, REMINDER, RECOVERED)[n % 3]) for n in range(3000)]

    ids, folded, _ = waiting((0, RECOVERED), *flapping)

    assert len(ids) <= 3
    assert len(ids) + len(folded) == 3001


@pytest.mark.parametrize(("job", "kind"), [("b", "exit"), ("a", "timeout")])
def test_another_job_or_kind_folds_nothing(job, kind):
    rows, _ = outbox.add((row(1, 1, REMINDER),), row(2, 1, REMINDER, job, kind), ())

    assert [each.id for each in rows] == [1, 2]


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (channel("ops"), ""),
        (channel("ops", min_severity=Severity.INFO), ""),
        (channel("ops", min_severity=Severity.CRITICAL), "error is below critical"),
        (None, "channel ops is not configured any more"),
        (channel("ops", jobs=("a",)), ""),
        (channel("ops", jobs=("b",)), "channel ops is not for a"),
        (channel("ops", groups=("nas",)), ""),
        (channel("ops", groups=("db",)), "channel ops is not for a"),
        (channel("ops", jobs=("b",), groups=("nas",)), ""),
        (channel("ops", jobs=("a",), groups=("db",)), ""),
    ],
)
def test_what_a_channel_is_not_to_get_says_why(to, why):
    job = Job("a", 0, argv=("x",), exclusive="nas")

    assert outbox.with_filter_applied(row(1, 1, OPENED), to, job).withheld == why


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (channel("ops"), ""),
        (channel("ops", jobs=("a",)), "channel ops is not for the service itself"),
        (channel("ops", groups=("nas",)), "channel ops is not for the service itself"),
    ],
)
def test_a_channel_for_some_jobs_gets_nothing_about_the_service_itself(to, why):
    about_it = row(1, 1, OPENED, job="", kind="ledger")

    assert outbox.with_filter_applied(about_it, to, None).withheld == why


def test_a_channel_for_a_group_gets_what_is_left_of_a_removed_job():
    to = channel("ops", groups=("nas",))

    assert outbox.with_filter_applied(row(1, 1, RECOVERED), to, None).withheld == ""


def test_a_withheld_alert_is_recorded_and_does_not_wait():
    quiet = outbox.with_filter_applied(row(1, 1, OPENED), None, None)

    assert outbox.add((), quiet, ()) == ((), [quiet])


def held_back(*words):
    """Return (id, folded count) of the alerts sent after quiet hours, and the ids left out."""
    rows = tuple(row(number, about, word) for number, (about, word) in enumerate(words, 1))
    kept, changed = outbox.folded(rows)
    left_out = {each.id: each.withheld for each in changed if each.withheld}
    return [(each.id, each.folded) for each in kept], left_out


def test_what_came_and_went_while_held_back_becomes_its_recovery():
    kept, left_out = held_back((1, OPENED), (2, OPENED), (1, REMINDER), (1, RECOVERED))

    assert kept == [(2, 0), (4, 2)]
    assert left_out == {1: "folded into alert 4", 3: "folded into alert 4"}


@pytest.mark.parametrize(
    "words",
    [
        ((1, RECOVERED),),
        ((1, REMINDER), (1, RECOVERED)),
        ((1, OPENED), (2, RECOVERED)),
        ((1, OPENED), (1, REMINDER)),
    ],
)
def test_what_the_channel_knows_of_is_not_folded(words):
    kept, left_out = held_back(*words)

    assert [number for number, _ in kept] == list(range(1, len(words) + 1))
    assert left_out == {}


def test_the_pace_is_quick_then_steady_for_ten_minutes_then_slow():
    paces = [outbox.retry_delay_s(failures, False, None) for failures in range(1, 26)]

    assert paces == [5, 15, *[30] * 20, 300, 300, 300]


@pytest.mark.parametrize(
    ("failures", "refused", "retry_after", "pace"),
    [
        (1, False, 2.0, 5.0),
        (1, False, 90.0, 90.0),
        (30, False, 90.0, 300.0),
        (1, False, 1e12, 3600.0),
        (1, True, None, 300.0),
        (1, True, 900.0, 900.0),
    ],
)
def test_a_channel_may_ask_for_patience_within_reason(failures, refused, retry_after, pace):
    assert outbox.retry_delay_s(failures, refused, retry_after) == pace


def test_an_endless_row_of_failures_stays_slow():
    assert outbox.retry_delay_s(10**9, False, None) == 300
