"""The queue -> launches: which pending run may begin now.

Looked at by (due, place, id), the first admissible first; one that waits for
its group, its job or its dependencies holds up nobody. Waiting and retrying
take no place in the pool. What a run waits for is told when somebody asks and
never recorded: a thousand that wait for one would be a thousand rows at each turn.
"""

from supervisor.core.dependencies import Unsatisfied, Waiting, evaluate
from supervisor.core.model import Job, Reason, Run, State, replace
from supervisor.core.state import SchedulerState, ServicePhase
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict


def admit(turn: Turn) -> None:
    """Launch what may begin, until the pool is full or nobody else may."""
    while turn.may_admit:
        turn.may_admit = False
        if turn.world.life is not ServicePhase.SERVING or turn.world.ledger_trouble:
            return
        for _, _, number in turn.world.queue:
            if len(turn.world.living) >= turn.world.config.max_concurrent:
                return
            run = turn.world.runs.get(number)
            if run is not None and run.state is State.PENDING:
                _consider(turn, run)


def jobs_depended_on(run: Run, job: Job) -> tuple[str, ...]:
    """The dependencies that this run is judged by; a retry is not judged again."""
    if run.attempt > 0:
        return ()
    return job.deps if run.after is None else run.after


def why_waiting(world: SchedulerState, run: Run, job: Job) -> str:
    """Why a pending run cannot begin now, apart from dependencies and pool; "": nothing."""
    for other in world.by_job.get(run.job, ()):
        if other == run.id:
            break
        if other in world.runs:
            return f"waits for run {other}, which is {world.runs[other].state}"
        return f"waits for the processes of run {other} to end"
    if run.id in world.living:
        return f"waits for the processes of run {run.id} to end"
    if (holder := _holder(world, run.batch)) is not None:
        name = world.living[holder].job.name
        return f"waits for run {holder} of {name}: all of them run one at a time"
    if (holder := _holder(world, job.exclusive)) is not None:
        name = world.living[holder].job.name
        return f"waits for {name} (run {holder}), which holds the group {job.exclusive}"
    return ""


def _holder(world: SchedulerState, group: str | None) -> int | None:
    """The run that lives in a group, if there is one."""
    return world.groups.get(group) if group else None


def _consider(turn: Turn, run: Run) -> None:
    job = turn.world.definition(run.job)
    assert job is not None, "a pending run of a removed job is cancelled with it"
    waits = False
    for name in jobs_depended_on(run, job):
        judgement = evaluate(
            name, run.due, turn.world.recent_runs.get(name, ()), turn.world.last_success.get(name)
        )
        if isinstance(judgement, Unsatisfied):
            turn.finish(run, Verdict(State.SKIPPED, Reason.DEPENDENCY, judgement.cause))
            return
        waits = waits or isinstance(judgement, Waiting)
    if waits:
        return
    is_held = why_waiting(turn.world, run, job) != ""
    if jobs_depended_on(run, job):
        run = replace(run, after=())  # once met, they are not judged again
        if is_held:
            turn.save_run(run)
    if not is_held:
        turn.launch(run, job)
