"""Builds the values of `views.py` for the API, the CLI and the page from `SchedulerState`.

Pure. Start at `status` for the whole service, `run_view` and `job_status` for its parts.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from supervisor.core import cluster_hosts
from supervisor.core.admission import jobs_depended_on, place_in_pool, why_waiting
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Channel, Job
from supervisor.core.dependencies import Waiting, evaluate
from supervisor.core.incidents import CLOCK
from supervisor.core.model import Attempt, Run, State
from supervisor.core.outbox import Outbox
from supervisor.core.quiet_hours import quiet_until
from supervisor.core.state import SchedulerState
from supervisor.core.views import (
    AlertsView,
    AttemptView,
    ChannelView,
    ConfigStatus,
    Facts,
    IncidentView,
    JobStatus,
    LastRun,
    PauseView,
    Pool,
    RunView,
    Status,
)

_A_DAY = timedelta(days=1)


def status(scheduler: SchedulerState, facts: Facts, now: datetime, mono: float) -> Status:
    """Return the status of the whole service. mono: the monotonic clock, in seconds."""
    jobs = tuple(job_status(scheduler, job, now) for job in jobs_in_file_order(scheduler))
    runs = tuple(open_run(scheduler, run) for run in jobs_by_age(scheduler))
    return summary_view(scheduler, facts, now, mono, jobs, runs)


def summary_view(
    scheduler: SchedulerState,
    facts: Facts,
    now: datetime,
    mono: float,
    jobs: tuple[JobStatus, ...],
    runs: tuple[RunView, ...],
) -> Status:
    """Return the status of the service with the given views of jobs and open runs."""
    problems = scheduler.problems
    error = ": ".join(filter(None, (problems[0].path, problems[0].message))) if problems else ""
    pause = scheduler.pause_over("", now)
    return Status(
        version=facts.version,
        pid=facts.pid,
        instance=facts.instance,
        started_at=facts.started_at,
        life=str(scheduler.life),
        timezone=scheduler.config.timezone,
        config=ConfigStatus(facts.config_path, facts.config_loaded_at, error, problems),
        tick=facts.tick,
        pool=Pool(places(scheduler), len(scheduler.live_attempts), scheduler.pending()),
        paused=None if pause is None else PauseView(pause.until, pause.by, pause.reason),
        notes=notes(scheduler, now),
        ledger_error=scheduler.ledger_error,
        metrics=facts.metrics,
        strays_killed=scheduler.strays_killed,
        keeper_deaths=facts.keeper_deaths,
        log_lines_dropped=facts.log_lines_dropped,
        heartbeat_failures=facts.heartbeat_failures,
        alerts=alerts_view(scheduler, now),
        jobs=jobs,
        runs=runs,
        incidents=tuple(
            incident_view(each, scheduler.waiting_alerts) for each in scheduler.incidents.values()
        ),
        hosts=tuple(cluster_hosts.views(scheduler.hosts, scheduler.config.cluster, mono)),
    )


def places(scheduler: SchedulerState) -> int:
    """Return how many attempts may run at once: in a cluster, on the hosts that are alive."""
    most = scheduler.config.max_concurrent
    return cluster_hosts.places(scheduler.hosts, most) if scheduler.is_leader else most


def notes(scheduler: SchedulerState, now: datetime) -> tuple[str, ...]:
    """Return notes about a clock that was set back or a zone changed within the last day."""
    found = []
    clock = scheduler.incidents.get(("", CLOCK))
    if clock is not None and scheduler.silent_until is not None:
        found.append(clock.cause)
    if scheduler.zone_changed is not None and now - scheduler.zone_changed[0] < _A_DAY:
        found.append(scheduler.zone_changed[1])
    return tuple(found)


def jobs_in_file_order(scheduler: SchedulerState) -> list[Job]:
    """Return the jobs in the order of jobs.yaml."""
    return sorted(scheduler.jobs.values(), key=lambda job: job.place)


def jobs_by_age(scheduler: SchedulerState) -> list[Run]:
    """Return the open runs, earliest due time first."""
    return sorted(scheduler.runs.values(), key=_age)


def job_status(scheduler: SchedulerState, job: Job, now: datetime) -> JobStatus:
    """Return the pause, the last result and the next slot of a job."""
    pause = scheduler.pause_over(job.name, now)
    last = scheduler.last_run.get(job.name)
    return JobStatus(
        name=job.name,
        enabled=job.enabled,
        paused_until=None if pause is None else pause.until,
        is_paused=pause is not None,
        next_at=next(iter(next_slots(scheduler, job, now, 1)), None),
        last=None if last is None else _last(last),
    )


def next_slots(scheduler: SchedulerState, job: Job, now: datetime, most: int) -> list[datetime]:
    """Return at most `most` upcoming slots that would run.

    Slots within a pause are left out. A disabled job has none.
    """
    if not job.enabled or not job.cron:
        return []
    pause = scheduler.pause_over(job.name, now)
    if pause is not None and pause.until is None:
        return []
    known = scheduler.next_slot.get(job.name)
    if pause is None and known is not None and most == 1:
        return [known]
    mark = scheduler.job_records.get(job.name)
    since = max(now, mark.seen_until if mark else now)
    if pause is not None and pause.until is not None:
        # A pause excludes its end: a slot at that instant runs.
        since = max(since, pause.until - timedelta(microseconds=1))
    calendar = scheduler.calendar(job, since)
    return [slot for slot, _ in zip(calendar.slots_after(since), range(most), strict=False)]


def open_run(scheduler: SchedulerState, run: Run) -> RunView:
    """Return the view of an open run, with its pid and what it waits for."""
    return run_view(
        run, pid=pid_of(scheduler, run), cause=why_waiting_of(scheduler, run) or run.cause
    )


def pid_of(scheduler: SchedulerState, run: Run) -> int | None:
    """Return the pid of an open run's process, or None if no process is running."""
    live = scheduler.live_attempts.get(run.id)
    return live.attempt.pid if live is not None and not live.exited else None


