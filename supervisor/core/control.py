"""Handles the requests of `control_requests.py`; enter by `handle_request`.

Each request gets exactly one `Reply` and one audit entry. A refused request changes
nothing else. A request for several runs opens all of them or none.
"""

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from supervisor.core import alert_delivery, assigned, dependencies, incidents, tick
from supervisor.core.attempts import cancel
from supervisor.core.config_model import Job, Overlap
from supervisor.core.control_requests import (
    AckIncident,
    AssignRun,
    CancelJob,
    CancelRun,
    ConfirmHost,
    NotifyTest,
    PauseJob,
    Reply,
    ReplyStatus,
    Request,
    RestoreBackup,
    ResumeJob,
    RunAll,
    RunJobs,
    StopService,
    VerifyBackup,
)
from supervisor.core.effects import Record, RecordPause, RecordTick
from supervisor.core.events import Requested
from supervisor.core.incidents import CLOCK
from supervisor.core.model import AuditEntry, Pause, Reason, Run, Trigger
from supervisor.core.request_refusals import (
    RequestRefusedError,
    require_decided_here,
    require_host,
    require_serving,
    unknown_job,
)
from supervisor.core.shutdown import drain, stop
from supervisor.core.slots import find_blocker, replace_others
from supervisor.core.state import RESERVED, RESTORE, VERIFY
from supervisor.core.turn import Turn
from supervisor.core.verdict import cancelled


def handle_request(turn: Turn, event: Requested) -> None:
    """Grant or refuse a request, reply to it and record it in the audit log."""
    if isinstance(event.request, AssignRun | ConfirmHost):
        turn.actions.append(assigned.handle(turn, event.token, event.request))
        return
    try:
        runs = _handle(turn, event.request, str(event.peer))
        reply = Reply(event.token, ReplyStatus.OK, tuple(runs))
    except RequestRefusedError as refusal:
        reply = Reply(event.token, refusal.answer, (), refusal.error, refusal.hint)
    said = reply.error or " ".join(f"run {run}" for run in reply.runs) or "ok"
    verb, what = audit_text(event.request)
    turn.actions.append(Record(AuditEntry(turn.now, event.peer, verb, what, said)))
    turn.actions.append(reply)
    turn.note(f"{event.peer} asked: {' '.join(filter(None, (verb, what)))} -> {said}")


def audit_text(request: Request) -> tuple[str, str]:
    """Return the verb and the object of a request for the audit log."""
    match request:
        case RunJobs(jobs, on_host=on_host):
            return "run", " ".join(jobs) + (f" on {on_host}" if on_host else "")
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
        case VerifyBackup(file):
            return "verify", file
        case NotifyTest(channel):
            return "notify-test", channel
        case StopService():
            return "stop", ""
        case AssignRun() | ConfirmHost():
            return "", ""  # of the cluster's agent, many a minute: not kept


def _handle(turn: Turn, request: Request, by: str) -> Iterable[int]:
    match request:
        case RunJobs():
            return _run_jobs(turn, request)
        case RunAll(only):
            return _run_all(turn, only)
        case CancelJob(job):
            name = job if job in RESERVED else _job(turn, job).name
            found = turn.scheduler.open_runs_of(name)
            if not found:
                raise RequestRefusedError(ReplyStatus.CONFLICT, f"no run of {job} is open")
            return _cancel(turn, found, by)
        case CancelRun(run):
            if run not in turn.scheduler.runs:
                raise RequestRefusedError(ReplyStatus.CONFLICT, f"run {run} is not open")
            return _cancel(turn, [turn.scheduler.runs[run]], by)
        case PauseJob():
            return _pause(turn, request, by)
        case ResumeJob(job, from_now):
            return _resume(turn, job, from_now)
        case AckIncident():
            return _ack(turn, request, by)
        case RestoreBackup():
            return _open_reserved(turn, RESTORE, request)
        case VerifyBackup():
            return _open_reserved(turn, VERIFY, request)
        case NotifyTest():
            return _test_channel(turn, request.channel)
        case StopService(drain_s):
            if drain_s is None:
                stop(turn)
            else:
                drain(turn, drain_s)
            return ()
        case AssignRun() | ConfirmHost():
            return ()  # handled before


def _test_channel(turn: Turn, name: str) -> tuple[int, ...]:
    """Check that the channel to be tested exists; it is tested by the edge."""
    notify = turn.scheduler.config.notify
    if not notify.channels:
        hint = "set notify in jobs.yaml (docs/alerts.md shows how)"
        raise RequestRefusedError(ReplyStatus.CONFLICT, "no channel is configured", hint)
    if name and notify.channel(name) is None:
        known = ", ".join(channel.name for channel in notify.channels)
        hint = f"there is {known}"
        raise RequestRefusedError(ReplyStatus.UNKNOWN, f'no channel is called "{name}"', hint)
    return ()


def _run_jobs(turn: Turn, request: RunJobs) -> list[int]:
    require_serving(turn)
    named = [_job(turn, name) for name in request.jobs]
    for job in named:
        if job.worker is None and request.set_json != "{}":
            raise RequestRefusedError(
                ReplyStatus.BAD, f"{job.name} is a command and has no parameters"
            )
    if request.with_deps:
        names = dependencies.with_all_deps(request.jobs, _deps(turn))
    else:
        names = tuple(dict.fromkeys(request.jobs))
    jobs = [_job(turn, name) for name in names]
    commands = [job.name for job in jobs if job.worker is None]
    if request.dry_run and commands:
        hint = "a dry run is for workers, which have a plan to show"
        raise RequestRefusedError(ReplyStatus.BAD, f"{commands[0]} is a command", hint)
    _require_no_open_run(turn, jobs, request.dry_run)
    if request.on_host:
        for job in named:
            require_host(turn, job, request.on_host)
    return _open(turn, jobs, request, batch="")


