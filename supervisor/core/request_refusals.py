"""Refusals of requests that several requests share."""

from supervisor.core.config_model import Job
from supervisor.core.control_requests import ReplyStatus
from supervisor.core.state import ServicePhase
from supervisor.core.turn import Turn


class RequestRefusedError(Exception):
    """Refusal of a request, with its status, error text and hint."""

    def __init__(self, answer: ReplyStatus, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.answer, self.error, self.hint = answer, error, hint


def require_serving(turn: Turn) -> None:
    """Refuse a request while the service stops or cannot record anything."""
    if turn.scheduler.life is not ServicePhase.SERVING:
        raise RequestRefusedError(ReplyStatus.UNAVAILABLE, "the supervisor is stopping")
    if turn.scheduler.ledger_error:
        raise RequestRefusedError(
            ReplyStatus.UNAVAILABLE,
            f"the ledger cannot be written: {turn.scheduler.ledger_error}",
        )


def require_decided_here(turn: Turn, job: Job) -> None:
    """Refuse what only the leader of this host's cluster may decide."""
    cluster = turn.scheduler.config.cluster
    is_host = cluster is not None and not turn.scheduler.is_leader
    if cluster is not None and is_host and job.name in turn.scheduler.jobs and not job.is_on_each:
        raise RequestRefusedError(
            ReplyStatus.UNAVAILABLE,
            f"{job.name} is a job of the cluster {cluster.name}, which does not answer here",
            "try again when its agent has joined: nightshift cluster status",
        )
