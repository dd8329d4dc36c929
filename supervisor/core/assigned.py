"""Rules for attempts that the leader of a cluster assigns to this host.

An assigned attempt is a run here: without slot, dependencies or retries, since the leader
decides about these. It runs only while the cluster confirms this host. After `fence_at`
the leader may give the attempt to another host, so it must not go on here.
"""

from supervisor.core import attempts
from supervisor.core.config_model import IfLost
from supervisor.core.control_requests import AssignRun, ConfirmHost, Reply, ReplyStatus
from supervisor.core.model import Reason, Run, State, Trigger
from supervisor.core.state import ServicePhase
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict

_CUT_OFF = Verdict(State.INTERRUPTED, Reason.ALONE, "this host had no word from its cluster")


def handle(turn: Turn, token: int, request: AssignRun | ConfirmHost) -> Reply:
    """Return the reply: for an assignment, the run it is or becomes."""
    if isinstance(request, ConfirmHost):
        turn.scheduler.fence_at = turn.at.mono + request.for_s
        turn.scheduler.fence_grace_s = request.grace_s
        return Reply(token, ReplyStatus.OK)
    known = _known(turn, request)
    if known is not None:
        return Reply(token, ReplyStatus.OK, (known.id,))
    job = turn.scheduler.jobs.get(request.job)
    if job is None or not job.enabled:
        return Reply(token, ReplyStatus.UNKNOWN, (), f"no job {request.job} runs here")
    if turn.scheduler.life is not ServicePhase.SERVING or turn.scheduler.ledger_error:
        why = turn.scheduler.ledger_error or "the supervisor is stopping"
        return Reply(token, ReplyStatus.UNAVAILABLE, (), why)
    if turn.scheduler.fence_at is None:
        return Reply(token, ReplyStatus.CONFLICT, (), _CUT_OFF.cause)
    run = turn.open_run(
        job,
        request.due,
        Trigger.ASSIGNED,
        after=(),
        batch=str(request.key),
        set_json=request.set_json,
        dry_run=request.dry_run,
    )
    return Reply(token, ReplyStatus.OK, (run.id,))


def check_fence(turn: Turn) -> None:
    """End the assigned attempts that another host may begin, once the confirmation is over.

    Those that no other host will begin may end by themselves.
    """
    fence_at = turn.scheduler.fence_at
    if fence_at is None or turn.at.mono < fence_at:
        return
    turn.scheduler.fence_at = None
    turn.note("no word from the cluster: assigned runs that may begin elsewhere end", "error")
    for run in list(turn.scheduler.runs.values()):
        if run.trigger is Trigger.ASSIGNED and _may_begin_elsewhere(turn, run):
            _end(turn, run, fence_at - turn.at.mono)


def _end(turn: Turn, run: Run, left_s: float) -> None:
    """End an assigned run. left_s: to the fence; below zero since it has passed."""
    live = turn.scheduler.live_attempts.get(run.id)
    if live is None:
        turn.finish(run, _CUT_OFF)
    else:
        # Counted from the fence: a host that was frozen meanwhile has no time left.
        grace_s = min(live.job.kill_grace_s, turn.scheduler.fence_grace_s) + left_s
        attempts.request_end(turn, live, _CUT_OFF, max(0.0, grace_s))


def _may_begin_elsewhere(turn: Turn, run: Run) -> bool:
    job = turn.scheduler.jobs.get(run.job)
    return job is None or job.if_lost is IfLost.AGAIN or job.exclusive is not None


def _known(turn: Turn, request: AssignRun) -> Run | None:
    """Return the run of this assignment, open or the job's last; dry runs count here."""
    key, last = str(request.key), turn.scheduler.last_assigned.get(request.job)
    runs = [*turn.scheduler.open_runs_of(request.job), *([last] if last else [])]
    return next((run for run in runs if run.batch == key), None)