def _run_all(turn: Turn, only: tuple[str, ...]) -> list[int]:
    require_serving(turn)
    chosen = [_job(turn, name).name for name in only]
    in_file = sorted(turn.scheduler.jobs.values(), key=lambda job: job.place)
    names = [job.name for job in in_file if job.enabled and (not only or job.name in chosen)]
    jobs = [turn.scheduler.jobs[name] for name in dependencies.in_order(names, _deps(turn))]
    disabled = [name for name in chosen if not turn.scheduler.jobs[name].enabled]
    if disabled:
        raise RequestRefusedError(ReplyStatus.CONFLICT, f"{disabled[0]} is disabled in jobs.yaml")
    if not jobs:
        raise RequestRefusedError(ReplyStatus.CONFLICT, "no job is enabled")
    _require_no_open_run(turn, jobs)
    batch = f"all {turn.now.isoformat()}"
    return _open(turn, jobs, RunJobs((), with_deps=True), batch)


def _open(turn: Turn, jobs: list[Job], request: RunJobs, batch: str) -> list[int]:
    """Open one manual run for each job, all with the same due time, and return their ids.

    With `with_deps`, a run waits for its dependencies among these jobs, unless it is dry.
    """
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
            on_host=request.on_host if is_named else "",
        )
        if _check_restore(job, request.dry_run) is Overlap.REPLACE:
            replace_others(turn, run)
        runs.append(run.id)
    return runs


def _open_reserved(turn: Turn, name: str, request: RestoreBackup | VerifyBackup) -> list[int]:
    """Open a run of a reserved job; `restore` holds the group `exclusive`."""
    require_serving(turn)
    job = RESERVED[name]
    _require_no_open_run(turn, [job])
    given = msgspec.json.encode(request).decode()
    return [turn.open_run(job, turn.now, Trigger.MANUAL, set_json=given).id]


def _check_restore(job: Job, dry_run: bool) -> Overlap:
    """Return the overlap rule for a requested run: a dry run never replaces other runs."""
    return Overlap.QUEUE if dry_run and job.overlap is Overlap.REPLACE else job.overlap


def _require_no_open_run(turn: Turn, jobs: list[Job], dry_run: bool = False) -> None:
    for job in jobs:
        require_decided_here(turn, job)
        if not job.enabled:
            hint = "set enabled: true in jobs.yaml"
            raise RequestRefusedError(
                ReplyStatus.CONFLICT, f"{job.name} is disabled in jobs.yaml", hint
            )
        blocker = find_blocker(turn, job, _check_restore(job, dry_run))
        if blocker is not None:
            hint = f"nightshift cancel {job.name}"
            hint += "" if job.name in RESERVED else ", or overlap: queue in jobs.yaml"
            raise RequestRefusedError(ReplyStatus.CONFLICT, f"{job.name}: {blocker[1]}", hint)


def _cancel(turn: Turn, runs: list[Run], by: str) -> list[int]:
    for run in runs:
        cancel(turn, run, cancelled(Reason.PERSON, f"cancelled by {by}"))
    return [run.id for run in runs]


def _pause(turn: Turn, request: PauseJob, by: str) -> tuple[int, ...]:
    until = None if request.for_s is None else turn.now + timedelta(seconds=request.for_s)
    pause = Pause(until, by, request.reason)
    if request.job:
        job = _job(turn, request.job)
        require_decided_here(turn, job)
        turn.update_job_record(job.name, pause=pause)
    else:
        _pause_all(turn, pause)
    return ()


def _resume(turn: Turn, name: str, from_now: bool) -> tuple[int, ...]:
    jobs = [_job(turn, name)] if name else list(turn.scheduler.jobs.values())
    if name:
        turn.update_job_record(name, pause=None)
    else:
        _pause_all(turn, None)
    if from_now:
        tick.open_rest(turn)
        for job in jobs:
            turn.rewind_seen_until(job)
        if not name:
            turn.scheduler.silent_until = None
            turn.close_incidents("", CLOCK)
            if turn.scheduler.last_tick is not None:
                turn.actions.append(RecordTick(turn.scheduler.last_tick, None))
    return ()


def _pause_all(turn: Turn, pause: Pause | None) -> None:
    turn.scheduler.paused = pause
    turn.actions.append(RecordPause(pause))


def _ack(turn: Turn, request: AckIncident, by: str) -> tuple[int, ...]:
    # An incident of an intermittent failure may be closed at the moment of its ack.
    for known in (*turn.scheduler.incidents.values(), *turn.scheduler.closed.values()):
        if known.id == request.incident:
            until = turn.now + timedelta(seconds=request.for_s)
            turn.put_incident(incidents.acknowledge(known, until, by, request.reason))
            alert_delivery.silence(turn, known.id, by)
            if known.kind in incidents.ENDED_BY_ACK and not known.job:
                turn.end_incidents("", known.kind)  # an ack is all it needs
            return ()
    raise RequestRefusedError(ReplyStatus.UNKNOWN, f"no open incident {request.incident}")


def _job(turn: Turn, name: str) -> Job:
    job = turn.scheduler.jobs.get(name)
    if job is not None:
        return job
    raise unknown_job(turn, name)


def _deps(turn: Turn) -> dict[str, tuple[str, ...]]:
    return {name: job.deps for name, job in turn.scheduler.jobs.items()}
