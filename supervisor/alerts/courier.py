"""The supervisor's side of alerts: `Deliver` -> a journey -> `Delivered`, `Undelivered`.

What a message tells beside its alert - the run, its output, the last success - is
read here, at delivery; nothing of it is needed: a message without is still sent.
"""

import contextlib
import socket
import sqlite3
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from supervisor.alerts import screen, slack
from supervisor.alerts.journey import Journey, Outcome
from supervisor.containment import output
from supervisor.core import effects, schedule
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert
from supervisor.core.model import Run
from supervisor.core.world import World
from supervisor.errands import DELIVERY, TEST
from supervisor.ledger.history import History
from supervisor.log import Log
from workers.text import readable

OUTPUT_BYTES = 16 * 1024
# More than the longest message, less than the smallest packet that a kernel carries.
JOURNEY_BYTES = 64 * 1024

Message = dict[str, Any]


class Courier:
    """Sends the alerts that the core asks to be delivered."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._folder = folder
        self._log = log
        self._journey = Journey(DELIVERY, "deliver-alerts")
        self._url = ""
        self._ahead: list[tuple[Alert, Message]] = []
        self._on_the_way: list[Alert] = []
        self._host = readable(socket.gethostname())

    def take(self, deliver: effects.Deliver, world: World) -> None:
        """These are to go, in one journey or in several."""
        self._url = world.config.notify.slack or ""
        self._ahead = [(alert, self._message(alert, world)) for alert in deliver.alerts]

    def next_instant(self) -> float | None:
        """At once, if something is to go."""
        return 0.0 if self._ahead and not self._journey.is_out else None

    def errand(self, at: ev.At) -> effects.Launch | None:
        """The journey of the next few that fit into a packet."""
        if not self._ahead or self._journey.is_out:
            return None
        count = _fitting([message for _, message in self._ahead])
        going, self._ahead = self._ahead[:count], self._ahead[count:]
        self._on_the_way = [alert for alert, _ in going]
        return self._journey.begin(at, self._url, [message for _, message in going])

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """What its end means for the outbox."""
        outcome = self._journey.outcome(heard)
        if outcome is None:
            return []
        happened: list[ev.Event] = []
        arrived = tuple(alert.id for alert in self._on_the_way[: outcome.arrived])
        if arrived:
            happened.append(ev.Delivered(at, arrived))
        if outcome.cause:
            self._ahead = []
            why = outcome.cause, outcome.retry_after_s, outcome.refused
            happened.append(ev.Undelivered(at, *why))
        return happened

    def _message(self, alert: Alert, world: World) -> Message:
        lines: list[str] = []
        if alert.run is not None:
            with contextlib.suppress(OSError):
                lines = self._last_lines(alert.run)
        about = slack.About(
            alert=alert,
            zone=schedule.zone(world.config.timezone),
            host=self._host,
            run=None if alert.run is None else self._run(alert.run, world),
            job=world.definition(alert.job),
            last_success=world.last_success.get(alert.job),
            output=tuple(lines),
        )
        return slack.message(about, self._log.mask)

    def _last_lines(self, run: int) -> list[str]:
        found, is_cut = output.newest(self._folder / "runs", run, OUTPUT_BYTES)
        # Masked before anything is cut or written over; the message is masked again.
        text = self._log.mask(found.decode(errors="replace"))
        if is_cut:  # it may begin with half a secret, which is not in its second half
            text = text[len(text) // 2 :]
        return screen.shown(text)

    def _run(self, number: int, world: World) -> Run | None:
        if number in world.runs:
            return world.runs[number]
        try:
            with contextlib.closing(History(self._folder)) as history:
                return history.run(number)
        except sqlite3.Error:
            return None


class Trial:
    """Sends one test alert, and tells those who asked for it what came."""

    def __init__(self) -> None:
        self._journey = Journey(TEST, "test-alert")
        self._waiting: list[Future[Outcome]] = []
        self._url = ""

    def ask(self, answer: "Future[Outcome]", world: World) -> None:
        """Somebody wants to know whether alerts arrive."""
        if world.config.notify.slack is None:
            answer.set_result(Outcome(0, "no channel is configured"))
            return
        self._url = world.config.notify.slack
        self._waiting.append(answer)

    def next_instant(self) -> float | None:
        """At once, if somebody asked."""
        return 0.0 if self._waiting and not self._journey.is_out else None

    def errand(self, at: ev.At) -> effects.Launch | None:
        """The journey of the test alert."""
        if not self._waiting or self._journey.is_out:
            return None
        return self._journey.begin(at, self._url, [slack.trial(readable(socket.gethostname()))])

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Answer those who asked; a channel that is open may take the rest, too."""
        outcome = self._journey.outcome(heard)
        if outcome is None:
            return []
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            # Nobody may cancel it between a look and the result.
            if answer.set_running_or_notify_cancel():
                answer.set_result(outcome)
        return [] if outcome.cause else [ev.Delivered(at, ())]


def _fitting(messages: list[Message]) -> int:
    """How many of these go in one packet, where they are text within text; at least one."""
    count, room = 0, JOURNEY_BYTES
    for message in messages:
        room -= len(msgspec.json.encode(msgspec.json.encode(message).decode()))
        if count and room < 0:
            break
        count += 1
    return count
