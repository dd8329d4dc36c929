"""Admission: launch the pending runs that may start now.

Call `admit` at the end of each turn. The queue is scanned in the order
(due, place, id). A run that waits for its group, its job or its dependencies
does not block the runs behind it. Pending and retrying runs take no pool place.
`why_waiting` computes the cause on request. The cause is never recorded: if a
thousand runs waited for one, each turn would write a thousand rows.
"""

from itertools import islice

from supervisor.core.config_model import Job
from supervisor.core.dependencies import Unsatisfied, Waiting, evaluate
from supervisor.core.model import Reason, Run, State, replace
from supervisor.core.state import SchedulerState, ServicePhase
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict


def admit(turn: Turn) -> None:
    """Launch admissible runs until the pool is full or no other run is admissible."""
    while turn.may_admit:
        turn.may_admit = False
        if turn.scheduler.life is not ServicePhase.SERVING or turn.scheduler.ledger_error:
            return
        for _, _, number in turn.scheduler.queue:
            if len(turn.scheduler.live_attempts) >= turn.scheduler.config.max_concurrent:
                return
            run = turn.scheduler.runs.get(number)
            if run is not None and run.state is State.PENDING:
                _consider(turn, run)


def next_attempts(scheduler: SchedulerState, most: int) -> tuple[tuple[int, int], ...]:
    """Return the (run, attempt) pairs that may be launched next; () unless the pool is full.

    A leader has no attempts of its own.
    """
    is_full = len(scheduler.live_attempts) >= scheduler.config.max_concurrent
    if scheduler.is_leader or not is_full:
        return ()
    pending = (scheduler.runs[number] for _, _, number in islice(scheduler.queue, most))
    return tuple((run.id, run.attempt + 1) for run in pending)


def jobs_depended_on(run: Run, job: Job) -> tuple[str, ...]:
    """Return the dependencies to evaluate for this run; () for a retry."""
    if run.attempt > 0:
        return ()
    return job.deps if run.after is None else run.after


def why_waiting(scheduler: SchedulerState, run: Run, job: Job) -> str:
    """Return why a pending run cannot start now, or "".

    Dependencies and the size of the pool are not considered.
    """
    for other in scheduler.by_job.get(run.job, ()):
        if other == run.id:
            break
        if other in scheduler.runs:
            return f"waits for run {other}, which is {scheduler.runs[other].state}"
        return f"waits for the processes of run {other} to end"
    if run.id in scheduler.live_attempts:
        return f"waits for the processes of run {run.id} to end"
    if (holder := _holder(scheduler, run.batch)) is not None:
        name = scheduler.live_attempts[holder].job.name
        return f"waits for run {holder} of {name}: all of them run one at a time"
    if (holder := _holder(scheduler, job.exclusive)) is not None:
        name = scheduler.live_attempts[holder].job.name
        return f"waits for {name} (run {holder}), which holds the group {job.exclusive}"
    return ""


def _holder(scheduler: SchedulerState, group: str | None) -> int | None:
    """Return the id of the live run that holds a group, or None."""
    return scheduler.groups.get(group) if group else None


def _consider(turn: Turn, run: Run) -> None:
    job = turn.scheduler.definition(run.job)
    assert job is not None, "a pending run of a removed job is cancelled with it"
    depended_on = jobs_depended_on(run, job)
    if depended_on and turn.scheduler.unopened:
        return  # a dependency may be among the slots that are still to be opened
    waits = False
    for name in depended_on:
        judgement = evaluate(
            name,
            run.due,
            turn.scheduler.recent_runs.get(name, ()),
            turn.scheduler.last_success.get(name),
        )
        if isinstance(judgement, Unsatisfied):
            turn.finish(run, Verdict(State.SKIPPED, Reason.DEPENDENCY, judgement.cause))
            return
        waits = waits or isinstance(judgement, Waiting)
    if waits:
        return
    is_held = why_waiting(turn.scheduler, run, job) != ""
    if depended_on:
        run = replace(run, after=())  # dependencies are evaluated until met, then never again
        if is_held:
            turn.save_run(run)
    if not is_held:
        turn.launch(run, job)


def place_in_pool(places: int) -> str:
    """Return words for what a run waits for that has no place in the pool."""
    return "the only place in the pool" if places == 1 else f"one of {places} places in the pool"
