"""Errands: the service's own processes - whatever of its own work could hang.

Each runs like a run, under a keeper, outside the pool, unknown to the core and to
the ledger; a run id that no run can have tells them apart. At most one process of
an errand lives at a time. It limits itself, by an alarm that the kernel keeps.
"""

import os
from collections.abc import Iterable
from typing import Any, Protocol

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.model import Job, Run, State, Trigger
from workers import protocol

# Run ids; those of runs begin at 1.
RELOAD, DELIVERY, TEST, BEATS, LOOK = 0, -1, -2, -3, -4

End = ev.Exited | ev.LaunchFailed | ev.Lost


class Party(Protocol):
    """One that sends somebody on errands; the loop asks each of them at every turn."""

    def next_instant(self) -> float | None:
        """When there is something to do, monotonic; None: nothing by itself."""

    def errand(self, at: ev.At) -> effects.Launch | None:
        """The process that is to begin now, if any."""

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """What the words and the end of its processes mean to the core."""


class Errand:
    """One kind of errand; `is_out` while its process lives."""

    def __init__(self, run: int, name: str) -> None:
        self.is_out = False
        self._run, self._name = run, name
        self._number = 0

    def begin(self, at: ev.At, **definition: Any) -> effects.Launch:
        """Its next process: `argv` in a `cwd`, or a `worker` with `params_json`."""
        self.is_out = True
        self._number += 1
        job = Job(self._name, 0, **definition)
        run = Run(
            self._run, self._name, at.wall, Trigger.MANUAL, State.RUNNING, attempt=self._number
        )
        return effects.Launch(run, job)

    def said(self, heard: Iterable[ev.Event]) -> list[protocol.Message | protocol.Garbage]:
        """What its process said."""
        return [
            event.message for event in heard if isinstance(event, ev.Said) and self._is_mine(event)
        ]

    def end(self, heard: Iterable[ev.Event]) -> End | None:
        """How its process ended, if it has."""
        for event in heard:
            if isinstance(event, End) and self._is_mine(event):
                self.is_out = False
                return event
        return None

    def _is_mine(self, event: ev.AttemptEvent) -> bool:
        return (event.run, event.attempt) == (self._run, self._number)


def is_of_an_errand(event: ev.Event) -> bool:
    """Whether the core has nothing to do with it."""
    return isinstance(event, ev.AttemptEvent) and event.run <= RELOAD


def why_ended(end: End, limit_s: float) -> str:
    """In words, why a process came to its end without saying so itself."""
    if isinstance(end, ev.Lost):
        return "was lost"
    if isinstance(end, ev.LaunchFailed):
        return f"did not begin: {end.error}"
    if os.WIFSIGNALED(end.wait_status):
        return f"was killed by signal {os.WTERMSIG(end.wait_status)} (limit {limit_s:.0f} s)"
    return f"ended with exit status {os.waitstatus_to_exitcode(end.wait_status)}"
