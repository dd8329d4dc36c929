"""Sends test alerts, one at a time for each channel, and reports their outcomes."""

import socket
from collections.abc import Iterable
from concurrent.futures import Future

from msgspec import Struct

from supervisor.containment.internal_jobs import TEST
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Channel
from supervisor.core.state import SchedulerState
from supervisor.notifications.channels import kind_of
from supervisor.notifications.message_batch import MessageBatch, Outcome
from workers.text import readable


class _Trial(Struct):
    """A test of one channel; waiting: the futures that get its outcome."""

    batch: MessageBatch
    channel: Channel | None = None
    waiting: list["Future[Outcome]"] = []


class TrialAlertSender:
    """Sender of test alerts; resolves the futures that wait for their outcomes."""

    def __init__(self) -> None:
        self._trials: list[_Trial] = []

    def ask(self, answer: "Future[Outcome]", scheduler: SchedulerState, name: str) -> None:
        """Request a test alert for a channel; the future gets the outcome."""
        channel = scheduler.config.notify.channel(name)
        if channel is None:
            answer.set_result(Outcome(0, f'no channel is called "{name}"'))
            return
        trial = self._trial_of(name)
        trial.channel = channel
        trial.waiting.append(answer)

    def next_instant(self) -> float | None:
        """Return 0 if a test alert can be launched now, else None."""
        return None if self._next() is None else 0.0

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch for the next test alert, or None."""
        trial = self._next()
        if trial is None or trial.channel is None:
            return None
        message = kind_of(trial.channel.kind).test_message(readable(socket.gethostname()))
        return trial.batch.begin(at, trial.channel, [message])

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Resolve the waiting futures; on success an empty `Delivered` retries the outbox."""
        events, happened = list(events), list[ev.Event]()
        for trial in self._trials:
            outcome = trial.batch.outcome(events)
            if outcome is None:
                continue
            waiting, trial.waiting = trial.waiting, []
            for answer in waiting:
                # Mark the future as running so the caller cannot cancel it before set_result.
                if answer.set_running_or_notify_cancel():
                    answer.set_result(outcome)
            if not outcome.cause and trial.channel is not None:
                happened.append(ev.Delivered(at, (), trial.channel.name))
        return happened

    def _next(self) -> _Trial | None:
        waits = (trial for trial in self._trials if trial.waiting and not trial.batch.is_out)
        return next(waits, None)

    def _trial_of(self, name: str) -> _Trial:
        """Return the test of this channel, or one that can be used for it."""
        for trial in self._trials:
            if trial.waiting and trial.channel is not None and trial.channel.name == name:
                return trial
        for trial in self._trials:
            if not trial.waiting and not trial.batch.is_out:
                return trial
        self._trials.append(_Trial(MessageBatch(TEST - len(self._trials), "test-alert")))
        return self._trials[-1]
