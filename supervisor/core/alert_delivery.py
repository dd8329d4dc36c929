"""Delivery of the outbox: start a batch and process its result.

At most one batch is being sent, with the oldest alerts in order. The result is a
`Delivered` event, an `Undelivered` event, or both in this order. A delivered alert is
never sent again, unless the process that received the channel's answer died before the
delivery was recorded. `outbox.py` holds the rules for folding and for retry delays.
"""

from collections.abc import Callable
from datetime import timedelta

from supervisor.core import outbox
from supervisor.core.alert_model import Alert
from supervisor.core.effects import Deliver, Record
from supervisor.core.events import Delivered, Undelivered
from supervisor.core.incidents import AlertKind
from supervisor.core.model import Notify, replace
from supervisor.core.state import ServicePhase
from supervisor.core.turn import Turn
from workers.units import format_count


def send(turn: Turn) -> None:
    """Start sending a batch if alerts are waiting and no retry delay is pending."""
    scheduler = turn.scheduler
    if not scheduler.outbox or scheduler.sending or scheduler.life is ServicePhase.STOPPED:
        return
    _withhold(turn, lambda row: outbox.with_filter_applied(row, scheduler.config.notify))
    if not scheduler.outbox or (
        scheduler.deliver_at is not None and turn.at.mono < scheduler.deliver_at
    ):
        return
    batch = scheduler.outbox[: outbox.BATCH]
    scheduler.sending = tuple(row.id for row in batch)
    scheduler.deliver_at = None
    turn.actions.append(Deliver(batch))


def delivered(turn: Turn, event: Delivered) -> None:
    """Record delivered alerts and clear the retry delay, since the channel works."""
    scheduler, arrived = turn.scheduler, set(event.alerts)
    for row in scheduler.outbox:
        if row.id in arrived:
            done = replace(row, delivered_at=turn.now, next_at=None, error="")
            turn.actions.append(Record(done))
            after = f" after {format_count(row.attempts, 'failure')}" if row.attempts else ""
            turn.note(f"alert {row.id} delivered{after}", job=row.job)
    scheduler.outbox = tuple(row for row in scheduler.outbox if row.id not in arrived)
    scheduler.sending = tuple(number for number in scheduler.sending if number not in arrived)
    scheduler.deliver_at = None


def undelivered(turn: Turn, event: Undelivered) -> None:
    """Record the failure of the oldest alert being sent and delay the whole outbox."""
    scheduler = turn.scheduler
    if not scheduler.sending:
        turn.note(f"late word of a delivery: {event.cause}", "debug")
        return
    number, scheduler.sending = scheduler.sending[0], ()
    place = next(n for n, row in enumerate(scheduler.outbox) if row.id == number)
    row = scheduler.outbox[place]
    failures = row.attempts + 1
    wait_s = outbox.retry_delay_s(failures, event.refused, event.retry_after_s)
    scheduler.deliver_at = turn.at.mono + wait_s
    next_at = turn.now + timedelta(seconds=wait_s)
    failed = replace(row, attempts=failures, next_at=next_at, error=event.cause)
    _replace(turn, place, failed)
    # Quick retries that fail with the same error would only repeat this line.
    if failures == 1 or row.error != event.cause or wait_s >= outbox.SLOW_S:
        text = f"alert {number} is not delivered: {event.cause}; next try in {wait_s:.0f}s"
        turn.note(text, "warning", job=row.job)


def restored(turn: Turn, waiting: tuple[Alert, ...]) -> None:
    """Queue the alerts that the previous supervisor did not deliver.

    The rest of the first alert's retry delay applies, at most LONGEST_DELAY_S.
    """
    scheduler = turn.scheduler
    scheduler.outbox = waiting
    if waiting and waiting[0].next_at is not None:
        left_s = (waiting[0].next_at - turn.now).total_seconds()
        scheduler.deliver_at = turn.at.mono + min(max(0.0, left_s), outbox.LONGEST_DELAY_S)


def reconsider(turn: Turn, before: Notify) -> None:
    """Reset the retry delay and failure count if the channel differs from `before`."""
    scheduler = turn.scheduler
    if _target(scheduler.config.notify) == _target(before):
        return
    scheduler.deliver_at = None
    if scheduler.outbox and scheduler.outbox[0].attempts:
        fresh = replace(scheduler.outbox[0], attempts=0, next_at=None, error="")
        _replace(turn, 0, fresh)


def _target(notify: Notify) -> tuple[str, str, str] | None:
    return None if notify.channel is None else notify.channel.target


def silence(turn: Turn, incident: int, by: str) -> None:
    """Withhold the waiting reminders of an acknowledged incident."""

    def judged(row: Alert) -> Alert:
        is_idle = row.incident == incident and row.word == AlertKind.REMINDER
        is_idle = is_idle and row.id not in turn.scheduler.sending
        return replace(row, withheld=f"acknowledged by {by}") if is_idle else row

    _withhold(turn, judged)


def _withhold(turn: Turn, judged: Callable[[Alert], Alert]) -> None:
    """Apply `judged` to each alert and remove withheld alerts from the outbox."""
    looked_at = [judged(row) for row in turn.scheduler.outbox]
    for row in looked_at:
        if row.withheld:
            turn.actions.append(Record(row))
            turn.note(f"alert {row.id} is not sent: {row.withheld}", job=row.job)
    turn.scheduler.outbox = tuple(row for row in looked_at if not row.withheld)


def _replace(turn: Turn, place: int, row: Alert) -> None:
    turn.actions.append(Record(row))
    before = turn.scheduler.outbox
    turn.scheduler.outbox = (*before[:place], row, *before[place + 1 :])
