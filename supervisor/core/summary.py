"""The summary: a message to the channels at the instants of `notify.summary`.

It is a row of each outbox like an alert, without an incident. What it says is read when
it is sent (`notifications/summary_text.py`); the row has the period that it covers. A
summary that waits is folded into the next one, which then covers both periods.
"""

from datetime import datetime, timedelta

from supervisor.core import outbox, schedule
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Severity
from supervisor.core.effects import Record
from supervisor.core.incidents import AlertKind
from supervisor.core.model import replace
from supervisor.core.turn import Turn

KIND = "summary"
# The period of a summary without a predecessor in this time.
LONGEST = timedelta(days=32)


def queue_due(turn: Turn, since: datetime | None) -> None:
    """Queue a summary if its instant lies in (since, now]; of several, the newest."""
    config = turn.scheduler.config
    if not config.notify.summary or since is None:
        return
    calendar = schedule.calendar(config.notify.summary, config.timezone)
    begin = max(since, turn.now - LONGEST)
    for at in calendar.newest(1, begin, turn.now):
        moment = timedelta(seconds=1)
        before = calendar.newest(1, at - LONGEST, at - moment) or [at - LONGEST]
        _queue(turn, at, (at - before[0]).total_seconds())


def _queue(turn: Turn, at: datetime, length_s: float) -> None:
    scheduler = turn.scheduler
    for channel in scheduler.config.notify.channels:
        if not channel.summary:
            continue
        row = Alert(
            id=scheduler.next_alert,
            incident=0,
            word=AlertKind.SUMMARY,
            severity=Severity.INFO,
            job="",
            kind=KIND,
            cause="",
            count=0,
            run=None,
            at=at,
            lasted_s=length_s,
            channel=channel.name,
        )
        scheduler.next_alert += 1
        box = scheduler.outboxes.get(channel.name, outbox.Outbox())
        waiting, rows = outbox.add(box.waiting, row, box.sending)
        scheduler.outboxes = scheduler.outboxes.set(channel.name, replace(box, waiting=waiting))
        turn.actions.extend(Record(each) for each in rows)
