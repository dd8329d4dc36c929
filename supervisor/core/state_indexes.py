"""Indexes of `SchedulerState`: queue, by_job, retry_at, recent_runs, last_run, last_success.

Each function changes the state it is given, which is the copy that a `Turn` works on,
and keeps one fact consistent in all of them. Called only by `turn.py`.
"""

from supervisor.core.dependencies import MOST_RECENT, RunSummary
from supervisor.core.model import Reason, Run, State, Trigger
from supervisor.core.state import SchedulerState


def index_run(scheduler: SchedulerState, before: Run | None, run: Run) -> None:
    """Update the indexes for a new or changed run.

    before: its earlier value; None: it is new.
    """
    is_pending = run.state is State.PENDING
    if is_pending != (before is not None and before.state is State.PENDING):
        entry = (run.due, run.place, run.id)
        scheduler.queue = (
            scheduler.queue.add(entry) if is_pending else scheduler.queue.remove(entry)
        )
    if run.state is not State.RETRYING and run.id in scheduler.retry_at:
        scheduler.retry_at = scheduler.retry_at.delete(run.id)
    if run.state.is_open:
        scheduler.runs = scheduler.runs.set(run.id, run)
        if before is None:
            scheduler.by_job = scheduler.by_job.set(
                run.job, (*scheduler.by_job.get(run.job, ()), run.id)
            )
    elif before is not None:
        scheduler.runs = scheduler.runs.delete(run.id)
        leave_job(scheduler, run.job, run.id)


def leave_job(scheduler: SchedulerState, job: str, run: int) -> None:
    """Remove a run from its job if it is neither open nor alive."""
    if run in scheduler.runs or run in scheduler.live_attempts:
        return
    rest = tuple(other for other in scheduler.by_job.get(job, ()) if other != run)
    scheduler.by_job = scheduler.by_job.set(job, rest) if rest else scheduler.by_job.delete(job)


def remember_outcome(scheduler: SchedulerState, run: Run) -> None:
    """Remember a run that entered a new state, for dependents and for views."""
    if run.trigger is Trigger.ASSIGNED and not run.state.is_open:
        scheduler.last_assigned = scheduler.last_assigned.set(run.job, run)
    if run.dry_run or _is_represented(scheduler, run):
        return
    past = RunSummary(run.id, run.due, run.state, run.reason, run.cause, run.blocked_by)
    others = [other for other in scheduler.recent_runs.get(run.job, ()) if other.run != run.id]
    if others and others[0].due > run.due:
        newest = sorted([past, *others], key=lambda each: (each.due, each.run), reverse=True)
    else:
        newest = [past, *others]
    scheduler.recent_runs = scheduler.recent_runs.set(run.job, tuple(newest[:MOST_RECENT]))
    if not run.state.is_open:
        _remember_final(scheduler, run)


def _remember_final(scheduler: SchedulerState, run: Run) -> None:
    latest = scheduler.last_run.get(run.job)
    if latest is None or latest.id <= run.id:
        scheduler.last_run = scheduler.last_run.set(run.job, run)
    if run.state is State.SUCCESS:
        best = scheduler.last_success.get(run.job)
        if best is None or best < run.due:
            scheduler.last_success = scheduler.last_success.set(run.job, run.due)


def _is_represented(scheduler: SchedulerState, run: Run) -> bool:
    """Return whether the run was skipped for an earlier run that is remembered instead.

    A dry run represents no other run.
    """
    if run.reason is not Reason.OVERLAP:
        return False
    blocker = scheduler.runs.get(run.blocked_by or 0)
    return blocker is None or (blocker.due <= run.due and not blocker.dry_run)
