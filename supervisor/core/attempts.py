"""Rules for one attempt, from its launch until its process tree is empty.

Covers worker messages, exits and the attempt's own timers: SIGTERM at the deadline,
SIGKILL after the grace period, and release of the pool place if processes survive that.
The run changes state when its main process has ended (`settle_verdict`). Pool place,
groups and job are released when the tree is empty (`on_tree_empty`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeGuard

import msgspec

from supervisor.core import retry, verdict
from supervisor.core.config_model import IfLost
from supervisor.core.effects import KillStep, Record, Signal
from supervisor.core.events import (
    Exited,
    KeeperLost,
    LaunchFailed,
    MessageReceived,
    Started,
    Survived,
    TreeEmpty,
)
from supervisor.core.incidents import UNKILLABLE
from supervisor.core.model import Progress, Reason, Run, State, Trigger, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import LiveAttempt
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict
from workers import protocol

# A tree that outlives SIGKILL by the grace period and this time does not end by itself.
UNKILLABLE_AFTER_S = 5.0
# After the keeper is killed too, `TreeEmpty` or `Survived` follows within this time or never.
ANSWER_WITHIN_S = 3.0
# Metric names kept for each job. Workers choose the names, so the number must be bounded.
MOST_METRICS = 100
_BEYOND = 1e300
# Maximum number of times that an interrupted run is resumed.
MOST_INTERRUPTIONS = 3


def on_started(turn: Turn, event: Started, live: LiveAttempt) -> None:
    """Record the pid of the started process."""
    attempt = replace(live.attempt, pid=event.pid)
    turn.set_live(replace(live, attempt=attempt))
    turn.actions.append(Record(attempt, soon=True))


def on_message(turn: Turn, event: MessageReceived, live: LiveAttempt) -> None:
    """Process a worker message.

    `Done`, `Failed` and the first `Garbage` are kept for the verdict; progress, metrics
    and log lines are published.
    """
    reported = live.reported
    run = turn.scheduler.runs.get(event.run)
    match event.message:
        case protocol.Progress(done, total, unit) if run is not None:
            seconds = (turn.now - live.attempt.started_at).total_seconds()
            # Zero or negative after the clock was set back.
            rate = done / seconds if seconds > 0 else None
            moved = replace(run, progress=Progress(done, total, unit, rate))
            turn.scheduler.runs = turn.scheduler.runs.set(run.id, moved)
        case protocol.Metric(name, value):
            store_metrics(turn, live.job.name, {name: value})
        case protocol.Log(level, text):
            turn.note(text, level, run=run)
        case protocol.Done() as done_:
            turn.set_live(replace(live, reported=replace(reported, done=done_)))
        case protocol.Failed() as failed:
            turn.set_live(replace(live, reported=replace(reported, failed=failed)))
        case protocol.Garbage() as garbage if reported.garbage is None:
            turn.set_live(replace(live, reported=replace(reported, garbage=garbage)))
        case _:
            pass


def on_exited(turn: Turn, event: Exited, live: LiveAttempt) -> None:
    """Settle the verdict, the state and `ended_at` when the main process has exited."""
    own = verdict.from_wait_status(live.job, event.wait_status, live.reported, event.cpu_s)
    # A worker that reported `done` has succeeded, even if a timeout or cancel came meanwhile.
    finished = own.state is State.SUCCESS and live.reported.done is not None
    found = own if live.forced_verdict is None or finished else live.forced_verdict
    attempt = replace(live.attempt, wait_status=event.wait_status)
    settle_verdict(turn, replace(live, attempt=attempt), found)


def on_launch_failed(turn: Turn, event: LaunchFailed, live: LiveAttempt) -> None:
    """Fail the attempt whose process could not be started, and release its place."""
    settle_verdict(turn, live, live.forced_verdict or verdict.not_launched(event.error))
    turn.free_place(turn.scheduler.live_attempts[event.run])


def on_keeper_lost(turn: Turn, event: KeeperLost, live: LiveAttempt) -> None:
    """Interrupt the attempt whose keeper died, unless its process has exited."""
    if not live.exited:
        settle_verdict(turn, live, live.forced_verdict or verdict.keeper_lost())


def on_tree_empty(turn: Turn, event: TreeEmpty, live: LiveAttempt) -> None:
    """Record strays and resource usage of the attempt, and release its place."""
    if not live.exited:
        settle_verdict(turn, live, live.forced_verdict or verdict.keeper_lost())
        live = turn.scheduler.live_attempts[event.run]
    turn.actions.append(
        Record(
            replace(
                live.attempt,
                strays=event.strays,
                cpu_s=event.cpu_s,
                max_rss_bytes=event.max_rss_bytes,
            )
        )
    )
    turn.scheduler.strays_killed += len(event.strays)
    turn.scheduler.output_bytes_dropped += event.dropped_bytes
    run = turn.scheduler.runs.get(event.run) or live.outcome
    if run is not None:
        _usage(turn, run, event)
    turn.free_place(live)


def survived(turn: Turn, event: Survived, live: LiveAttempt) -> None:
    """Open an incident that names the processes that survive SIGKILL, and release the place."""
    named = "; ".join(event.left) or "which ones is not known"
    cause = f"processes of run {live.run} survive SIGKILL: {named}"
    turn.open_incident(live.job.name, UNKILLABLE, cause, live.run)
    if not live.exited:
        settle_verdict(turn, live, live.forced_verdict or verdict.keeper_lost())
        live = turn.scheduler.live_attempts[live.run]
    turn.free_place(live)


def settle_verdict(turn: Turn, live: LiveAttempt, found: Verdict) -> None:
    """End the attempt with this verdict and move the run to its next or final state."""
    run = turn.scheduler.runs[live.run]
    attempt = replace(live.attempt, ended_at=turn.now, reason=found.reason, cause=found.cause)
    turn.actions.append(Record(attempt))
    run = replace(run, exit_status=found.exit_status, incident=found.incident)
    if found.state is State.SUCCESS and live.reported.done is not None:
        result = live.reported.done.result
        run = replace(run, result_json=msgspec.json.encode(result).decode())
        if not run.dry_run:
            store_metrics(turn, run.job, result)
    run = _next_state(turn, run, live, found)
    give_up_at = turn.at.mono + live.job.kill_grace_s + UNKILLABLE_AFTER_S
    turn.set_live(
        replace(
            live,
            attempt=attempt,
            deadline=None,
            kill_at=None,
            give_up_at=live.give_up_at if live.is_abandoned else give_up_at,
            exited=True,
            outcome=None if run.state.is_open else run,
        )
    )


def store_metrics(turn: Turn, job: str, found: Mapping[str, protocol.Scalar]) -> None:
    """Store the numeric values among these as the latest metrics of the job."""
    if turn.scheduler.definition(job) is None:  # the job was removed while the attempt ran
        return
    known: PersistentMap[str, float] = turn.scheduler.metrics.get(job) or PersistentMap()
    for name, value in found.items():
        if _is_number(value) and (name in known or len(known) < MOST_METRICS):
            known = known.set(name, float(value))
    turn.scheduler.metrics = turn.scheduler.metrics.set(job, known)


def cancel(turn: Turn, run: Run, found: Verdict) -> None:
    """Cancel an open run: at once if it is not running, else by SIGTERM and SIGKILL."""
    live = turn.scheduler.live_attempts.get(run.id)
    if run.state is State.RUNNING and live is not None:
        turn.save_run(replace(run, reason=found.reason, cause=found.cause))  # never begun again
        request_end(turn, live, found, live.job.kill_grace_s)
    else:
        final = turn.finish(run, found)
        if live is not None:  # the process has exited, its tree is not empty
            turn.set_live(replace(live, outcome=final))


def request_end(turn: Turn, live: LiveAttempt, forced: Verdict, grace_s: float) -> None:
    """Send SIGTERM now and SIGKILL after the grace period, and force the verdict `forced`.

    A second call sends no second SIGTERM and can only bring SIGKILL forward.
    """
    if live.exited:
        return
    is_ending = live.kill_at is not None
    kill_at = turn.at.mono + grace_s
    if live.kill_at is not None:
        kill_at = min(kill_at, live.kill_at)
    turn.set_live(replace(live, forced_verdict=forced, deadline=None, kill_at=kill_at))
    if not is_ending:
        turn.actions.append(Signal(live.run, live.attempt.number, KillStep.TERM))


def expire(turn: Turn) -> None:
    """Act on each expired timer of a live attempt."""
    for live in turn.scheduler.live_attempts.values():
        deadline = live.next_deadline()
        if deadline is not None and deadline <= turn.at.mono:
            _expire(turn, live)


def start_due_retries(turn: Turn) -> None:
    """Enqueue the runs whose retry delay has elapsed."""
    for number, at in turn.scheduler.retry_at.items():
        if at <= turn.at.mono:
            turn.save_run(
                replace(turn.scheduler.runs[number], state=State.PENDING, next_attempt_at=None)
            )


def retry_in(turn: Turn, run: Run, delay_s: float, cause: str, reason: Reason | None) -> Run:
    """Schedule the next attempt of the run in `delay_s` seconds and return the run."""
    waiting = replace(
        run,
        state=State.RETRYING,
        reason=reason,
        cause=cause,
        next_attempt_at=turn.now + timedelta(seconds=delay_s),
    )
    turn.scheduler.retry_at = turn.scheduler.retry_at.set(run.id, turn.at.mono + delay_s)
    turn.save_run(waiting)
    turn.note(f"retrying in {delay_s:.0f}s: {cause}", "warning", run=waiting)
    return waiting


def _is_number(value: protocol.Scalar) -> TypeGuard[float]:
    """Return whether the value is a finite number that fits a float; JSON allows larger ones."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _BEYOND


