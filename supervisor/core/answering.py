"""How what people ask (`asks.py`) is granted or refused.

Each request gets exactly one `Reply`. A request that cannot be granted changes
nothing; one that opens several runs opens all of them or none.
"""

import difflib
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from supervisor.core import delivery, graph, incident
from supervisor.core.asks import (
    AckIncident,
    Answer,
    CancelJob,
    CancelRun,
    NotifyTest,
    PauseJob,
    Reply,
    Request,
    RestoreBackup,
    ResumeJob,
    RunAll,
    RunJobs,
    StopService,
)
from supervisor.core.attempts import cancel
from supervisor.core.effects import Record, RecordPause, RecordTick
from supervisor.core.events import Asked
from supervisor.core.incident import CLOCK
from supervisor.core.model import Asking, Job, Overlap, Pause, Reason, Run, Trigger
from supervisor.core.opening import overlapped, replace_others
from supervisor.core.stopping import drain, stop
from supervisor.core.turn import Turn
from supervisor.core.verdict import cancelled
from supervisor.core.world import RESERVED, RESTORE, Life


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A request that is not granted, and why."""

    def __init__(self, answer: Answer, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.answer, self.error, self.hint = answer, error, hint


def answer(turn: Turn, event: Asked) -> None:
    """Grant the request or say why not; either way it stands in the ledger."""
    try:
        runs = _grant(turn, event.request, str(event.peer))
        reply = Reply(event.token, Answer.OK, tuple(runs))
    except Refusal as refusal:
        reply = Reply(event.token, refusal.answer, (), refusal.error, refusal.hint)
    said = reply.error or " ".join(f"run {run}" for run in reply.runs) or "ok"
    verb, what = describe(event.request)
    turn.actions.append(Record(Asking(turn.now, event.peer, verb, what, said)))
    turn.actions.append(reply)
    turn.note(f"{event.peer} asked: {' '.join(filter(None, (verb, what)))} -> {said}")


def describe(request: Request) -> tuple[str, str]:
    """The verb of a request and what it is about, for the account."""
    match request:
        case RunJobs(jobs):
            return "run", " ".join(jobs)
        case RunAll(only):
            return "run-all", " ".join(only)
        case CancelJob(job):
            return "cancel", job
        case CancelRun(run):
            return "cancel", f"run {run}"
        case PauseJob(job):
            return "pause", job
        case ResumeJob(job):
            return "resume", job
        case AckIncident(number):
            return "ack", f"incident {number}"
        case RestoreBackup(file, target):
            return "restore", f"{file} to {target}"
        case NotifyTest():
            return "notify-test", ""
        case StopService():
            return "stop", ""


def _grant(turn: Turn, request: Request, by: str) -> Iterable[int]:
    match request:
        case RunJobs():
            return _run_jobs(turn, request)
        case RunAll(only):
            return _run_all(turn, only)
        case CancelJob(job):
            found = turn.world.open_runs_of(_job(turn, job).name)
            if not found:
                raise Refusal(Answer.CONFLICT, f"no run of {job} is open")
            return _cancel(turn, found, by)
        case CancelRun(run):
            if run not in turn.world.runs:
                raise Refusal(Answer.CONFLICT, f"run {run} is not open")
            return _cancel(turn, [turn.world.runs[run]], by)
        case PauseJob():
            return _pause(turn, request, by)
        case ResumeJob(job, from_now):
            return _resume(turn, job, from_now)
        case AckIncident():
            return _ack(turn, request, by)
        case RestoreBackup():
            return _restore(turn, request)
        case NotifyTest():
            if turn.world.config.notify.slack is None:
                hint = "set notify: {slack: URL of a Slack webhook} in jobs.yaml"
                raise Refusal(Answer.CONFLICT, "no channel is configured", hint)
            return ()
        case StopService(drain_s):
            stop(turn) if drain_s is None else drain(turn, drain_s)
            return ()


def _run_jobs(turn: Turn, request: RunJobs) -> list[int]:
    _must_serve(turn)
    named = [_job(turn, name) for name in request.jobs]
    for job in named:
        if job.worker is None and request.set_json != "{}":
            raise Refusal(Answer.BAD, f"{job.name} is a command and has no parameters")
    if request.with_deps:
        names = graph.with_all_deps(request.jobs, _deps(turn))
    else:
        names = tuple(dict.fromkeys(request.jobs))
    jobs = [_job(turn, name) for name in names]
    commands = [job.name for job in jobs if job.worker is None]
    if request.dry_run and commands:
        hint = "a dry run is for workers, which have a plan to show"
        raise Refusal(Answer.BAD, f"{commands[0]} is a command", hint)
    _must_be_free(turn, jobs, request.dry_run)
    return _open(turn, jobs, request, batch="")


def _run_all(turn: Turn, only: tuple[str, ...]) -> list[int]:
    _must_serve(turn)
    chosen = [_job(turn, name).name for name in only]
    in_file = sorted(turn.world.jobs.values(), key=lambda job: job.place)
    names = [job.name for job in in_file if job.enabled and (not only or job.name in chosen)]
    jobs = [turn.world.jobs[name] for name in graph.in_order(names, _deps(turn))]
    disabled = [name for name in chosen if not turn.world.jobs[name].enabled]
    if disabled:
        raise Refusal(Answer.CONFLICT, f"{disabled[0]} is disabled in jobs.yaml")
    if not jobs:
        raise Refusal(Answer.CONFLICT, "no job is enabled")
    _must_be_free(turn, jobs)
    batch = f"all {turn.now.isoformat()}"
    return _open(turn, jobs, RunJobs((), with_deps=True), batch)


def _open(turn: Turn, jobs: list[Job], request: RunJobs, batch: str) -> list[int]:
    """One manual run of each, under one instant, heeding dependencies among them."""
    heeds = request.with_deps and not request.dry_run
    among = {job.name for job in jobs} if heeds else set()
    runs = []
    for place, job in enumerate(jobs):
        is_named = job.name in request.jobs
        run = turn.open_run(
            job,
            turn.now,
            Trigger.MANUAL,
            place=place,
            after=tuple(dep for dep in job.deps if dep in among),
            batch=batch,
            set_json=request.set_json if is_named else "{}",
            dry_run=request.dry_run,
        )
        if _rule_of(job, request.dry_run) is Overlap.REPLACE:
            replace_others(turn, run)
        runs.append(run.id)
    return runs


def _restore(turn: Turn, request: RestoreBackup) -> list[int]:
    """A run under the reserved name, in the group of everything that touches the data."""
    _must_serve(turn)
    job = RESERVED[RESTORE]
    _must_be_free(turn, [job])
    given = msgspec.json.encode(request).decode()
    return [turn.open_run(job, turn.now, Trigger.MANUAL, set_json=given).id]


def _must_serve(turn: Turn) -> None:
    if turn.world.life is not Life.SERVING:
        raise Refusal(Answer.UNAVAILABLE, "the supervisor is stopping")
    if turn.world.ledger_trouble:
        raise Refusal(
            Answer.UNAVAILABLE, f"the ledger cannot be written: {turn.world.ledger_trouble}"
        )


def _rule_of(job: Job, dry_run: bool) -> Overlap:
    """How a request heeds the open runs of a job: what only shows a plan ends none."""
    return Overlap.QUEUE if dry_run and job.overlap is Overlap.REPLACE else job.overlap


def _must_be_free(turn: Turn, jobs: list[Job], dry_run: bool = False) -> None:
    for job in jobs:
        if not job.enabled:
            hint = "set enabled: true in jobs.yaml"
            raise Refusal(Answer.CONFLICT, f"{job.name} is disabled in jobs.yaml", hint)
        blocker = overlapped(turn, job, _rule_of(job, dry_run))
        if blocker is not None:
            hint = f"nightshift cancel {job.name}, or overlap: queue in jobs.yaml"
            raise Refusal(Answer.CONFLICT, f"{job.name}: {blocker[1]}", hint)


def _cancel(turn: Turn, runs: list[Run], by: str) -> list[int]:
    for run in runs:
        cancel(turn, run, cancelled(Reason.PERSON, f"cancelled by {by}"))
    return [run.id for run in runs]


def _pause(turn: Turn, request: PauseJob, by: str) -> tuple[int, ...]:
    until = None if request.for_s is None else turn.now + timedelta(seconds=request.for_s)
    pause = Pause(until, by, request.reason)
    if request.job:
        turn.mark(_job(turn, request.job).name, pause=pause)
    else:
        _pause_all(turn, pause)
    return ()


def _resume(turn: Turn, name: str, from_now: bool) -> tuple[int, ...]:
    jobs = [_job(turn, name)] if name else list(turn.world.jobs.values())
    if name:
        turn.mark(name, pause=None)
    else:
        _pause_all(turn, None)
    if from_now:
        for job in jobs:
            turn.lower_mark(job)
        if not name:
            turn.world.silent_until = None
            turn.mend("", CLOCK)
            if turn.world.last_tick is not None:
                turn.actions.append(RecordTick(turn.world.last_tick, None))
    return ()


def _pause_all(turn: Turn, pause: Pause | None) -> None:
    turn.world.paused = pause
    turn.actions.append(RecordPause(pause))


def _ack(turn: Turn, request: AckIncident, by: str) -> tuple[int, ...]:
    # A job that fails by turns may be well at the moment when its incident is acked.
    for known in (*turn.world.incidents.values(), *turn.world.closed.values()):
        if known.id == request.incident:
            until = turn.now + timedelta(seconds=request.for_s)
            turn.put_incident(incident.acked(known, until, by, request.reason))
            delivery.silence(turn, known.id, by)
            if known.kind in incident.ENDED_BY_ACK and not known.job:
                turn.end_incidents("", known.kind)  # it only wanted to be seen
            return ()
    raise Refusal(Answer.UNKNOWN, f"no open incident {request.incident}")


def _job(turn: Turn, name: str) -> Job:
    job = turn.world.jobs.get(name)
    if job is not None:
        return job
    near = difflib.get_close_matches(name, turn.world.jobs, 1)
    hint = f'did you mean "{near[0]}"?' if near else "nightshift jobs lists them"
    raise Refusal(Answer.UNKNOWN, f'no job is called "{name}"', hint)


def _deps(turn: Turn) -> dict[str, tuple[str, ...]]:
    return {name: job.deps for name, job in turn.world.jobs.items()}
