"""Spans of runs: times, ids, status and attributes."""

from datetime import UTC, datetime, timedelta

import pytest

from supervisor.core.views import AttemptView, RunView
from supervisor.telemetry.position import MOST_WAITING, Position
from supervisor.telemetry.spans import LONGEST_TEXT, MOST_ATTEMPTS, ids, span_of

DUE = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
NS = 1_000_000_000
DUE_NS = int(DUE.timestamp()) * NS


def after(seconds):
    return DUE + timedelta(seconds=seconds)


def run(**fields):
    given = {
        "id": 41,
        "job": "backup",
        "due": DUE,
        "trigger": "schedule",
        "state": "success",
        "attempt": 1,
        "started_at": after(2),
        "ended_at": after(5.000001),
    }
    return RunView(**{**given, **fields})


def test_a_span_lasts_from_the_first_attempt_to_the_end_to_the_microsecond():
    span = span_of(run(), "abc")

    assert (span.name, span.start_ns, span.end_ns) == (
        "backup",
        DUE_NS + 2 * NS,
        DUE_NS + 5000001000,
    )
    assert span.is_ok is True
    assert dict(span.attributes) == {
        "nightshift.job": "backup",
        "nightshift.run": 41,
        "nightshift.trigger": "schedule",
        "nightshift.due": "2026-01-05T02:00:00+00:00",
        "nightshift.state": "success",
        "nightshift.attempts": 1,
        "nightshift.wait_seconds": 2.0,
    }


def test_the_ids_are_those_of_the_run_in_its_ledger_and_of_no_other():
    found = {ids(instance, number) for instance in ("a", "b", "") for number in range(1, 200)}

    assert len({trace for trace, _ in found}) == len({span for _, span in found}) == 3 * 199
    assert ids("a", 7) == ids("a", 7)
    assert all(0 < trace < 2**128 and 0 < span < 2**64 for trace, span in found)


@pytest.mark.parametrize(
    ("state", "reason", "is_ok", "error"),
    [
        ("failed", "timeout", False, "timeout"),
        ("interrupted", "shutdown", False, "shutdown"),
        ("missed", None, False, "missed"),
        ("cancelled", "person", None, None),
        ("skipped", "overlap", None, None),
        ("a-newer-state", "a-newer-reason", None, None),
    ],
)
def test_what_did_not_succeed_is_an_error_only_if_it_failed(state, reason, is_ok, error):
    span = span_of(run(state=state, reason=reason, cause="why", exit_status=3), "abc")

    assert span.is_ok is is_ok
    assert span.error == ("why" if error else "")
    found = dict(span.attributes)
    assert found.get("error.type") == error
    assert (found["nightshift.cause"], found["process.exit.code"]) == ("why", 3)


def test_a_run_without_an_attempt_is_at_its_due_time():
    span = span_of(run(state="skipped", started_at=None, ended_at=None, attempt=0), "abc")

    assert (span.start_ns, span.end_ns, span.moments) == (DUE_NS, DUE_NS, ())
    assert "nightshift.wait_seconds" not in dict(span.attributes)


def test_a_clock_that_was_put_back_makes_no_span_of_negative_length():
    span = span_of(run(started_at=after(5), ended_at=after(1)), "abc")

    assert span.start_ns == span.end_ns


def test_each_attempt_is_two_events_and_the_newest_are_kept():
    attempts = tuple(
        AttemptView(
            number=number,
            pid=100 + number,
            started_at=after(number),
            ended_at=None if number == 100 else after(number + 0.5),
            reason="exit",
            cause="exit status 1",
        )
        for number in range(1, 101)
    )

    moments = span_of(run(attempts=attempts, attempt=100), "abc").moments

    assert len(moments) == 2 * MOST_ATTEMPTS - 1
    assert moments[0].name == "attempt.started"
    assert dict(moments[0].attributes) == {"nightshift.attempt": 37, "process.pid": 137}
    assert moments[1].at_ns == DUE_NS + int(37.5 * NS)
    assert dict(moments[1].attributes)["nightshift.cause"] == "exit status 1"


def test_a_long_cause_is_cut():
    span = span_of(run(state="failed", cause="x" * 10**6), "abc")

    assert len(span.error) == LONGEST_TEXT
    assert (
        max(len(value) for _, value in span.attributes if isinstance(value, str)) == LONGEST_TEXT
    )


def test_the_position_keeps_what_is_still_to_be_sent():
    position = Position("abc", 10, frozenset({4})).reaching(12).without(frozenset({11}))

    assert position == Position("abc", 12, frozenset({4, 12}))
    assert position.reaching(3) == position


def test_the_position_is_bounded_and_gives_up_the_oldest():
    position = Position("abc", 10, frozenset({4})).reaching(10**9)

    assert len(position.waiting) == MOST_WAITING
    assert (min(position.waiting), max(position.waiting)) == (10**9 - MOST_WAITING + 1, 10**9)
