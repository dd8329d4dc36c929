"""A run as a span: pure, a `RunView` in and a `Span` out.

The ids are made of the ledger's id and the run's number, so that a run that is sent
twice is the same span. Attributes have the names of OpenTelemetry's semantic conventions
where these have one (error.type, process.pid, process.exit.code), else `nightshift.*`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from supervisor.core.model import State
from supervisor.core.views import AttemptView, RunView

Attribute = str | int | float | bool
Attributes = tuple[tuple[str, Attribute], ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Two events each: the 128 that OpenTelemetry's span limits allow by default.
MOST_ATTEMPTS = 64
LONGEST_TEXT = 1000
_ERRORS = (State.FAILED, State.INTERRUPTED, State.MISSED)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened during a span, at `at_ns` since 1970."""

    name: str
    at_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """A run that has ended. is_ok: None if it neither succeeded nor failed."""

    trace_id: int
    span_id: int
    name: str
    start_ns: int
    end_ns: int
    is_ok: bool | None
    error: str
    attributes: Attributes
    moments: tuple[Moment, ...]


def span_of(run: RunView, instance: str) -> Span:
    """Return the span of a run that has ended; instance: the id of its ledger.

    It lasts from the start of the first attempt to the end of the last. A run without an
    attempt is at its due time.
    """
    trace_id, span_id = ids(instance, run.id)
    start_ns = _ns(run.started_at or run.due)
    end_ns = max(start_ns, _ns(run.ended_at or run.started_at or run.due))
    is_error = run.state in _ERRORS
    return Span(
        trace_id,
        span_id,
        run.job,
        start_ns,
        end_ns,
        is_ok=True if run.state == State.SUCCESS else False if is_error else None,
        error=run.cause[:LONGEST_TEXT] if is_error else "",
        attributes=_shortened(_of_run(run, is_error)),
        moments=tuple(
            moment for attempt in run.attempts[-MOST_ATTEMPTS:] for moment in _moments(attempt)
        ),
    )


def ids(instance: str, run: int) -> tuple[int, int]:
    """Return the trace id (128 bits) and the span id (64 bits) of a run; neither is 0."""
    digest = hashlib.sha256(f"nightshift\n{instance}\n{run}".encode()).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1


def _of_run(run: RunView, is_error: bool) -> Iterator[tuple[str, Attribute | None]]:
    yield "nightshift.job", run.job
    yield "nightshift.run", run.id
    yield "nightshift.trigger", run.trigger
    yield "nightshift.due", run.due.isoformat()
    yield "nightshift.state", run.state
    yield "nightshift.reason", run.reason
    yield "nightshift.cause", run.cause
    yield "nightshift.attempts", run.attempt
    yield "nightshift.dry_run", run.dry_run or None
    if run.started_at is not None:
        yield "nightshift.wait_seconds", max(0.0, (run.started_at - run.due).total_seconds())
    yield "nightshift.cpu_seconds", run.cpu_seconds
    yield "nightshift.max_rss_bytes", run.max_rss_bytes
    yield "nightshift.strays_killed", len(run.strays) or None
    yield "process.exit.code", run.exit_status
    # As the conventions have it, only of what failed.
    yield "error.type", (run.reason or run.state) if is_error else None


def _moments(attempt: AttemptView) -> Iterator[Moment]:
    begun = (("nightshift.attempt", attempt.number), ("process.pid", attempt.pid))
    yield Moment("attempt.started", _ns(attempt.started_at), _shortened(iter(begun)))
    if attempt.ended_at is not None:
        ended: tuple[tuple[str, Attribute | None], ...] = (
            ("nightshift.attempt", attempt.number),
            ("nightshift.reason", attempt.reason),
            ("nightshift.cause", attempt.cause),
            ("nightshift.cpu_seconds", attempt.cpu_seconds),
            ("nightshift.max_rss_bytes", attempt.max_rss_bytes),
        )
        yield Moment("attempt.ended", _ns(attempt.ended_at), _shortened(iter(ended)))


def _shortened(found: Iterator[tuple[str, Attribute | None]]) -> Attributes:
    """Return what there is, texts cut to LONGEST_TEXT."""
    return tuple(
        (name, value[:LONGEST_TEXT] if isinstance(value, str) else value)
        for name, value in found
        if value is not None and value != ""
    )


def _ns(instant: datetime) -> int:
    """Return nanoseconds since 1970, which a float cannot hold."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000