def _next_state(turn: Turn, run: Run, live: LiveAttempt, found: Verdict) -> Run:
    job = turn.scheduler.definition(run.job) or live.job
    if found.state is State.INTERRUPTED:
        return _interrupt(turn, run, live, found)
    if found.state is State.FAILED and found.reason is not None:
        is_wanted = turn.scheduler.definition(run.job) is not None and job.enabled
        if is_wanted and retry.is_allowed(job, found.reason, run.retries_used):
            delay_s = retry.delay_s(job, run.retries_used, turn.at.dice)
            again = replace(run, retries_used=run.retries_used + 1)
            return retry_in(turn, again, delay_s, found.cause, found.reason)
    return turn.finish(run, found)


def _interrupt(turn: Turn, run: Run, live: LiveAttempt, found: Verdict) -> Run:
    run = replace(run, interruptions=run.interruptions + 1)
    known = turn.scheduler.definition(run.job)
    if run.interruptions > MOST_INTERRUPTIONS or known is None or not known.enabled:
        return turn.finish(run, found)
    if run.trigger is Trigger.ASSIGNED:  # its leader decides whether and where it goes on
        return turn.finish(run, found)
    if turn.scheduler.is_leader and live.job.if_lost is IfLost.NEVER:
        return turn.finish(run, found)
    if found.reason is Reason.SHUTDOWN and run.slot is None:
        return turn.finish(run, found)  # manual and start-up runs are not resumed
    delay_s = retry.delay_s(known, 0, turn.at.dice)
    return retry_in(turn, run, delay_s, found.cause, found.reason)


