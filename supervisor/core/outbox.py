"""The outbox: what waits to be delivered, what is folded meanwhile, at what pace it is tried.

Pure. Order is the law: an alert leaves only after all that stood before it. While
nobody answers, words that a later one makes idle are folded into it, so that what
waits is bounded by jobs and kinds, not by the length of the silence.
"""

from collections.abc import Collection
from datetime import datetime

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.incident import Word
from supervisor.core.model import Notify, Severity, replace

# At most so many alerts go out in one journey.
BATCH = 10
# Waits after the first, second, ... failure in a row; then STEADY_S for ten minutes.
QUICK_S = (5.0, 15.0)
STEADY_S = 30.0
STEADY_TIMES = 20
SLOW_S = 300.0
# A channel may ask for more patience than that, within reason.
MOST_PATIENCE_S = 3600.0

_LOUDNESS = {severity: place for place, severity in enumerate(Severity)}

Outbox = tuple[Alert, ...]


def alert(number: int, incident: Incident, word: Word, at: datetime) -> Alert:
    """A word about an incident as it is now; it carries its incident's severity."""
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


def judged(row: Alert, notify: Notify) -> Alert:
    """The alert, withheld if nobody is to get it."""
    if notify.slack is None:
        return replace(row, withheld="no channel is configured")
    if _LOUDNESS[row.severity] < _LOUDNESS[notify.min_severity]:
        return replace(row, withheld=f"{row.severity} is below {notify.min_severity}")
    return row


def add(waiting: Outbox, new: Alert, sending: Collection[int]) -> tuple[Outbox, list[Alert]]:
    """The outbox with a new alert, and the rows that are to be recorded.

    sending: alerts that are on their way; those are never folded.
    """
    if new.withheld:
        return waiting, [new]
    idle = _idle([row for row in waiting if row.id not in sending], new)
    new = replace(new, folded=sum(1 + row.folded for row in idle))
    folded = [replace(row, withheld=f"folded into alert {new.id}") for row in idle]
    gone = {row.id for row in idle}
    return (*(row for row in waiting if row.id not in gone), new), [*folded, new]


def pace_s(failures: int, refused: bool, retry_after_s: float | None) -> float:
    """Seconds to the next try after so many failures in a row (at least one).

    refused: the channel itself said no, which a quick repetition would not change.
    """
    if refused or failures > len(QUICK_S) + STEADY_TIMES:
        pace = SLOW_S
    else:
        pace = QUICK_S[failures - 1] if failures <= len(QUICK_S) else STEADY_S
    return max(pace, min(retry_after_s or 0.0, MOST_PATIENCE_S))


def _idle(waiting: list[Alert], new: Alert) -> list[Alert]:
    """What need not be said any more once `new` is."""
    same = [row for row in waiting if (row.job, row.kind) == (new.job, new.kind)]
    if new.word == Word.OPENED:  # an earlier trouble that came and went in the silence
        over = {row.incident for row in same if row.word == Word.RECOVERED}
        unheard = {row.incident for row in same if row.word == Word.OPENED}
        return [row for row in same if row.incident in over & unheard]
    return [row for row in same if row.word == Word.REMINDER and row.incident == new.incident]
