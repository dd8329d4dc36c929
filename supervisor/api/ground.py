"""What every answer stands on: the published world, the ledger, the words of a path."""

import os
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request

from supervisor.api.answers import Problem
from supervisor.api.feed import Feed
from supervisor.api.limits import Limits
from supervisor.api.parameters import JOB, RUN
from supervisor.core import showing
from supervisor.core.model import Attempt, Job, Peer, Run
from supervisor.core.view import RunView
from supervisor.core.world import World
from supervisor.desk import DamageSeen, Desk
from supervisor.ledger.history import History

# Damaged rows that are remembered as told.
MOST_TOLD = 100


class Ground:
    """One desk and one state folder, as the API's thread sees them."""

    def __init__(self, desk: Desk, folder: Path, limits: Limits) -> None:
        self.desk = desk
        self.folder = folder
        self.limits = limits
        self.feed = Feed(desk, folder, limits)
        self._history: History | None = None
        self._told: set[str] = set()

    @property
    def world(self) -> World:
        """The published world."""
        if self.desk.world is None:
            raise Problem(503, "the supervisor is starting")
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
            self.desk.ask(Peer(os.getuid(), os.getpid()), DamageSeen(cause))

    def job(self, request: Request) -> Job:
        """The job that the path names."""
        name = JOB.of(request)
        job = self.world.jobs.get(name)
        if job is None:
            raise Problem(404, f'no job is called "{name}"', "nightshift jobs lists them")
        return job

    def run(self, request: Request) -> Run:
        """The run that the path names, as it is now."""
        return self.run_of(RUN.of(request))

    def run_of(self, number: int) -> Run:
        """The run of this number, as it is now."""
        found = self.world.runs.get(number) or self.history.run(number)
        if found is None:
            raise Problem(404, f"no run {number} is known", "nightshift history lists them")
        return found

    def show(self, run: Run) -> RunView:
        """A run as it is now, if it is open; else as it was."""
        world = self.world
        if run.id in world.runs:
            return showing.open_run(world, world.runs[run.id])
        return showing.run_view(run)

    def show_whole(self, run: Run) -> RunView:
        """A run with its attempts."""
        shown = self.show(run)
        return showing.run_view(run, self.attempts(run), shown.pid, shown.cause)

    def attempts(self, run: Run) -> list[Attempt]:
        """The attempts of a run; of the last one what is known before the ledger is."""
        known = self.history.attempts(run.id)
        living = self.world.living.get(run.id)
        if living is None or living.settled:
            return known
        return [each for each in known if each.number != living.attempt.number] + [living.attempt]


def now() -> datetime:
    """The instant of an answer."""
    return datetime.now(UTC)
