"""The outbox: which alerts wait for delivery, how they are folded, when to retry.

Pure. Alerts leave in order: none is sent before an older one. While the channel does
not respond, alerts that a later one makes redundant are folded into it. So the number
of waiting alerts is bounded by jobs and kinds, not by the length of the outage.
`alert_delivery.py` applies these rules.
"""

from collections.abc import Collection
from datetime import datetime

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.incidents import AlertKind
from supervisor.core.model import Notify, Severity, replace

# Maximum number of alerts in one delivery.
BATCH = 10
# Delays after the first and second consecutive failure; then STEADY_S for ten minutes,
# then SLOW_S.
QUICK_S = (5.0, 15.0)
STEADY_S = 30.0
STEADY_TIMES = 20
SLOW_S = 300.0
# A channel may ask for a longer delay than that, up to this.
LONGEST_DELAY_S = 3600.0

_SEVERITY_ORDER = {severity: place for place, severity in enumerate(Severity)}

Outbox = tuple[Alert, ...]


def alert(number: int, incident: Incident, word: AlertKind, at: datetime) -> Alert:
    """Return an alert about the current state of an incident."""
    return Alert(
        id=number,
        incident=incident.id,
        word=word,
        severity=incident.severity,
        job=incident.job,
        kind=incident.kind,
        cause=incident.cause,
        count=incident.count,
        run=incident.run,
        at=at,
        lasted_s=((incident.closed_at or at) - incident.opened_at).total_seconds(),
    )


def with_filter_applied(row: Alert, notify: Notify) -> Alert:
    """Return the alert, withheld if there is no channel or its severity is too low."""
    if notify.channel is None:
        return replace(row, withheld="no channel is configured")
    least = notify.channel.min_severity
    if _SEVERITY_ORDER[row.severity] < _SEVERITY_ORDER[least]:
        return replace(row, withheld=f"{row.severity} is below {least}")
    return row


def add(waiting: Outbox, new: Alert, sending: Collection[int]) -> tuple[Outbox, list[Alert]]:
    """Return the outbox with a new alert, and the rows to record.

    sending: ids of alerts that are being sent; those are never folded.
    """
    if new.withheld:
        return waiting, [new]
    idle = _idle([row for row in waiting if row.id not in sending], new)
    new = replace(new, folded=sum(1 + row.folded for row in idle))
    folded = [replace(row, withheld=f"folded into alert {new.id}") for row in idle]
    gone = {row.id for row in idle}
    return (*(row for row in waiting if row.id not in gone), new), [*folded, new]


def retry_delay_s(failures: int, refused: bool, retry_after_s: float | None) -> float:
    """Return the seconds to the next try after `failures` in a row (at least one).

    refused: the channel itself refused the alert, so a quick retry would not help.
    """
    if refused or failures > len(QUICK_S) + STEADY_TIMES:
        pace = SLOW_S
    else:
        pace = QUICK_S[failures - 1] if failures <= len(QUICK_S) else STEADY_S
    return max(pace, min(retry_after_s or 0.0, LONGEST_DELAY_S))


def _idle(waiting: list[Alert], new: Alert) -> list[Alert]:
    """Return the waiting alerts that `new` makes redundant."""
    same = [row for row in waiting if (row.job, row.kind) == (new.job, new.kind)]
    if new.word == AlertKind.OPENED:  # incidents that came and went undelivered
        over = {row.incident for row in same if row.word == AlertKind.RECOVERED}
        unheard = {row.incident for row in same if row.word == AlertKind.OPENED}
        return [row for row in same if row.incident in over & unheard]
    return [row for row in same if row.word == AlertKind.REMINDER and row.incident == new.incident]
