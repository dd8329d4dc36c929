"""One attempt from its launch to its empty tree.

What its process says, how it ends, what its own timers do: TERM at the
deadline, KILL after the grace, and, where even that does not help, giving up
the place. A run moves on when its own process has ended (`settle`); place,
group and job are free when the tree is empty (`emptied`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeGuard

import msgspec

from supervisor.core import retry, verdict
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
from supervisor.core.model import Progress, Reason, Run, State, replace
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import LiveAttempt
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict
from workers import protocol

# After SIGKILL and the grace, a tree that is still there will not go.
UNKILLABLE_AFTER_S = 5.0
# When its keeper was killed as well, an answer comes within this, or not at all.
ANSWER_WITHIN_S = 3.0
# Names come from workers: so many are kept of a job, further ones are not.
MOST_METRICS = 100
_BEYOND = 1e300
# An interrupted run is taken up again at most so often.
MOST_INTERRUPTIONS = 3


def on_started(turn: Turn, event: Started, living: LiveAttempt) -> None:
    """The process lives: its pid goes into the ledger."""
    attempt = replace(living.attempt, pid=event.pid)
    turn.set_live(replace(living, attempt=attempt))
    turn.actions.append(Record(attempt, soon=True))


def on_message(turn: Turn, event: MessageReceived, living: LiveAttempt) -> None:
    """The worker spoke: what matters at its end is kept, the rest is shown."""
    heard = living.reported
    run = turn.world.runs.get(event.run)
    match event.message:
        case protocol.Progress(done, total, unit) if run is not None:
            seconds = (turn.now - living.attempt.started_at).total_seconds()
            # Not so long after a clock was put back.
            rate = done / seconds if seconds > 0 else None
            moved = replace(run, progress=Progress(done, total, unit, rate))
            turn.world.runs = turn.world.runs.set(run.id, moved)
        case protocol.Metric(name, value):
            store_metrics(turn, living.job.name, {name: value})
        case protocol.Log(level, text):
            turn.note(text, level, run=run)
        case protocol.Done() as done_:
            turn.set_live(replace(living, reported=replace(heard, done=done_)))
        case protocol.Failed() as failed:
            turn.set_live(replace(living, reported=replace(heard, failed=failed)))
        case protocol.Garbage() as garbage if heard.garbage is None:
            turn.set_live(replace(living, reported=replace(heard, garbage=garbage)))
        case _:
            pass


def on_exited(turn: Turn, event: Exited, living: LiveAttempt) -> None:
    """The process ended: verdict, state and `ended_at` are settled now."""
    own = verdict.from_wait_status(living.job, event.wait_status, living.reported, event.cpu_s)
    # A worker that had said `done` had done it, whatever we wished meanwhile.
    finished = own.state is State.SUCCESS and living.reported.done is not None
    found = own if living.forced_verdict is None or finished else living.forced_verdict
    attempt = replace(living.attempt, wait_status=event.wait_status)
    settle_verdict(turn, replace(living, attempt=attempt), found)


def on_launch_failed(turn: Turn, event: LaunchFailed, living: LiveAttempt) -> None:
    """No process came of it; a failed attempt like any other, its tree empty."""
    settle_verdict(turn, living, living.forced_verdict or verdict.not_launched(event.error))
    turn.free_place(turn.world.living[event.run])


def on_keeper_lost(turn: Turn, event: KeeperLost, living: LiveAttempt) -> None:
    """Its keeper died under it: an interrupted attempt, unless it had ended."""
    if not living.exited:
        settle_verdict(turn, living, living.forced_verdict or verdict.keeper_lost())


def on_tree_empty(turn: Turn, event: TreeEmpty, living: LiveAttempt) -> None:
    """Nothing of it lives: its account is complete and its place free."""
    if not living.exited:
        settle_verdict(turn, living, living.forced_verdict or verdict.keeper_lost())
        living = turn.world.living[event.run]
    turn.actions.append(
        Record(
            replace(
                living.attempt,
                strays=event.strays,
                cpu_s=event.cpu_s,
                max_rss_bytes=event.max_rss_bytes,
            )
        )
    )
    turn.world.strays_killed += len(event.strays)
    turn.world.output_bytes_dropped += event.dropped_bytes
    run = turn.world.runs.get(event.run) or living.outcome
    if run is not None:
        _usage(turn, run, event)
    turn.free_place(living)


def survived(turn: Turn, event: Survived, living: LiveAttempt) -> None:
    """What SIGKILL does not end is reported by name, and its place released."""
    named = "; ".join(event.left) or "which ones is not known"
    cause = f"processes of run {living.run} survive SIGKILL: {named}"
    turn.open_incident(living.job.name, UNKILLABLE, cause, living.run)
    if not living.exited:
        settle_verdict(turn, living, living.forced_verdict or verdict.keeper_lost())
        living = turn.world.living[living.run]
    turn.free_place(living)


def settle_verdict(turn: Turn, living: LiveAttempt, found: Verdict) -> None:
    """The run moves on with this verdict: to its end, or to another attempt."""
    run = turn.world.runs[living.run]
    attempt = replace(living.attempt, ended_at=turn.now, reason=found.reason, cause=found.cause)
    turn.actions.append(Record(attempt))
    run = replace(run, exit_status=found.exit_status)
    if found.state is State.SUCCESS and living.reported.done is not None:
        result = living.reported.done.result
        run = replace(run, result_json=msgspec.json.encode(result).decode())
        if not run.dry_run:
            store_metrics(turn, run.job, result)
    run = _next_state(turn, run, living, found)
    give_up_at = turn.at.mono + living.job.kill_grace_s + UNKILLABLE_AFTER_S
    turn.set_live(
        replace(
            living,
            attempt=attempt,
            deadline=None,
            kill_at=None,
            give_up_at=living.give_up_at if living.is_abandoned else give_up_at,
            exited=True,
            outcome=None if run.state.is_open else run,
        )
    )


def store_metrics(turn: Turn, job: str, found: Mapping[str, protocol.Scalar]) -> None:
    """Keep the numbers among these for whoever draws curves of them."""
    if turn.world.definition(job) is None:  # it was removed while its attempt lived
        return
    known: PersistentMap[str, float] = turn.world.metrics.get(job) or PersistentMap()
    for name, value in found.items():
        if _is_number(value) and (name in known or len(known) < MOST_METRICS):
            known = known.set(name, float(value))
    turn.world.metrics = turn.world.metrics.set(job, known)


def cancel(turn: Turn, run: Run, found: Verdict) -> None:
    """End an open run: at once if nothing of it runs, else by TERM and KILL."""
    living = turn.world.living.get(run.id)
    if run.state is State.RUNNING and living is not None:
        request_end(turn, living, found, living.job.kill_grace_s)
    else:
        final = turn.finish(run, found)
        if living is not None:  # of an attempt that has ended while its tree has not
            turn.set_live(replace(living, outcome=final))


def request_end(turn: Turn, living: LiveAttempt, wish: Verdict, grace_s: float) -> None:
    """SIGTERM now, SIGKILL after the grace; the verdict will be `wish`."""
    if living.exited:
        return
    is_told = living.kill_at is not None
    kill_at = turn.at.mono + grace_s
    if living.kill_at is not None:
        kill_at = min(kill_at, living.kill_at)
    turn.set_live(replace(living, forced_verdict=wish, deadline=None, kill_at=kill_at))
    if not is_told:
        turn.actions.append(Signal(living.run, living.attempt.number, KillStep.TERM))


def expire(turn: Turn) -> None:
    """Act on every timer of a living attempt that has run out."""
    for living in list(turn.world.living.values()):
        deadline = living.next_deadline()
        if deadline is not None and deadline <= turn.at.mono:
            _expire(turn, living)


def start_due_retries(turn: Turn) -> None:
    """Put the runs whose backoff is over back into the queue."""
    for number, at in list(turn.world.retry_at.items()):
        if at <= turn.at.mono:
            turn.save_run(
                replace(turn.world.runs[number], state=State.PENDING, next_attempt_at=None)
            )


def retry_in(turn: Turn, run: Run, delay_s: float, cause: str, reason: Reason | None) -> Run:
    """The run, waiting so long for its next attempt."""
    waiting = replace(
        run,
        state=State.RETRYING,
        reason=reason,
        cause=cause,
        next_attempt_at=turn.now + timedelta(seconds=delay_s),
    )
    turn.world.retry_at = turn.world.retry_at.set(run.id, turn.at.mono + delay_s)
    turn.save_run(waiting)
    turn.note(f"retrying in {delay_s:.0f}s: {cause}", "warning", run=waiting)
    return waiting


def _is_number(value: protocol.Scalar) -> TypeGuard[float]:
    """A finite one that a float can hold; a result may carry any that JSON can write."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _BEYOND


