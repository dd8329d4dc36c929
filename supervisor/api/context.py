"""What every answer stands on: the published world, the ledger, the words of a path."""

import os
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request

from supervisor.api.bridge import DamageSeen, LoopBridge
from supervisor.api.connection import ClientLimits
from supervisor.api.errors import HttpError
from supervisor.api.parameters import JOB, RUN
from supervisor.api.streams import EventStreams
from supervisor.core import build_views
from supervisor.core.model import Attempt, Job, Peer, Run
from supervisor.core.state import SchedulerState
from supervisor.core.views import RunView
from supervisor.ledger.queries import History

# Damaged rows that are remembered as told.
MOST_TOLD = 100


class HandlerContext:
    """One desk and one state folder, as the API's thread sees them."""

    def __init__(self, desk: LoopBridge, folder: Path, limits: ClientLimits) -> None:
        self.desk = desk
        self.folder = folder
        self.limits = limits
        self.feed = EventStreams(desk, folder, limits)
        self._history: History | None = None
        self._told: set[str] = set()

    @property
    def world(self) -> SchedulerState:
        """The published world."""
        if self.desk.world is None:
            raise HttpError(503, "the supervisor is starting")
        return self.desk.world

    @property
    def history(self) -> History:
        """The ledger, opened by this thread at its first use, and when it is another file."""
        if self._history is not None and not self._history.is_current():
            self._history.close()
            self._history = None
        if self._history is None:
            self._history = History(self.folder, self._tell_damage)
        return self._history

    def _tell_damage(self, cause: str) -> None:
        """Tell the loop of a row that was left out, once."""
        if cause not in self._told:
            self._told = {cause, *list(self._told)[:MOST_TOLD]}
            self.desk.submit(Peer(os.getuid(), os.getpid()), DamageSeen(cause))

    def job(self, request: Request) -> Job:
        """The job that the path names."""
        name = JOB.of(request)
        job = self.world.jobs.get(name)
        if job is None:
            raise HttpError(404, f'no job is called "{name}"', "nightshift jobs lists them")
        return job

    def run(self, request: Request) -> Run:
        """The run that the path names, as it is now."""
        return self.run_of(RUN.of(request))

    def run_of(self, number: int) -> Run:
        """The run of this number, as it is now."""
        found = self.world.runs.get(number) or self.history.run(number)
        if found is None:
            raise HttpError(404, f"no run {number} is known", "nightshift history lists them")
        return found

    def run_view(self, run: Run) -> RunView:
        """A run as it is now, if it is open; else as it was."""
        world = self.world
        if run.id in world.runs:
            return build_views.open_run(world, world.runs[run.id])
        return build_views.run_view(run)

    def run_view_with_attempts(self, run: Run) -> RunView:
        """A run with its attempts."""
        shown = self.run_view(run)
        return build_views.run_view(run, self.attempts(run), shown.pid, shown.cause)

    def attempts(self, run: Run) -> list[Attempt]:
        """The attempts of a run; of the last one what is known before the ledger is."""
        known = self.history.attempts(run.id)
        living = self.world.living.get(run.id)
        if living is None or living.exited:
            return known
        return [each for each in known if each.number != living.attempt.number] + [living.attempt]


def now() -> datetime:
    """The instant of an answer."""
    return datetime.now(UTC)
