"""The supervisor's side of the list of backups: one child at a time reads the folders."""

import contextlib
from collections.abc import Iterable
from concurrent.futures import Future
from datetime import datetime

import msgspec

from supervisor.backups.model import (
    COPY,
    FOLDER,
    LIMIT_S,
    WORKER,
    BackupCopy,
    BackupFolder,
    Backups,
    Folder,
    folders,
)
from supervisor.containment.internal_jobs import BACKUPS, End, InternalJob, why_ended
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.state import SchedulerState
from workers import protocol


class BackupLister:
    """Reads the folders when asked; resolves the futures that wait for the list."""

    def __init__(self) -> None:
        self._reading = InternalJob(BACKUPS, "list-backups")
        self._waiting: list[Future[Backups]] = []
        self._wanted: list[Folder] = []
        self._folders: list[BackupFolder] = []
        self._copies: list[BackupCopy] = []
        self._failed = ""

    def ask(self, answer: "Future[Backups]", scheduler: SchedulerState) -> None:
        """Request the list; the future gets it."""
        self._wanted = folders(scheduler.jobs.values())
        self._waiting.append(answer)

    def next_instant(self) -> float | None:
        """Return 0 if a child can be launched now, else None."""
        return 0.0 if self._waiting and not self._reading.is_out else None

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch of the child that reads the folders, or None."""
        if not self._waiting or self._reading.is_out:
            return None
        self._folders, self._copies, self._failed = [], [], ""
        params = msgspec.json.encode({"folders": self._wanted}).decode()
        return self._reading.begin(at, worker=WORKER, params_json=params)

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Collect what the child reports; resolve the futures when it has ended."""
        events = list(events)
        for message in self._reading.said(events):
            if isinstance(message, protocol.Log):
                self._take(message)
            elif isinstance(message, protocol.Failed):
                self._failed = message.error
        end = self._reading.end(events)
        if end is not None:
            waiting, self._waiting = self._waiting, []
            found = self._found(end, at.wall)
            for answer in waiting:
                # Mark the future as running so the caller cannot cancel it before set_result.
                if answer.set_running_or_notify_cancel():
                    answer.set_result(found)
        return []

    def _take(self, message: protocol.Log) -> None:
        word, _, text = message.text.partition(" ")
        with contextlib.suppress(msgspec.MsgspecError):  # a masked number is no JSON
            if word == FOLDER:
                self._folders.append(msgspec.json.decode(text, type=BackupFolder))
            elif word == COPY:
                self._copies.append(msgspec.json.decode(text, type=BackupCopy))

    def _found(self, end: End, at: datetime) -> Backups:
        """Return the list; a folder without an answer has the reason for that."""
        known = {each.path: each for each in self._folders}
        error = self._failed or f"the process that reads it {why_ended(end, LIMIT_S)}"
        read = [
            known.get(each.path) or BackupFolder(each.path, each.jobs, error)
            for each in self._wanted
        ]
        newest_first = sorted(self._copies, key=lambda copy: copy.taken_at, reverse=True)
        return Backups(at, tuple(read), tuple(newest_first))
