"""Refusals of requests that several requests share."""

import difflib

from supervisor.core import cluster_hosts
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


def require_host(turn: Turn, job: Job, name: str) -> None:
    """Refuse a run that is asked for on a host that cannot run it."""
    scheduler, cluster = turn.scheduler, turn.scheduler.config.cluster
    if cluster is None:
        hint = "leave out --on: every job runs on this host"
        raise RequestRefusedError(ReplyStatus.BAD, "jobs.yaml has no cluster", hint)
    if not scheduler.is_leader:
        if name != cluster.host:
            text = f"{job.name} is a job of each host, and this one is {cluster.host}, not {name}"
            hint = f"ask on {name}: nightshift run {job.name} --socket STATE/nightshift.sock"
            raise RequestRefusedError(ReplyStatus.CONFLICT, text, hint)
        return
    if not scheduler.hosts:
        text = "the leader has just begun and has not seen the hosts yet"
        raise RequestRefusedError(ReplyStatus.UNAVAILABLE, text, "ask again in a second")
    error, hint = cluster_hosts.why_refused(scheduler.hosts, job, name)
    if error:
        is_known = any(host.name == name for host in scheduler.hosts)
        answer = ReplyStatus.CONFLICT if is_known else ReplyStatus.UNKNOWN
        raise RequestRefusedError(answer, error, hint)


def unknown_job(turn: Turn, name: str) -> RequestRefusedError:
    """Return the refusal of a request for a job that this service does not decide about."""
    scheduler = turn.scheduler
    if name in scheduler.config.on_each:
        text = f"{name} is a job of each host, which runs it for itself"
        hint = f"ask a host for it: nightshift run {name} --socket STATE/nightshift.sock"
        return RequestRefusedError(ReplyStatus.CONFLICT, text, hint)
    near = difflib.get_close_matches(name, scheduler.jobs, 1)
    hint = f'did you mean "{near[0]}"?' if near else "nightshift jobs lists them"
    return RequestRefusedError(ReplyStatus.UNKNOWN, f'no job is called "{name}"', hint)