def run_view(
    run: Run, attempts: Iterable[Attempt] = (), pid: int | None = None, cause: str | None = None
) -> RunView:
    """Return the view of a run for the API. cause: replaces `run.cause` if given."""
    return RunView(
        id=run.id,
        job=run.job,
        slot=run.slot,
        due=run.due,
        trigger=run.trigger,
        state=run.state,
        reason=run.reason,
        cause=run.cause if cause is None else cause,
        attempt=run.attempt,
        pid=pid,
        started_at=run.started_at,
        ended_at=run.ended_at,
        duration_seconds=_duration_s(run),
        next_attempt_at=run.next_attempt_at,
        progress=run.progress,
        result=None if run.result_json is None else msgspec.json.decode(run.result_json),
        exit_status=run.exit_status,
        cpu_seconds=run.cpu_s,
        max_rss_bytes=run.max_rss_bytes,
        strays=run.strays,
        log_bytes=run.log_bytes,
        dry_run=run.dry_run,
        on_host=run.on_host,
        incident=run.incident,
        attempts=tuple(_attempt(each) for each in attempts),
    )


def why_waiting_of(scheduler: SchedulerState, run: Run) -> str:
    """Return what a pending run waits for, or "" for other runs. Never recorded."""
    job = scheduler.definition(run.job)
    if job is not None and scheduler.is_leader and run.state is State.RUNNING:
        return _why_no_host(scheduler, run, job)
    if run.state is not State.PENDING or job is None:
        return ""
    if scheduler.ledger_error:
        return f"waits for the ledger: {scheduler.ledger_error}"
    for name in jobs_depended_on(run, job):
        found = evaluate(
            name, run.due, scheduler.recent_runs.get(name, ()), scheduler.last_success.get(name)
        )
        if isinstance(found, Waiting):
            return f"waits for run {found.run} of {found.job}"
    places = scheduler.config.max_concurrent
    return why_waiting(scheduler, run, job) or f"waits for {place_in_pool(places)}"


def _why_no_host(scheduler: SchedulerState, run: Run, job: Job) -> str:
    """Return what an attempt that was given to the cluster waits for, "" once it has a pid."""
    live = scheduler.live_attempts.get(run.id)
    if live is None or live.attempt.pid is not None:
        return ""
    return cluster_hosts.why_waiting(scheduler.hosts, run, job)


def incident_view(incident: Incident, waiting: Iterable[Alert]) -> IncidentView:
    """Return the view of an incident for the API, with the number of its alerts that wait."""
    stored = set(IncidentView.__struct_fields__) - {"undelivered"}
    undelivered = sum(alert.incident == incident.id for alert in waiting)
    return IncidentView(
        **{name: getattr(incident, name) for name in stored}, undelivered=undelivered
    )


def alerts_view(scheduler: SchedulerState, now: datetime) -> AlertsView:
    """Return the delivery state: of each channel, and of the first that fails."""
    views = tuple(
        _channel(scheduler, channel, now) for channel in scheduler.config.notify.channels
    )
    troubled = next((view for view in views if view.error), None)
    return AlertsView(
        channel=", ".join(view.name for view in views) or "none",
        waiting=sum(view.waiting for view in views),
        failures=0 if troubled is None else troubled.failures,
        error="" if troubled is None else troubled.error,
        next_at=None if troubled is None else troubled.next_at,
        channels=views,
    )


def _channel(scheduler: SchedulerState, channel: Channel, now: datetime) -> ChannelView:
    box = scheduler.outboxes.get(channel.name, Outbox())
    oldest = box.waiting[0] if box.waiting else None
    return ChannelView(
        name=channel.name,
        kind=channel.kind,
        min_severity=channel.min_severity,
        waiting=len(box.waiting),
        failures=0 if oldest is None else oldest.attempts,
        error="" if oldest is None else oldest.error,
        next_at=None if oldest is None else oldest.next_at,
        quiet_until=None if channel.quiet is None else quiet_until(channel.quiet, now),
        delivered_at=box.delivered_at,
    )


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        pid=attempt.pid,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        reason=attempt.reason,
        cause=attempt.cause,
        cpu_seconds=attempt.cpu_s,
        max_rss_bytes=attempt.max_rss_bytes,
        strays=attempt.strays,
    )


def _last(run: Run) -> LastRun:
    return LastRun(run.id, run.state, run.cause, run.started_at, run.ended_at, _duration_s(run))


def _duration_s(run: Run) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return round((run.ended_at - run.started_at).total_seconds(), 6)


def _age(run: Run) -> tuple[datetime, int, int]:
    return run.due, run.place, run.id
