"""Heartbeats: what is told to a URL of the user's about runs, and about the service.

Pure. A dry run is no sign of life. A run that was cancelled or interrupted says
nothing: whether that is trouble, the silence after its start will tell.
"""

from supervisor.core.alert_model import Beat, Pulse
from supervisor.core.model import Job, Run, State


def begun(job: Job, run: Run) -> list[Beat]:
    """The beat of a run that begins; of its later attempts there is none."""
    if job.heartbeat is None or run.dry_run or run.attempt > 1:
        return []
    return [Beat(job.name, job.heartbeat, Pulse.START)]


def ended(job: Job, run: Run) -> list[Beat]:
    """The beat of a run in its final state."""
    if job.heartbeat is None or run.dry_run:
        return []
    if run.state is State.SUCCESS:
        return [Beat(job.name, job.heartbeat, Pulse.SUCCESS)]
    if run.state is State.FAILED:
        return [Beat(job.name, job.heartbeat, Pulse.FAIL, run.cause)]
    return []


def ticked(url: str | None) -> list[Beat]:
    """The service's own beat."""
    return [] if url is None else [Beat("", url, Pulse.SUCCESS)]
