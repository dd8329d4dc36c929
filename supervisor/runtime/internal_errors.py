"""Catches and reports unexpected exceptions in the loop.

Each exception is logged with its traceback and becomes an `InternalError` for the core.
A step that fails twice in a row is suspended for REST_S, so that nothing is retried
continuously. Only the loop's thread uses this module.
"""

import traceback
from pathlib import Path

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.model import replace
from supervisor.log import ServiceLog

REST_S = 60.0
_MOST_TRACEBACK = 8000
_MOST_CAUSE = 300


class InternalErrors:
    """Caught errors, until the loop takes them as events."""

    def __init__(self, log: ServiceLog) -> None:
        self._log = log
        self._waiting: list[ev.InternalError] = []
        self._failures: dict[str, int] = {}
        self._rests: dict[str, float] = {}  # monotonic time until which a step is suspended
        self._logged: dict[tuple[str, str], float] = {}

    @property
    def is_waiting(self) -> bool:
        """Return whether there are errors to take."""
        return bool(self._waiting)

    def caught(
        self, error: Exception, where: str, at: ev.At, run: int = 0, is_empty: bool = False
    ) -> None:
        """Log an exception of a step and keep it as an event for the next turn."""
        failures = self._failures[where] = self._failures.get(where, 0) + 1
        event = self.logged(error, where, at, run, is_empty)
        if failures > 1:
            self._rests[where] = at.mono + REST_S
        if failures <= 2 or run:
            self._waiting.append(event)

    def report(self, cause: str, where: str, at: ev.At, run: int, is_empty: bool) -> None:
        """Log a failure without an exception and keep it as an event for the next turn."""
        self._log.note(
            at.wall, effects.Note("error", f"internal error in {where}: {cause}", run=run)
        )
        self._waiting.append(ev.InternalError(at, where, cause, run, is_empty))

    def logged(
        self, error: Exception, where: str, at: ev.At, run: int = 0, is_empty: bool = False
    ) -> ev.InternalError:
        """Log an exception and return its event. A traceback is logged at most once a minute."""
        cause = _cause(error)
        said = f"internal error in {where}: {cause}"
        if at.mono >= self._logged.get((where, cause), at.mono):
            if len(self._logged) > 1000:
                self._logged.clear()
            self._logged[where, cause] = at.mono + REST_S
            said += "\n" + "".join(traceback.format_exception(error))[-_MOST_TRACEBACK:]
        self._log.note(at.wall, effects.Note("error", said, run=run))
        return ev.InternalError(at, where, cause, run, is_empty)

    def went_well(self, where: str) -> None:
        """Forget earlier failures of a step that succeeded."""
        if self._failures:
            self._failures.pop(where, None)
            self._rests.pop(where, None)

    def has_failed_twice(self, where: str) -> bool:
        """Return whether a step failed the last two times."""
        return self._failures.get(where, 0) > 1

    def rests_until(self, where: str, mono: float) -> float | None:
        """Return the time until which a step is suspended; None if it is not."""
        until = self._rests.get(where)
        return until if until is not None and mono < until else None

    def take(self) -> list[ev.InternalError]:
        """Return the errors caught since the last call."""
        taken, self._waiting = self._waiting, []
        return taken


def in_its_place(event: ev.Event, error: ev.InternalError) -> list[ev.Event]:
    """Return the events that replace an event that the core could not process."""
    match event:
        case ev.InternalError(run=0):
            return []
        case ev.InternalError(where=where, cause=cause):
            return [replace(event, where=where, cause=f"{cause}; {error.cause}", run=0)]
        case ev.TreeEmpty(run=run) | ev.LaunchFailed(run=run):
            return [replace(error, run=run, is_empty=True)]
        case (
            ev.Started(run=run)
            | ev.MessageReceived(run=run)
            | ev.Exited(run=run)
            | ev.KeeperLost(run=run)
        ):
            return [replace(error, run=run)]
        case ev.LedgerWriteFailed(launches=launches) if launches:
            return [replace(error, run=run, is_empty=True) for run, _ in launches]
        case _:
            return [error]


def _cause(error: Exception) -> str:
    """Return the type and text of an exception, and the line that raised it."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # its own text cannot be made
        text = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return text[:_MOST_CAUSE] + where