def _usage(turn: Turn, run: Run, event: TreeEmpty) -> None:
    """Add the usage measured by the keeper to the run."""
    cpu_s = (run.cpu_s or 0) + (event.cpu_s or 0)
    changed = replace(
        run,
        strays=(*run.strays, *event.strays)[:20],
        cpu_s=cpu_s,
        max_rss_bytes=max(run.max_rss_bytes or 0, event.max_rss_bytes or 0),
        log_bytes=event.log_bytes,
    )
    if changed.state.is_open:
        turn.save_run(changed)
    else:
        turn.actions.append(Record(changed))
        if turn.scheduler.last_run.get(run.job) is run:
            turn.scheduler.last_run = turn.scheduler.last_run.set(run.job, changed)
        if turn.scheduler.last_assigned.get(run.job) is run:
            turn.scheduler.last_assigned = turn.scheduler.last_assigned.set(run.job, changed)
    if event.strays:
        turn.note(f"left behind and killed: {'; '.join(event.strays)}", "warning", run=changed)
    if event.log_lost:
        turn.note(f"its output was not kept: {event.log_lost}", "warning", run=changed)


def _expire(turn: Turn, live: LiveAttempt) -> None:
    mono, run, number = turn.at.mono, live.run, live.attempt.number
    if live.give_up_at is not None and live.give_up_at <= mono:
        if live.is_abandoned:
            survived(turn, Survived(turn.at, run, number), live)
        else:
            _abandon(turn, live)
    elif live.kill_at is not None and live.kill_at <= mono:
        give_up_at = mono + live.job.kill_grace_s + UNKILLABLE_AFTER_S
        turn.set_live(replace(live, kill_at=None, give_up_at=give_up_at))
        turn.actions.append(Signal(run, number, KillStep.KILL))
    elif live.deadline is not None and live.deadline <= mono:
        request_end(turn, live, verdict.timed_out(live.job), live.job.kill_grace_s)


def _abandon(turn: Turn, live: LiveAttempt) -> None:
    """Kill the keeper of a tree that outlived SIGKILL, since the keeper may be at fault."""
    forced = live.forced_verdict or (None if live.exited else verdict.timed_out(live.job))
    turn.set_live(
        replace(
            live,
            forced_verdict=forced,
            give_up_at=turn.at.mono + ANSWER_WITHIN_S,
            is_abandoned=True,
        )
    )
    turn.actions.append(Signal(live.run, live.attempt.number, KillStep.ABANDON))