def _next_state(turn: Turn, run: Run, living: LiveAttempt, found: Verdict) -> Run:
    job = turn.world.definition(run.job) or living.job
    if found.state is State.INTERRUPTED:
        return _interrupt(turn, run, found)
    if found.state is State.FAILED and found.reason is not None:
        is_wanted = turn.world.definition(run.job) is not None and job.enabled
        if is_wanted and retry.is_allowed(job, found.reason, run.retries_used):
            delay_s = retry.delay_s(job, run.retries_used, turn.at.dice)
            again = replace(run, retries_used=run.retries_used + 1)
            return retry_in(turn, again, delay_s, found.cause, found.reason)
    return turn.finish(run, found)


def _interrupt(turn: Turn, run: Run, found: Verdict) -> Run:
    run = replace(run, interruptions=run.interruptions + 1)
    known = turn.world.definition(run.job)
    if run.interruptions > MOST_INTERRUPTIONS or known is None or not known.enabled:
        return turn.finish(run, found)
    if found.reason is Reason.SHUTDOWN and run.slot is None:
        return turn.finish(run, found)  # manual and start-up runs are not resumed
    delay_s = retry.delay_s(known, 0, turn.at.dice)
    return retry_in(turn, run, delay_s, found.cause, found.reason)


def _usage(turn: Turn, run: Run, event: TreeEmpty) -> None:
    """Add what the keeper measured to the run's row."""
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
        if turn.world.last_run.get(run.job) is run:
            turn.world.last_run = turn.world.last_run.set(run.job, changed)
    if event.strays:
        turn.note(f"left behind and killed: {'; '.join(event.strays)}", "warning", run=changed)
    if event.log_lost:
        turn.note(f"its output was not kept: {event.log_lost}", "warning", run=changed)


