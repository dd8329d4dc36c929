"""What every answer stands on: the published world, the ledger, the words of a path."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request

from supervisor.api.answers import Problem
from supervisor.core import view
from supervisor.core.model import Job, Run
from supervisor.core.world import World
from supervisor.desk import Desk
from supervisor.ledger.history import History

# A calendar cannot be asked at the ends of time, nor before the last zone changed at midnight.
_YEARS = range(2012, 9000)


class Ground:
    """One desk and one state folder, as the API's thread sees them."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self._history: History | None = None

    @property
    def world(self) -> World:
        """The published world."""
        if self.desk.world is None:
            raise Problem(503, "the supervisor is starting")
        return self.desk.world

    @property
    def history(self) -> History:
        """The ledger, opened by this thread at its first use."""
        if self._history is None:
            self._history = History(self.folder)
        return self._history

    def job(self, request: Request) -> Job:
        """The job that the path names."""
        name = request.path_params["job"]
        job = self.world.jobs.get(name)
        if job is None:
            raise Problem(404, f'no job is called "{name}"', "nightshift jobs lists them")
        return job

    def run(self, request: Request) -> Run:
        """The run that the path names, as it is now."""
        number = number_in(request.path_params["run"], "run")
        found = self.world.runs.get(number) or self.history.run(number)
        if found is None:
            raise Problem(404, f"no run {number} is known", "nightshift history lists them")
        return found

    def show_number(self, number: int) -> view.RunView:
        run = self.world.runs.get(number) or self.history.run(number)
        if run is None:
            raise Problem(404, f"no run {number} is known")
        return self.show(run)

    def show(self, run: Run) -> view.RunView:
        if run.id in self.world.runs:
            return view.open_run(self.world, self.world.runs[run.id])
        return view.run_view(run)

    def show_whole(self, run: Run) -> view.RunView:
        shown = self.show(run)
        return view.run_view(run, self.history.attempts(run.id), shown.pid, shown.cause)


def now() -> datetime:
    return datetime.now(UTC)


def number_in(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(422, f'{name} "{text[:40]}": expected a whole number')
    return int(text)


def instant_in(text: str, name: str) -> datetime:
    with contextlib.suppress(ValueError, OverflowError):
        # A plus sign in a query string means a blank.
        instant = datetime.fromisoformat(text.replace(" ", "+"))
        if instant.tzinfo is not None and instant.year in _YEARS:
            return instant.astimezone(UTC)
    raise Problem(
        422,
        f'{name} "{text[:40]}": expected RFC 3339 with an offset, such as 2026-02-09T00:00:00Z',
    )
