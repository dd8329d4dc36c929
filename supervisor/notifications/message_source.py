"""Makes the message of an alert, with the details that are known when it is sent.

The details (the run, its output, the last success) are read here. If they cannot be
read, the message is sent without them.
"""

import contextlib
import socket
import sqlite3
from pathlib import Path

from supervisor.containment import run_log
from supervisor.core import schedule
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Channel
from supervisor.core.incidents import AlertKind
from supervisor.core.model import Run
from supervisor.core.state import SchedulerState
from supervisor.ledger.queries import History
from supervisor.log import ServiceLog
from supervisor.notifications import terminal_screen
from supervisor.notifications.alert_text import AlertContext
from supervisor.notifications.channel_kind import Message
from supervisor.notifications.channels import kind_of
from supervisor.notifications.summary_text import summary_of
from workers.text import readable

OUTPUT_BYTES = 16 * 1024


class MessageSource:
    """Source of messages; folder: the state folder, instance: its random id."""

    def __init__(self, folder: Path, instance: str, log: ServiceLog) -> None:
        self._folder = folder
        self._service = f"nightshift-{instance[:12]}"
        self._log = log
        self._host = readable(socket.gethostname())

    def message(self, alert: Alert, channel: Channel, scheduler: SchedulerState) -> Message:
        """Return the message of an alert for a channel, every text masked."""
        lines: list[str] = []
        if alert.run is not None:
            with contextlib.suppress(OSError):
                lines = self._last_lines(alert.run)
        facts = self._summary(alert, scheduler) if alert.word == AlertKind.SUMMARY else ()
        about = AlertContext(
            alert=alert,
            summary=facts,
            zone=schedule.zone(scheduler.config.timezone),
            host=self._host,
            service=self._service,
            run=None if alert.run is None else self._run(alert.run, scheduler),
            job=scheduler.definition(alert.job),
            last_success=scheduler.last_success.get(alert.job),
            output=tuple(lines),
        )
        return kind_of(channel.kind).message(about, self._log.mask)

    def _summary(self, alert: Alert, scheduler: SchedulerState) -> tuple[tuple[str, str], ...]:
        try:
            with contextlib.closing(History(self._folder)) as history:
                return tuple(summary_of(alert, scheduler, history))
        except sqlite3.Error as error:
            return (("Runs", f"the ledger cannot be read: {error}"),)

    def _last_lines(self, run: int) -> list[str]:
        found, is_cut = run_log.newest(self._folder / "runs", run, OUTPUT_BYTES)
        # Mask before cutting or rendering; the whole message is masked again.
        text = self._log.mask(found.decode(errors="replace"))
        if is_cut:  # the text may begin inside a secret, which cannot reach into its second half
            text = text[len(text) // 2 :]
        return terminal_screen.shown(text)

    def _run(self, number: int, scheduler: SchedulerState) -> Run | None:
        if number in scheduler.runs:
            return scheduler.runs[number]
        try:
            with contextlib.closing(History(self._folder)) as history:
                return history.run(number)
        except sqlite3.Error:
            return None
