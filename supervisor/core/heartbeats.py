"""Heartbeats: what is told to a URL of the user's about runs, and about the service.

Pure. A dry run is no sign of life. A run that was cancelled or interrupted says
nothing: whether that is trouble, the silence after its start will tell.
"""

from supervisor.core.alert_model import HeartbeatCall, HeartbeatKind
from supervisor.core.model import Job, Run, State


def on_start(job: Job, run: Run) -> list[HeartbeatCall]:
    """The beat of a run that begins; of its later attempts there is none."""
    if job.heartbeat is None or run.dry_run or run.attempt > 1:
        return []
    return [HeartbeatCall(job.name, job.heartbeat, HeartbeatKind.START)]


def on_end(job: Job, run: Run) -> list[HeartbeatCall]:
    """The beat of a run in its final state."""
    if job.heartbeat is None or run.dry_run:
        return []
    if run.state is State.SUCCESS:
        return [HeartbeatCall(job.name, job.heartbeat, HeartbeatKind.SUCCESS)]
    if run.state is State.FAILED:
        return [HeartbeatCall(job.name, job.heartbeat, HeartbeatKind.FAIL, run.cause)]
    return []


def on_tick(url: str | None) -> list[HeartbeatCall]:
    """The service's own beat."""
    return [] if url is None else [HeartbeatCall("", url, HeartbeatKind.SUCCESS)]
