"""The outbox of a channel: which alerts wait, how they are folded, when to retry.

Pure. Alerts leave in order: none is sent before an older one of the channel. While the
channel does not respond, alerts that a later one makes redundant are folded into it. So
the number of waiting alerts is bounded by channels, jobs and kinds, not by the length of
the outage. `alert_delivery.py` applies these rules.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Channel, Job, Severity
from supervisor.core.incidents import AlertKind
from supervisor.core.model import replace

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

Waiting = tuple[Alert, ...]


class Outbox(Struct, frozen=True):
    """What waits for one channel.

    waiting: alerts, oldest first. sending: ids of those being sent.
    deliver_at: the channel is not tried before this, in monotonic seconds.
    is_held: alerts wait for the end of its quiet hours.
    delivered_at: when it last accepted a message since the start.
    """

    waiting: Waiting = ()
    sending: tuple[int, ...] = ()
    deliver_at: float | None = None
    is_held: bool = False
    delivered_at: datetime | None = None

    @property
    def is_untried(self) -> bool:
        """Return whether the oldest alert could be sent and was never tried."""
        return bool(self.waiting) and not self.waiting[0].attempts and not self.is_held


def alert(number: int, incident: Incident, word: AlertKind, at: datetime, channel: str) -> Alert:
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
        channel=channel,
    )


def with_filter_applied(row: Alert, channel: Channel | None, job: Job | None) -> Alert:
    """Return the alert, withheld if the channel is not to get it.

    channel: None: there is none of this name any more.
    job: the definition of its job; None: the service itself, or a job that was removed.
    """
    if channel is None:
        return replace(row, withheld=f"channel {row.channel} is not configured any more")
    if row.word == AlertKind.SUMMARY:
        return row if channel.summary else replace(row, withheld="the channel gets no summary")
    least = channel.min_severity
    if _SEVERITY_ORDER[row.severity] < _SEVERITY_ORDER[least]:
        return replace(row, withheld=f"{row.severity} is below {least}")
    if not _is_about(row, channel, job):
        what = row.job or "the service itself"
        return replace(row, withheld=f"channel {channel.name} is not for {what}")
    return row


def _is_about(row: Alert, channel: Channel, job: Job | None) -> bool:
    if not (channel.jobs or channel.groups) or row.job in channel.jobs:
        return True
    if job is None:  # the group of a removed job is not known
        return bool(row.job and channel.groups)
    return job.exclusive is not None and job.exclusive in channel.groups


def add(waiting: Waiting, new: Alert, sending: Collection[int]) -> tuple[Waiting, list[Alert]]:
    """Return the outbox with a new alert, and the rows to record.

    sending: ids of alerts that are being sent; those are never folded.
    """
    if new.withheld:
        return waiting, [new]
    idle = _idle([row for row in waiting if row.id not in sending], new)
    new = replace(new, folded=sum(1 + row.folded for row in idle))
    if new.word == AlertKind.SUMMARY:
        new = _covering(new, idle)
    rows = [replace(row, withheld=f"folded into alert {new.id}") for row in idle]
    gone = {row.id for row in idle}
    return (*(row for row in waiting if row.id not in gone), new), [*rows, new]


def folded(waiting: Waiting) -> tuple[Waiting, list[Alert]]:
    """Return what is left of alerts that were held back, and the rows to record.

    An incident that came and went meanwhile becomes its recovery alone.
    """
    over = {row.incident: row.id for row in waiting if row.word == AlertKind.RECOVERED}
    earlier = [row for row in waiting if row.id < over.get(row.incident, 0)]
    unheard = {row.incident for row in earlier if row.word == AlertKind.OPENED}
    rows, stands_for = list[Alert](), Counter[int]()
    for row in earlier:
        if row.incident in unheard:
            last = over[row.incident]
            rows.append(replace(row, withheld=f"folded into alert {last}"))
            stands_for[last] += 1 + row.folded
    gone, left = {row.id for row in rows}, list[Alert]()
    for row in waiting:
        if stands_for[row.id]:
            row = replace(row, folded=row.folded + stands_for[row.id])
            rows.append(row)
        if row.id not in gone:
            left.append(row)
    return tuple(left), rows


def retry_delay_s(failures: int, refused: bool, retry_after_s: float | None) -> float:
    """Return the seconds to the next try after `failures` in a row (at least one).

    refused: the channel itself refused the alert, so a quick retry would not help.
    """
    if refused or failures > len(QUICK_S) + STEADY_TIMES:
        pace = SLOW_S
    else:
        pace = QUICK_S[failures - 1] if failures <= len(QUICK_S) else STEADY_S
    return max(pace, min(retry_after_s or 0.0, LONGEST_DELAY_S))


def _covering(summary: Alert, folded: list[Alert]) -> Alert:
    """Return the summary with the periods of those that are folded into it."""
    begins = [row.at - timedelta(seconds=row.lasted_s) for row in (summary, *folded)]
    return replace(summary, lasted_s=(summary.at - min(begins)).total_seconds())


def _idle(waiting: list[Alert], new: Alert) -> list[Alert]:
    """Return the waiting alerts that `new` makes redundant."""
    same = [row for row in waiting if (row.job, row.kind) == (new.job, new.kind)]
    if new.word == AlertKind.SUMMARY:
        return same
    if new.word == AlertKind.OPENED:  # incidents that came and went undelivered
        over = {row.incident for row in same if row.word == AlertKind.RECOVERED}
        unheard = {row.incident for row in same if row.word == AlertKind.OPENED}
        return [row for row in same if row.incident in over & unheard]
    return [row for row in same if row.word == AlertKind.REMINDER and row.incident == new.incident]
