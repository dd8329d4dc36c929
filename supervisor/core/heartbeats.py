"""Heartbeats: calls to a URL of the user about runs and about the service.

Pure. A dry run sends none. A cancelled or interrupted run sends nothing at its end:
the monitor behind the URL decides whether the missing signal is a problem.
`supervisor/notifications/heartbeat_sender.py` makes the calls.
"""

from supervisor.core.alert_model import HeartbeatCall, HeartbeatKind
from supervisor.core.config_model import Job
from supervisor.core.model import Run, State


def on_start(job: Job, run: Run) -> list[HeartbeatCall]:
    """Return the heartbeat for the start of a run's first attempt; [] for later attempts."""
    if job.heartbeat is None or run.dry_run or run.attempt > 1:
        return []
    return [HeartbeatCall(job.name, job.heartbeat, HeartbeatKind.START)]


def on_end(job: Job, run: Run) -> list[HeartbeatCall]:
    """Return the heartbeat for a run in its final state."""
    if job.heartbeat is None or run.dry_run:
        return []
    if run.state is State.SUCCESS:
        return [HeartbeatCall(job.name, job.heartbeat, HeartbeatKind.SUCCESS)]
    if run.state is State.FAILED:
        return [HeartbeatCall(job.name, job.heartbeat, HeartbeatKind.FAIL, run.cause)]
    return []


def on_tick(url: str | None) -> list[HeartbeatCall]:
    """Return the heartbeat of the service itself; [] without a URL."""
    return [] if url is None else [HeartbeatCall("", url, HeartbeatKind.SUCCESS)]
