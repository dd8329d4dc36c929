"""Results of a simulated service, in the short forms that tests compare."""

from datetime import datetime

from supervisor.core import build_views, effects
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.model import Run
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts, Status
from tests.core.simulated_ledger import Ledger


class Results:
    """Reads the ledger, the state and the actions of a service."""

    ledger: Ledger
    scheduler: SchedulerState
    actions: list[effects.Action]
    wall: datetime

    @property
    def alerts(self) -> list[Alert]:
        """Return all alerts, oldest first."""
        return list(self.ledger.alerts.values())

    def runs(self, name: str) -> list[Run]:
        """Return all runs of a job, oldest first."""
        return [run for run in self.ledger.runs.values() if run.job == name]

    def run(self, name: str) -> Run:
        """Return the newest run of a job."""
        return self.runs(name)[-1]

    def states(self, name: str) -> list[str]:
        """Return the states of a job's runs, oldest first."""
        return [str(run.state) for run in self.runs(name)]

    def slots(self, name: str) -> list[str]:
        """Return `05 02:00` for each run of a job that fulfils a slot."""
        return [f"{run.slot:%d %H:%M}" for run in self.runs(name) if run.slot]

    def words(self, name: str = "") -> list[str]:
        """Return `exit opened`: kind and word of each alert about a job ("": the service)."""
        return [f"{each.kind} {each.word}" for each in self.alerts if each.job == name]

    def incidents(self, name: str = "") -> list[Incident]:
        """Return the open incidents of a job ("": of the service)."""
        return [
            each
            for each in self.ledger.incidents.values()
            if each.job == name and each.closed_at is None
        ]

    def notes(self) -> list[str]:
        """Return all log lines."""
        return [action.text for action in self.actions if isinstance(action, effects.Note)]

    def status(self) -> Status:
        """Return the data that `nightshift status` shows."""
        facts = Facts("0", 1, self.wall, "jobs.yaml", self.wall)
        return build_views.status(self.scheduler, facts, self.wall, self.mono)

    def waits(self, name: str) -> str:
        """Return what the job's open run waits for, according to `status`."""
        return next(run.cause for run in self.status().runs if run.job == name)

    def next_at(self, name: str) -> datetime | None:
        """Return the job's next slot, according to `status`."""
        return next(each.next_at for each in self.status().jobs if each.name == name)
