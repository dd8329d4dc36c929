"""Delivery of the outboxes: start a batch for each channel and process its result.

At most one batch is being sent to a channel, with its oldest alerts in order; a channel
that does not respond delays no other. The result is a `Delivered` event, an
`Undelivered` event, or both in this order. A delivered alert is never sent again, unless
the process that received the channel's answer died before the delivery was recorded.
`outbox.py` holds the rules for filters, folding and retry delays.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

from supervisor.core import outbox
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Channel, Notify
from supervisor.core.effects import Deliver, Record
from supervisor.core.events import Delivered, Undelivered
from supervisor.core.incidents import AlertKind
from supervisor.core.model import replace
from supervisor.core.outbox import Outbox
from supervisor.core.quiet_hours import quiet_until
from supervisor.core.state import ServicePhase
from supervisor.core.turn import Turn
from workers.units import format_count


def send(turn: Turn) -> None:
    """Start a batch for each channel that has waiting alerts and no reason to wait."""
    scheduler = turn.scheduler
    if not scheduler.outboxes or scheduler.life is ServicePhase.STOPPED:
        return
    for channel in scheduler.config.notify.channels:
        box = scheduler.outboxes.get(channel.name)
        if box is not None and box.waiting and not box.sending:
            _send(turn, channel, box)


def _send(turn: Turn, channel: Channel, box: Outbox) -> None:
    if channel.quiet is not None and quiet_until(channel.quiet, turn.now) is not None:
        if not box.is_held:
            _put(turn, channel.name, replace(box, is_held=True))
        return
    if box.is_held:
        waiting, rows = outbox.folded(box.waiting)
        turn.actions.extend(Record(row) for row in rows)
        box = replace(box, waiting=waiting, is_held=False)
        _put(turn, channel.name, box)
    if box.deliver_at is not None and turn.at.mono < box.deliver_at:
        return
    batch = box.waiting[: outbox.BATCH]
    sending = tuple(row.id for row in batch)
    _put(turn, channel.name, replace(box, sending=sending, deliver_at=None))
    turn.actions.append(Deliver(channel, batch))


def next_attempt(box: Outbox) -> float | None:
    """Return when a retry is due, in monotonic seconds; None: no retry is pending.

    The end of quiet hours is a full minute, which needs no timer.
    """
    is_pending = box.waiting and not box.sending and not box.is_held
    return box.deliver_at if is_pending else None


def delivered(turn: Turn, event: Delivered) -> None:
    """Record delivered alerts and clear the retry delay, since the channel works."""
    box = turn.scheduler.outboxes.get(event.channel, Outbox())
    arrived = set(event.alerts)
    for row in box.waiting:
        if row.id in arrived:
            done = replace(row, delivered_at=turn.now, next_at=None, error="")
            turn.actions.append(Record(done))
            after = f" after {format_count(row.attempts, 'failure')}" if row.attempts else ""
            turn.note(f"alert {row.id} delivered to {row.channel}{after}", job=row.job)
    left = tuple(row for row in box.waiting if row.id not in arrived)
    sending = tuple(number for number in box.sending if number not in arrived)
    now = replace(box, waiting=left, sending=sending, deliver_at=None, delivered_at=turn.now)
    _put(turn, event.channel, now)
    _apply_filters(turn, [event.channel])  # jobs.yaml may have changed meanwhile


def undelivered(turn: Turn, event: Undelivered) -> None:
    """Record the failure of the oldest alert being sent and delay the whole channel."""
    box = turn.scheduler.outboxes.get(event.channel, Outbox())
    if not box.sending:
        turn.note(f"late word of a delivery to {event.channel}: {event.cause}", "debug")
        return
    number = box.sending[0]
    place = next(n for n, row in enumerate(box.waiting) if row.id == number)
    row = box.waiting[place]
    failures = row.attempts + 1
    wait_s = outbox.retry_delay_s(failures, event.refused, event.retry_after_s)
    next_at = turn.now + timedelta(seconds=wait_s)
    failed = replace(row, attempts=failures, next_at=next_at, error=event.cause)
    box = replace(box, sending=(), deliver_at=turn.at.mono + wait_s)
    _replace(turn, event.channel, box, place, failed)
    # Quick retries that fail with the same error would only repeat this line.
    if failures == 1 or row.error != event.cause or wait_s >= outbox.SLOW_S:
        what = f"alert {number} is not delivered to {event.channel}"
        turn.note(f"{what}: {event.cause}; next try in {wait_s:.0f}s", "warning", job=row.job)
    _apply_filters(turn, [event.channel])


def restored(turn: Turn, waiting: tuple[Alert, ...]) -> None:
    """Queue the alerts that the previous supervisor did not deliver.

    The rest of each channel's retry delay applies, at most LONGEST_DELAY_S.
    """
    for name in dict.fromkeys(row.channel for row in waiting):
        rows = tuple(row for row in waiting if row.channel == name)
        deliver_at = None
        if rows[0].next_at is not None:
            left_s = (rows[0].next_at - turn.now).total_seconds()
            deliver_at = turn.at.mono + min(max(0.0, left_s), outbox.LONGEST_DELAY_S)
        _put(turn, name, Outbox(rows, deliver_at=deliver_at))
    _apply_filters(turn, turn.scheduler.outboxes)


def reconsider(turn: Turn, before: Notify) -> None:
    """Apply a new version of the channels to the alerts that wait.

    The retry delay and failure count of a channel are reset if its target has changed.
    """
    _apply_filters(turn, turn.scheduler.outboxes)
    for channel in turn.scheduler.config.notify.channels:
        known, box = before.channel(channel.name), turn.scheduler.outboxes.get(channel.name)
        if box is None or (known is not None and known.target == channel.target):
            continue
        box = replace(box, deliver_at=None)
        _put(turn, channel.name, box)
        if box.waiting and box.waiting[0].attempts:
            fresh = replace(box.waiting[0], attempts=0, next_at=None, error="")
            _replace(turn, channel.name, box, 0, fresh)


def silence(turn: Turn, incident: int, by: str) -> None:
    """Withhold the waiting reminders of an acknowledged incident."""

    def judged(row: Alert) -> Alert:
        is_idle = row.incident == incident and row.word == AlertKind.REMINDER
        is_idle = is_idle and row.id not in turn.scheduler.outboxes[row.channel].sending
        return replace(row, withheld=f"acknowledged by {by}") if is_idle else row

    _withhold(turn, turn.scheduler.outboxes, judged)


def give_up_sending(turn: Turn) -> None:
    """Forget the batches being sent, and try their channels again after SLOW_S."""
    for name, box in turn.scheduler.outboxes.items():
        if box.sending:
            later = turn.at.mono + outbox.SLOW_S
            _put(turn, name, replace(box, sending=(), deliver_at=later))


def _apply_filters(turn: Turn, names: Iterable[str]) -> None:
    """Withhold what these channels are not to get now; what is being sent is left alone."""
    scheduler = turn.scheduler
    notify = scheduler.config.notify

    def judged(row: Alert) -> Alert:
        if row.id in scheduler.outboxes[row.channel].sending:
            return row
        if not notify.channels:
            return replace(row, withheld="no channel is configured")
        channel = notify.channel(row.channel)
        return outbox.with_filter_applied(row, channel, scheduler.definition(row.job))

    names = list(names)
    _withhold(turn, names, judged)
    for name in names:
        if not scheduler.outboxes[name].sending and notify.channel(name) is None:
            scheduler.outboxes = scheduler.outboxes.delete(name)


def _withhold(turn: Turn, names: Iterable[str], judged: Callable[[Alert], Alert]) -> None:
    """Apply `judged` to each alert that waits for these channels; remove what it withholds."""
    for name in list(names):
        box = turn.scheduler.outboxes[name]
        looked_at = [judged(row) for row in box.waiting]
        left = tuple(row for row in looked_at if not row.withheld)
        if len(left) == len(looked_at):
            continue
        for row in looked_at:
            if row.withheld:
                turn.actions.append(Record(row))
                turn.note(f"alert {row.id} is not sent: {row.withheld}", job=row.job)
        _put(turn, name, replace(box, waiting=left))


def _replace(turn: Turn, name: str, box: Outbox, place: int, row: Alert) -> None:
    turn.actions.append(Record(row))
    waiting = (*box.waiting[:place], row, *box.waiting[place + 1 :])
    _put(turn, name, replace(box, waiting=waiting))


def _put(turn: Turn, name: str, box: Outbox) -> None:
    turn.scheduler.outboxes = turn.scheduler.outboxes.set(name, box)
