"""Internal jobs: child processes for work of the service itself that could hang.

Each runs under a keeper like a run, outside the pool of runs, unknown to the core and
to the ledger. A run id of at most 0 distinguishes it from runs. At most one process of
an internal job is alive at a time. It limits itself with an alarm in the kernel.
"""

import os
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Job
from supervisor.core.model import Run, State, Trigger
from workers import protocol

# Run ids; ids of real runs begin at 1.
RELOAD, BEATS, LOOK, BACKUPS, AGENT = 0, -3, -4, -5, -6
# Of alerts and of test alerts: minus the number of one of several jobs.
DELIVERY, TEST = -1000, -2000

End = ev.Exited | ev.LaunchFailed | ev.KeeperLost


class InternalJobOwner(Protocol):
    """Owner of an internal child process; the loop polls each owner in every turn."""

    def next_instant(self) -> float | None:
        """Return the monotonic time of the next action; None if only events cause one."""

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch that is due now, if any."""

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Return the core events that follow from messages and the end of its processes."""


@runtime_checkable
class LeavingOwner(InternalJobOwner, Protocol):
    """Owner of a process that has last things to do when the service stops."""

    @property
    def has_left(self) -> bool:
        """Return whether its process has ended."""

    def leave(self, processes: "Signals") -> None:
        """Ask its process to end, and start none again."""


class Signals(Protocol):
    """What sends signals to processes: a pool of keepers."""

    def signal(self, run: int, attempt: int, force: effects.KillStep) -> None:
        """Send a signal to an attempt's process tree."""


class InternalJob:
    """One kind of internal job; `is_out` is true while its process is alive."""

    def __init__(self, run: int, name: str) -> None:
        self.is_out = False
        self._run, self._name = run, name
        self._number = 0

    def begin(self, at: ev.At, **definition: Any) -> effects.Launch:
        """Return the launch of its next process: `argv` and `cwd`, or a worker and parameters."""
        self.is_out = True
        self._number += 1
        job = Job(self._name, 0, **definition)
        run = Run(
            self._run, self._name, at.wall, Trigger.MANUAL, State.RUNNING, attempt=self._number
        )
        return effects.Launch(run, job)

    def ask_to_end(self, processes: "Signals") -> None:
        """Send SIGTERM to its process, if it is alive."""
        if self.is_out:
            processes.signal(self._run, self._number, effects.KillStep.TERM)

    def said(self, events: Iterable[ev.Event]) -> list[protocol.Message | protocol.Garbage]:
        """Return the messages of its process."""
        return [
            event.message
            for event in events
            if isinstance(event, ev.MessageReceived) and self._is_mine(event)
        ]

    def end(self, events: Iterable[ev.Event]) -> End | None:
        """Return the event that ended its process, if any."""
        for event in events:
            if isinstance(event, End) and self._is_mine(event):
                self.is_out = False
                return event
        return None

    def _is_mine(self, event: ev.AttemptEvent) -> bool:
        return (event.run, event.attempt) == (self._run, self._number)


def is_internal(event: ev.Event) -> bool:
    """Return whether the event belongs to an internal job and not to the core."""
    return isinstance(event, ev.AttemptEvent) and event.run <= RELOAD


def why_ended(end: End, limit_s: float) -> str:
    """Return why a process ended without reporting its own end, as text."""
    if isinstance(end, ev.KeeperLost):
        return "was lost"
    if isinstance(end, ev.LaunchFailed):
        return f"did not begin: {end.error}"
    if os.WIFSIGNALED(end.wait_status):
        return f"was killed by signal {os.WTERMSIG(end.wait_status)} (limit {limit_s:.0f} s)"
    return f"ended with exit status {os.waitstatus_to_exitcode(end.wait_status)}"
