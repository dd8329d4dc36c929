"""State shared by all request handlers: the published state, the ledger, path parameters."""

import os
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request

from supervisor.api.bridge import DamageSeen, LoopBridge
from supervisor.api.errors import MOST_SHOWN, HttpError
from supervisor.api.limits import ClientLimits
from supervisor.api.parameters import JOB, RUN, USER
from supervisor.api.streams import EventStreams
from supervisor.core import build_views
from supervisor.core.config_model import Job
from supervisor.core.model import Attempt, Peer, Run
from supervisor.core.state import SchedulerState
from supervisor.core.views import RunView
from supervisor.ledger.queries import History

# How many damaged rows are remembered as reported.
MOST_LOGGED_CAUSES = 100


class HandlerContext:
    """The bridge and the state folder, as used by the API thread."""

    def __init__(self, bridge: LoopBridge, folder: Path, limits: ClientLimits) -> None:
        self.bridge = bridge
        self.folder = folder
        self.limits = limits
        self.feed = EventStreams(bridge, folder, limits)
        self._history: History | None = None
        self._logged_causes: set[str] = set()

    @property
    def scheduler(self) -> SchedulerState:
        """Return the published state. Raises: HttpError 503 before the first one."""
        if self.bridge.scheduler is None:
            raise HttpError(503, "the supervisor is starting")
        return self.bridge.scheduler

    @property
    def history(self) -> History:
        """Return the ledger's history.

        Opened at first use, and reopened when the ledger is another file.
        """
        if self._history is not None and not self._history.is_current():
            self._history.close()
            self._history = None
        if self._history is None:
            self._history = History(self.folder, self._tell_damage)
        return self._history

    def _tell_damage(self, cause: str) -> None:
        """Report a row that was left out to the loop, once per cause."""
        if cause not in self._logged_causes:
            self._logged_causes = {cause, *list(self._logged_causes)[:MOST_LOGGED_CAUSES]}
            self.bridge.submit(Peer(os.getuid(), os.getpid()), DamageSeen(cause))

    def job(self, request: Request) -> Job:
        """Return the job named in the path. Raises: HttpError 404."""
        name = JOB.of(request)
        job = self.scheduler.jobs.get(name)
        if job is None:
            raise HttpError(
                404, f'no job is called "{name[:MOST_SHOWN]}"', "nightshift jobs lists them"
            )
        return job

    def run(self, request: Request) -> Run:
        """Return the current state of the run named in the path. Raises: HttpError 404."""
        return self.run_of(RUN.of(request))

    def run_of(self, number: int) -> Run:
        """Return the current state of the run with this number. Raises: HttpError 404."""
        found = self.scheduler.runs.get(number) or self.history.run(number)
        if found is None:
            raise HttpError(404, f"no run {number} is known", "nightshift history lists them")
        return found

    def run_view(self, run: Run) -> RunView:
        """Return the view of a run: its current state if it is open, else as given."""
        scheduler = self.scheduler
        if run.id in scheduler.runs:
            return build_views.open_run(scheduler, scheduler.runs[run.id])
        return build_views.run_view(run)

    def run_view_with_attempts(self, run: Run) -> RunView:
        """Return the view of a run with its attempts."""
        shown = self.run_view(run)
        return build_views.run_view(run, self.attempts(run), shown.pid, shown.cause)

    def attempts(self, run: Run) -> list[Attempt]:
        """Return the attempts of a run.

        A running attempt comes from the published state, which is newer than the ledger.
        """
        known = self.history.attempts(run.id)
        live = self.scheduler.live_attempts.get(run.id)
        if live is None or live.exited:
            return known
        return [each for each in known if each.number != live.attempt.number] + [live.attempt]


def peer_of(request: Request) -> Peer:
    """Return the client of a request. Raises: HttpError if the name it gives is invalid."""
    uid, pid = request.client if request.client is not None else ("-1", 0)
    return Peer(int(uid), pid, USER.of(request))


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
