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

from supervisor.alerts import slack
from supervisor.alerts.journey import Journey, Outcome
from supervisor.containment import output
from supervisor.core import events as ev
from supervisor.core import schedule
from supervisor.core.model import Alert, Run, replace
from supervisor.core.world import World
from supervisor.errands import DELIVERY, TEST
from supervisor.ledger.history import History
from supervisor.log import Log

OUTPUT_BYTES = 16 * 1024
# A worker's text may be 64 KiB long, and a packet holds ten messages.
CAUSE_CHARACTERS = 4000


class Courier:
    """Sends the alerts that the core asks to be delivered."""

    def __init__(self, folder: Path, log: Log) -> None:
        self._folder = folder
        self._log = log
        self._journey = Journey(DELIVERY, "deliver-alerts")
        self._url = ""
        self._alerts: tuple[Alert, ...] = ()
        self._messages: list[dict[str, object]] = []
        self._host = socket.gethostname()

    def take(self, deliver: ev.Deliver, world: World) -> None:
        """These are to go with the next journey."""
        self._url = world.config.notify.slack or ""
        self._alerts = deliver.alerts
        self._messages = [self._message(alert, world) for alert in deliver.alerts]

    def next_instant(self) -> float | None:
        """At once, if something was taken."""
        return 0.0 if self._messages else None

    def errand(self, at: ev.At) -> ev.Launch | None:
        """The journey with what was taken."""
        if not self._messages or self._journey.is_out:
            return None
        messages, self._messages = self._messages, []
        return self._journey.begin(at, self._url, messages)

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """What its end means for the outbox."""
        outcome = self._journey.outcome(heard)
        if outcome is None:
            return []
        happened: list[ev.Event] = []
        arrived = tuple(alert.id for alert in self._alerts[: outcome.arrived])
        if arrived:
            happened.append(ev.Delivered(at, arrived))
        if outcome.cause:
            why = outcome.cause, outcome.retry_after_s, outcome.refused
            happened.append(ev.Undelivered(at, *why))
        return happened

    def _message(self, alert: Alert, world: World) -> dict[str, object]:
        # Masked before it is cut, or half a secret would be left at the cut.
        cause = self._log.mask(alert.cause)[:CAUSE_CHARACTERS]
        lines: list[str] = []
        if alert.run is not None:
            with contextlib.suppress(OSError):
                lines = output.last_lines(self._folder / "runs", alert.run, OUTPUT_BYTES)
        about = slack.About(
            alert=replace(alert, cause=cause),
            zone=schedule.zone(world.config.timezone),
            host=self._host,
            run=None if alert.run is None else self._run(alert.run, world),
            job=world.definition(alert.job),
            last_success=world.last_success.get(alert.job),
            output=tuple(lines),
        )
        return slack.message(about, self._log.mask)

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

    def errand(self, at: ev.At) -> ev.Launch | None:
        """The journey of the test alert."""
        if not self._waiting or self._journey.is_out:
            return None
        return self._journey.begin(at, self._url, [slack.trial(socket.gethostname())])

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Answer those who asked; a channel that is open may take the rest, too."""
        outcome = self._journey.outcome(heard)
        if outcome is None:
            return []
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            if not answer.cancelled():
                answer.set_result(outcome)
        return [] if outcome.cause else [ev.Delivered(at, ())]
