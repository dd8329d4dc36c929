"""Incidents, not messages: when to alert, when to remind, when to close.

Pure. An incident is (job, kind): opened by the first failure, counted while it
lasts, reminded of after 1 h, 4 h, then daily - and only if it failed again
since - and closed by the first success. Its recovery is announced only after two
successes in a row, or SETTLING without a new failure; a failure before that opens
the same incident again, silently. An ack lasts for its term, also for the next
incident of the same job and kind. Each function returns the incident as it now
is, and the word to send about it, or None.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from supervisor.core.alert_model import Incident
from supervisor.core.model import Reason, Severity, replace


class Word(StrEnum):
    """What an alert says of its incident."""

    OPENED = "opened"
    REMINDER = "reminder"
    RECOVERED = "recovered"


# Kinds beside the reasons of a failed run.
LATE, MISSED, RELOAD = "late", "missed", "reload"
UNKILLABLE, CLOCK, LEDGER = "unkillable", "clock", "ledger"
# A damaged ledger was put aside: its history is in another file. A person's ack ends
# it, or the next start, which has found the new ledger sound.
DAMAGE = "damage"
# Our own code raised. Of a job, its next success ends it; of the service, as with damage.
INTERNAL = Reason.INTERNAL

# Of a clock that was put back by an hour or less it is `warning`.
SEVERITY: dict[str, Severity] = {
    **dict.fromkeys((UNKILLABLE, CLOCK, LEDGER, DAMAGE, INTERNAL), Severity.CRITICAL),
    **dict.fromkeys((LATE, MISSED, RELOAD), Severity.ERROR),
    **dict.fromkeys(
        (
            Reason.EXIT,
            Reason.SIGNAL,
            Reason.TIMEOUT,
            Reason.ERROR,
            Reason.PERMANENT,
            Reason.PROTOCOL,
            Reason.LAUNCH,
        ),
        Severity.ERROR,
    ),
}

# A success of the job mends all of these.
MENDED_BY_SUCCESS = tuple(kind for kind in SEVERITY if kind not in (CLOCK, LEDGER, DAMAGE, RELOAD))

# Incidents of the service that nothing but a look at them, or the next start, ends.
ENDED_BY_ACK = (DAMAGE, INTERNAL)
# How long a closed incident must stay closed before its recovery is announced, if
# no second success comes sooner.
SETTLING = timedelta(minutes=15)
_SUCCESSES = 2

_FIRST_REMINDERS = (timedelta(hours=1), timedelta(hours=4))
_LATER_REMINDERS = timedelta(days=1)


def opened(
    number: int,
    job: str,
    kind: str,
    severity: Severity,
    cause: str,
    run: int | None,
    at: datetime,
) -> tuple[Incident, Word]:
    """A new incident and its first word."""
    incident = Incident(
        id=number,
        job=job,
        kind=kind,
        severity=severity,
        opened_at=at,
        last_at=at,
        cause=cause,
        run=run,
        next_reminder_at=at + _FIRST_REMINDERS[0],
    )
    return incident, Word.OPENED


def inheriting(incident: Incident, before: Incident) -> Incident:
    """A new incident under the ack of the one before it, which keeps back its first alert."""
    return replace(
        incident,
        acked_until=before.acked_until,
        ack_by=before.ack_by,
        ack_reason=before.ack_reason,
        reminded_count=0,
    )


def again(
    incident: Incident, cause: str, run: int | None, at: datetime
) -> tuple[Incident, Word | None]:
    """The same trouble once more; a reminder if one is due."""
    counted = replace(incident, count=incident.count + 1, last_at=at, cause=cause, run=run)
    return remind(counted, at)


def remind(incident: Incident, at: datetime) -> tuple[Incident, Word | None]:
    """A reminder, if it is time and it failed again since the last word."""
    if incident.next_reminder_at is None or at < incident.next_reminder_at:
        return incident, None
    if incident.count <= incident.reminded_count or is_acked(incident, at):
        return incident, None
    reminded = replace(
        incident,
        reminders=incident.reminders + 1,
        reminded_count=incident.count,
        next_reminder_at=_next_reminder(incident.opened_at, at),
    )
    return reminded, Word.REMINDER


def speaks_at(incident: Incident) -> datetime | None:
    """From when on `remind` would speak; None: not before it has failed again."""
    at = incident.next_reminder_at
    if at is None or incident.count <= incident.reminded_count:
        return None
    return at if incident.acked_until is None else max(at, incident.acked_until)


def reopened(
    incident: Incident, cause: str, run: int | None, at: datetime
) -> tuple[Incident, Word | None]:
    """A closed incident whose recovery was not announced, open again."""
    counting = replace(incident, closed_at=None, recovery_at=None, successes=0)
    return again(counting, cause, run, at)


def succeeded(incident: Incident, at: datetime) -> tuple[Incident, Word | None]:
    """The incident after a success: closed by the first, recovered with the second in a row."""
    if incident.closed_at is None:
        return replace(incident, closed_at=at, recovery_at=at + SETTLING, successes=1), None
    if incident.successes + 1 >= _SUCCESSES:
        return recovered(incident, at)
    return replace(incident, successes=incident.successes + 1), None


def unsettled(incident: Incident, at: datetime) -> Incident:
    """A closed incident whose job has failed in another way: its recovery has to wait."""
    return replace(incident, recovery_at=at + SETTLING, successes=0)


def recovered(incident: Incident, at: datetime) -> tuple[Incident, Word]:
    """The incident, closed for good."""
    closed_at = incident.closed_at or at
    over = replace(incident, closed_at=closed_at, recovery_at=None, next_reminder_at=None)
    return over, Word.RECOVERED


def is_settling(incident: Incident) -> bool:
    """Whether it is closed and its recovery is not announced."""
    return incident.recovery_at is not None


def has_settled(incident: Incident, at: datetime) -> bool:
    """Whether its recovery is to be announced now, if no second success has come."""
    due = incident.recovery_at
    # A clock that was put back must not make the wait much longer.
    return due is not None and not due - 2 * SETTLING <= at < due


def is_silent(incident: Incident) -> bool:
    """Whether an ack has kept back all that was to be sent about it."""
    return incident.reminded_count == 0


def acked(incident: Incident, until: datetime, by: str, reason: str) -> Incident:
    """The incident, silenced until then."""
    return replace(incident, acked_until=until, ack_by=by, ack_reason=reason)


def is_acked(incident: Incident, at: datetime) -> bool:
    """Whether an ack silences it at this instant."""
    return incident.acked_until is not None and at < incident.acked_until


def _next_reminder(opened_at: datetime, at: datetime) -> datetime:
    for step in _FIRST_REMINDERS:
        if opened_at + step > at:
            return opened_at + step
    days = (at - opened_at) // _LATER_REMINDERS + 1
    return opened_at + days * _LATER_REMINDERS
