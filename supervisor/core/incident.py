"""Incidents, not messages: when to alert, when to remind, when to close.

Pure. An incident is (job, kind): opened by the first trouble, counted while it
lasts, reminded of after 1 h, 4 h, then daily - and only if it failed again
since - and closed by one recovery. Each function returns the incident as it
now is and the word to send about it, or None.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from supervisor.core.model import Incident, Reason, Severity, replace


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

_FIRST_REMINDERS = (timedelta(hours=1), timedelta(hours=4))
_LATER_REMINDERS = timedelta(days=1)


def opened(
    number: int, job: str, kind: str, cause: str, run: int | None, at: datetime
) -> tuple[Incident, Word]:
    """A new incident and its first word."""
    incident = Incident(
        id=number,
        job=job,
        kind=kind,
        severity=SEVERITY[kind],
        opened_at=at,
        last_at=at,
        cause=cause,
        run=run,
        next_reminder_at=at + _FIRST_REMINDERS[0],
    )
    return incident, Word.OPENED


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
    if incident.count <= incident.reminded_count or _is_silenced(incident, at):
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


def closed(incident: Incident, at: datetime) -> tuple[Incident, Word]:
    """The incident, recovered."""
    return replace(incident, closed_at=at, next_reminder_at=None), Word.RECOVERED


def acked(incident: Incident, until: datetime, by: str, reason: str) -> Incident:
    """The incident, silenced until then."""
    return replace(incident, acked_until=until, ack_by=by, ack_reason=reason)


def _is_silenced(incident: Incident, at: datetime) -> bool:
    return incident.acked_until is not None and at < incident.acked_until


def _next_reminder(opened_at: datetime, at: datetime) -> datetime:
    for step in _FIRST_REMINDERS:
        if opened_at + step > at:
            return opened_at + step
    days = (at - opened_at) // _LATER_REMINDERS + 1
    return opened_at + days * _LATER_REMINDERS
