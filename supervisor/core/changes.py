"""What changed in a turn, as values for readers that follow the service.

Pure. `counters.transitions` finds the runs; here are incidents, alerts, pauses and
reloads. `api/bridge.py` numbers the changes, `api/streams.py` sends them.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Problem
from supervisor.core.effects import Action, Record, RecordPause
from supervisor.core.model import JobRecord, Pause, Run
from supervisor.core.state import SchedulerState


class PauseChange(Struct, frozen=True):
    """A pause that began, changed or ended; job "": of all jobs.

    paused: whether it is in force. until None: until resumed.
    """

    job: str
    paused: bool
    until: datetime | None = None
    by: str = ""
    reason: str = ""


class ReloadChange(Struct, frozen=True):
    """A text of jobs.yaml that was taken, or refused for these problems."""

    accepted: bool
    problems: tuple[Problem, ...] = ()


class AlertChange(Struct, frozen=True):
    """An alert that was recorded, delivered, or could not be delivered.

    word: what it reports, such as `failed` or `recovered`. error: of the last try.
    """

    id: int
    incident: int
    job: str
    kind: str
    word: str
    delivered_at: datetime | None
    attempts: int
    error: str


Changed = Run | Incident | AlertChange | PauseChange | ReloadChange


def beside_runs(
    before: SchedulerState, after: SchedulerState, actions: Iterable[Action]
) -> list[Changed]:
    """Return the changed incidents, alerts, pauses and definitions of a turn, in order."""
    found: list[Changed] = []
    for action in actions:
        if type(action) is Record:
            row = action.row
            if type(row) is Incident:
                found.append(row)
            elif type(row) is Alert:
                found.append(_alert(row))
            elif type(row) is JobRecord:
                known = before.job_records.get(row.job)
                if row.pause != (None if known is None else known.pause):
                    found.append(_pause(row.job, row.pause))
        elif type(action) is RecordPause:
            found.append(_pause("", action.pause))
    if after.config is not before.config:
        found.append(ReloadChange(True))
    elif after.problems and after.problems is not before.problems:
        found.append(ReloadChange(False, after.problems))
    return found


def _pause(job: str, pause: Pause | None) -> PauseChange:
    if pause is None:
        return PauseChange(job, False)
    return PauseChange(job, True, pause.until, pause.by, pause.reason)


def _alert(row: Alert) -> AlertChange:
    return AlertChange(
        row.id,
        row.incident,
        row.job,
        row.kind,
        str(row.word),
        row.delivered_at,
        row.attempts,
        row.error,
    )
