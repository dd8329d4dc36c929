"""Rules of a leader for attempts that run on the hosts of its cluster.

A host contains an attempt and judges its end; here follows what becomes of the run:
success, another attempt (perhaps on another host), or an end. A host that is lost leaves
its attempts to the rule `if_lost` of their jobs.
"""

import msgspec

from supervisor.core import attempts, verdict
from supervisor.core.config_model import IfLost
from supervisor.core.events import HostLost, Judged, NotBegun, Restored, TreeEmpty
from supervisor.core.incidents import NO_HOST, REPORTED
from supervisor.core.model import Attempt, Reason, Run, State, replace
from supervisor.core.state import LiveAttempt
from supervisor.core.turn import LEFT_TO_THE_HOST_S, Turn
from supervisor.core.verdict import Verdict, WorkerMessages
from workers.protocol import Done

# What the ledger has in place of a secret parameter (redaction/request_secrets.py).
_MASKED = '"***"'


def on_judged(turn: Turn, event: Judged, live: LiveAttempt) -> None:
    """Take over the verdict of the host, and free what the attempt held."""
    is_success = event.state is State.SUCCESS
    incident = event.incident if event.incident in REPORTED else ""
    cause = f"{event.cause} (on {event.host})" if event.cause else f"on {event.host}"
    found = Verdict(event.state, event.reason, cause, event.exit_status, event.problem, incident)
    if live.forced_verdict is not None and not is_success:
        found = live.forced_verdict
    if is_success and event.result_json is not None:
        done = Done(msgspec.json.decode(event.result_json))
        live = replace(live, reported=WorkerMessages(done=done))
    attempts.settle_verdict(turn, live, found)
    turn.close_incidents(live.job.name, NO_HOST)
    empty = TreeEmpty(
        event.at, event.run, event.attempt, event.strays, event.cpu_s, event.max_rss_bytes,
        event.log_bytes,
    )  # fmt: skip
    attempts.on_tree_empty(turn, empty, turn.scheduler.live_attempts[live.run])


def on_not_begun(turn: Turn, event: NotBegun, live: LiveAttempt) -> None:
    """Put the run back into the queue, or end it if its end was asked for."""
    run = turn.scheduler.runs[live.run]
    if live.forced_verdict is not None:
        attempts.settle_verdict(turn, live, live.forced_verdict)
        turn.free_place(turn.scheduler.live_attempts[live.run])
        return
    turn.undo_launch(replace(run, cause=event.error))
    if event.error:
        turn.open_incident(run.job, NO_HOST, event.error, run.id)


def on_host_lost(turn: Turn, event: HostLost, live: LiveAttempt) -> None:
    """Interrupt the attempt, by the rule of its job: it goes on elsewhere, ends, or waits."""
    if live.job.if_lost is IfLost.WAIT and not event.is_final:
        turn.note(f"host {event.host} is silent; the run waits for it", "warning")
        return
    cause = f"host {event.host} was lost while it ran there"
    found = live.forced_verdict or Verdict(State.INTERRUPTED, Reason.LOST, cause)
    attempts.settle_verdict(turn, live, found)
    turn.free_place(turn.scheduler.live_attempts[live.run])


def adopt(turn: Turn, run: Run, event: Restored) -> None:
    """Go on with an open run of the leader before, which recorded it as it is."""
    held = event.held or frozenset()
    job = turn.scheduler.definition(run.job)
    is_held = run.state is State.RUNNING and (run.id, run.attempt) in held
    if _MASKED in run.set_json and not is_held:
        cause = "its parameters are secret, and only the leader before knew them"
        turn.finish(run, Verdict(State.INTERRUPTED, Reason.CRASH, cause))
        return
    if run.state is State.RETRYING and run.next_attempt_at is not None:
        left_s = (run.next_attempt_at - turn.now).total_seconds()
        most_s = job.retry_max_delay_s if job is not None else 0.0
        at = turn.at.mono + min(max(0.0, left_s), most_s)
        turn.scheduler.retry_at = turn.scheduler.retry_at.set(run.id, at)
    if run.state is not State.RUNNING:
        return
    was_cancelled = verdict.of_cancelled(run)
    if not is_held and was_cancelled is not None:
        turn.finish(run, was_cancelled)
        return
    if not is_held:
        # It was recorded and never handed out: no record, no launch.
        before = run.attempt - 1
        started_at = run.started_at if before else None
        turn.save_run(replace(run, state=State.PENDING, attempt=before, started_at=started_at))
        return
    if job is None:
        return
    recorded = (each for each in event.memory.attempts if each.run == run.id)
    begun = Attempt(run.id, run.attempt, run.started_at or turn.now)
    attempt = next((each for each in recorded if each.number == run.attempt), begun)
    groups = tuple(group for group in (job.exclusive, run.batch) if group)
    job = replace(job, timeout_s=None, kill_grace_s=LEFT_TO_THE_HOST_S)
    live = LiveAttempt(run.id, job, attempt, groups, None)
    turn.set_live(live)
    if was_cancelled is not None:
        attempts.request_end(turn, live, was_cancelled, job.kill_grace_s)
    for group in groups:
        turn.scheduler.groups = turn.scheduler.groups.set(group, run.id)