def _expire(turn: Turn, living: LiveAttempt) -> None:
    mono, run, number = turn.at.mono, living.run, living.attempt.number
    if living.give_up_at is not None and living.give_up_at <= mono:
        if living.is_abandoned:
            survived(turn, Survived(turn.at, run, number), living)
        else:
            _abandon(turn, living)
    elif living.kill_at is not None and living.kill_at <= mono:
        give_up_at = mono + living.job.kill_grace_s + UNKILLABLE_AFTER_S
        turn.set_live(replace(living, kill_at=None, give_up_at=give_up_at))
        turn.actions.append(Signal(run, number, KillStep.KILL))
    elif living.deadline is not None and living.deadline <= mono:
        request_end(turn, living, verdict.timed_out(living.job), living.job.kill_grace_s)


def _abandon(turn: Turn, living: LiveAttempt) -> None:
    """It is not gone in time after SIGKILL: its keeper may be at fault, and is killed, too."""
    wish = living.forced_verdict or (None if living.exited else verdict.timed_out(living.job))
    turn.set_live(
        replace(
            living,
            forced_verdict=wish,
            give_up_at=turn.at.mono + ANSWER_WITHIN_S,
            is_abandoned=True,
        )
    )
    turn.actions.append(Signal(living.run, living.attempt.number, KillStep.ABANDON))
