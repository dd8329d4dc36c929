"""Incident lifecycle: when to open, remind, close and reopen.

Pure. An incident is identified by (job, kind). The first failure opens it, and
further failures are counted. Reminders are due after 1 h, 4 h, then daily, and
only if it failed again since the last alert. The first success closes it. The
recovery is announced only after two successes in a row, or after SETTLING without a
new failure. A failure before that reopens the incident without an `opened` alert.
An ack lasts until its end, also for the next incident of the same job and kind.
Functions return the changed incident, and the kind of alert to send or None.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from supervisor.core.alert_model import Incident
from supervisor.core.config_model import Severity
from supervisor.core.model import Reason, replace


class AlertKind(StrEnum):
    """Kind of an alert; all but the last are about an incident."""

    OPENED = "opened"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    SUMMARY = "summary"


# Kinds of incident other than the reasons of a failed run.
LATE, MISSED, RELOAD = "late", "missed", "reload"
UNKILLABLE, CLOCK, LEDGER = "unkillable", "clock", "ledger"
# A worker succeeded and reported that a part of its work failed (`problem` in its result).
PARTIAL = "partial"
# No host of the cluster took an attempt.
NO_HOST = "no_host"
# A copy of a backup could not be restored for practice: a worker's failure of this kind.
DRILL = "drill"
# A damaged ledger was moved aside, so its history is in another file. An ack ends the
# incident, or the next start, which has checked the new ledger.
DAMAGE = "damage"
# The supervisor's own code raised an exception. A job's incident ends with its next
# success, the service's like DAMAGE.
INTERNAL = Reason.INTERNAL

# CLOCK is a `warning` if the clock was put back by an hour or less (see tick.py).
SEVERITY: dict[str, Severity] = {
    **dict.fromkeys((UNKILLABLE, CLOCK, LEDGER, DAMAGE, INTERNAL), Severity.CRITICAL),
    **dict.fromkeys((LATE, MISSED, RELOAD, PARTIAL, DRILL, NO_HOST), Severity.ERROR),
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

# Kinds that a success of the job closes; PARTIAL only if it reports no problem.
CLOSED_BY_SUCCESS = tuple(kind for kind in SEVERITY if kind not in (CLOCK, LEDGER, DAMAGE, RELOAD))

# Kinds that a worker may give its failure, instead of the reason of the run.
REPORTED = (DRILL,)

# Incidents of the service that end only with an ack or the next start.
ENDED_BY_ACK = (DAMAGE, INTERNAL)
# How long an incident must stay closed before its recovery is announced, if no second
# success comes sooner.
SETTLING = timedelta(minutes=15)
_SUCCESSES = 2

_FIRST_REMINDERS = (timedelta(hours=1), timedelta(hours=4))
_LATER_REMINDERS = timedelta(days=1)


def open_new(
    number: int,
    job: str,
    kind: str,
    severity: Severity,
    cause: str,
    run: int | None,
    at: datetime,
) -> tuple[Incident, AlertKind]:
    """Return a new incident and the kind of its first alert."""
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
    return incident, AlertKind.OPENED


def inheriting(incident: Incident, before: Incident) -> Incident:
    """Return a new incident under the ack of its predecessor; its first alert is withheld."""
    return replace(
        incident,
        acked_until=before.acked_until,
        ack_by=before.ack_by,
        ack_reason=before.ack_reason,
        reminded_count=0,
    )


def repeat(
    incident: Incident, cause: str, run: int | None, at: datetime
) -> tuple[Incident, AlertKind | None]:
    """Count one more failure, and return the incident with a reminder if one is due."""
    counted = replace(incident, count=incident.count + 1, last_at=at, cause=cause, run=run)
    return remind(counted, at)


def remind(incident: Incident, at: datetime) -> tuple[Incident, AlertKind | None]:
    """Return a reminder if it is time and the incident failed again since the last alert."""
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
    return reminded, AlertKind.REMINDER


def next_alert_at(incident: Incident) -> datetime | None:
    """Return when `remind` can return a reminder; None: not before the next failure."""
    at = incident.next_reminder_at
    if at is None or incident.count <= incident.reminded_count:
        return None
    return at if incident.acked_until is None else max(at, incident.acked_until)


def reopened(
    incident: Incident, cause: str, run: int | None, at: datetime
) -> tuple[Incident, AlertKind | None]:
    """Reopen a closed incident whose recovery was not announced."""
    counting = replace(incident, closed_at=None, recovery_at=None, successes=0)
    return repeat(counting, cause, run, at)


def succeeded(incident: Incident, at: datetime) -> tuple[Incident, AlertKind | None]:
    """Return the incident after a success: the first closes it, the second recovers it."""
    if incident.closed_at is None:
        return replace(incident, closed_at=at, recovery_at=at + SETTLING, successes=1), None
    if incident.successes + 1 >= _SUCCESSES:
        return recovered(incident, at)
    return replace(incident, successes=incident.successes + 1), None


def unsettled(incident: Incident, at: datetime) -> Incident:
    """Restart the settling of a closed incident whose job failed in another way."""
    return replace(incident, recovery_at=at + SETTLING, successes=0)


def recovered(incident: Incident, at: datetime) -> tuple[Incident, AlertKind]:
    """Return the incident closed for good, and the recovery alert."""
    closed_at = incident.closed_at or at
    over = replace(incident, closed_at=closed_at, recovery_at=None, next_reminder_at=None)
    return over, AlertKind.RECOVERED


def is_settling(incident: Incident) -> bool:
    """Return whether the incident is closed and its recovery not announced yet."""
    return incident.recovery_at is not None


def has_settled(incident: Incident, at: datetime) -> bool:
    """Return whether the recovery is due now without a second success."""
    due = incident.recovery_at
    # If the clock was put back, the wait must not become much longer.
    return due is not None and not due - 2 * SETTLING <= at < due


def is_silent(incident: Incident) -> bool:
    """Return whether an ack has withheld every alert of the incident so far."""
    return incident.reminded_count == 0


def acknowledge(incident: Incident, until: datetime, by: str, reason: str) -> Incident:
    """Return the incident with its alerts silenced until `until`."""
    return replace(incident, acked_until=until, ack_by=by, ack_reason=reason)


def is_acked(incident: Incident, at: datetime) -> bool:
    """Return whether an ack silences the incident at this instant."""
    return incident.acked_until is not None and at < incident.acked_until


def _next_reminder(opened_at: datetime, at: datetime) -> datetime:
    for step in _FIRST_REMINDERS:
        if opened_at + step > at:
            return opened_at + step
    days = (at - opened_at) // _LATER_REMINDERS + 1
    return opened_at + days * _LATER_REMINDERS
