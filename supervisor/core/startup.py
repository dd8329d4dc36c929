"""Start-up: settle what the previous supervisor left, and catch up on the absence.

Open rows are settled first: each continues in the same row or ends. Then every slot
of the absence gets its outcome, and start-up runs are opened. Enter at `restored`.
"""

from datetime import datetime, timedelta

import msgspec

from supervisor.core import (
    alert_delivery,
    attempts,
    cluster_attempts,
    reload,
    schedule,
    summary,
    tick,
    verdict,
)
from supervisor.core.config_model import CatchUp, Job
from supervisor.core.effects import Record
from supervisor.core.events import Restored
from supervisor.core.incidents import DAMAGE, ENDED_BY_ACK, LATE, LEDGER, MISSED, RELOAD
from supervisor.core.model import Attempt, Reason, Run, State, Trigger, replace
from supervisor.core.slots import catch_up_window, format_instant, open_due, open_slot
from supervisor.core.state import SchedulerState
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict, cancelled


def restored(turn: Turn, event: Restored) -> None:
    """Build the state from what the ledger remembers, then settle and catch up."""
    turn.scheduler = _initial_state(event)
    by_age = sorted(event.memory.runs, key=lambda each: (each.due, each.id))
    # `run --local` leaves the open runs of slots as they are.
    left_alone = set() if event.calendar else {run for run in by_age if _is_open_slot(run)}
    rows = [run for run in by_age if run not in left_alone]
    for run in rows:
        turn.restore(run)
        if run.state is State.SUCCESS and run.result_json:
            attempts.store_metrics(turn, run.job, msgspec.json.decode(run.result_json))
    alert_delivery.restored(turn, event.memory.outbox)
    newest = {run.job: run.id for run in rows if _is_open_slot(run)}
    for run in rows:
        if run.state.is_open and event.held is not None and _is_defined(turn, run):
            cluster_attempts.adopt(turn, run, event)
        elif run.state.is_open:
            _settle_row(turn, run, newest.get(run.job) == run.id, event)
    for incident in event.memory.incidents:
        if incident.job and not _has_incidents(turn, incident.job):
            turn.end_incidents(incident.job, incident.kind)
    turn.close_incidents("", LEDGER)  # it was just checked and written
    turn.end_incidents("", *ENDED_BY_ACK)
    if event.damage:
        turn.open_incident("", DAMAGE, event.damage)
    if event.problems:
        reload.note_refused(turn, event.sha256, event.problems)
        reload.refuse(turn, event.problems)
    else:
        reload.note_accepted(turn, event.sha256, event.config)
        turn.close_incidents("", RELOAD)
    if event.calendar:
        _catch_up(turn, event)
        summary.queue_due(turn, event.memory.last_tick)
    turn.settle()
    turn.may_admit = True


def _is_defined(turn: Turn, run: Run) -> bool:
    """Return whether the job of a run is defined and enabled; a leader ends the others."""
    job = turn.scheduler.definition(run.job)
    return job is not None and job.enabled


def _has_incidents(turn: Turn, name: str) -> bool:
    """Return whether incidents of this job are opened here: on a host, not of shared jobs."""
    scheduler, job = turn.scheduler, turn.scheduler.definition(name)
    is_host = scheduler.config.cluster is not None and not scheduler.is_leader
    return job is not None and (not is_host or job.is_on_each)


def _is_open_slot(run: Run) -> bool:
    return run.state.is_open and run.slot is not None


def _initial_state(event: Restored) -> SchedulerState:
    memory = event.memory
    scheduler = SchedulerState(
        config=event.config,
        paused=memory.paused,
        has_calendar=event.calendar,
        is_leader=event.held is not None,
        # `run --local` makes no tick, so the absence goes on.
        last_tick=event.at.wall if event.calendar else memory.last_tick,
        latest_wall=event.at.wall,
        silent_until=memory.silent_until,
        last_reload=memory.last_reload,
        next_run=memory.next_run,
        next_incident=memory.next_incident,
        next_alert=memory.next_alert,
    )
    scheduler.jobs = scheduler.jobs.update({job.name: job for job in event.config.jobs})
    scheduler.job_records = scheduler.job_records.update({mark.job: mark for mark in memory.marks})
    # Only the newest of each job and kind counts; they are ordered oldest first.
    newest = {(each.job, each.kind): each for each in memory.incidents}
    scheduler.incidents = scheduler.incidents.update(
        {key: each for key, each in newest.items() if each.closed_at is None}
    )
    scheduler.closed = scheduler.closed.update(
        {key: each for key, each in newest.items() if each.closed_at is not None}
    )
    return scheduler


def _settle_row(turn: Turn, run: Run, is_newest: bool, event: Restored) -> None:
    """Continue an open row of the previous supervisor in the same row, or end it."""
    end = verdict.interrupted(Reason.CRASH if event.crashed else Reason.SHUTDOWN)
    if run.state is State.RUNNING:
        _end_attempts(turn, run, event.memory.attempts, end)
        if verdict.of_cancelled(run) is None:
            run = replace(run, interruptions=run.interruptions + 1, cause=end.cause)
    job = turn.scheduler.definition(run.job)
    was_cancelled = verdict.of_cancelled(run)
    if was_cancelled is not None:
        turn.finish(run, was_cancelled)
    elif job is None:
        turn.finish(run, cancelled(Reason.REMOVED, "removed from jobs.yaml"))
    elif not job.enabled:
        turn.finish(run, cancelled(Reason.DISABLED, "disabled in jobs.yaml"))
    elif is_newest and _may_resume(turn, run, job):
        _resume(turn, run)
    elif run.attempt == 0:
        cause = "the supervisor stopped before it began"
        turn.finish(run, Verdict(State.MISSED, Reason.AWAY, cause))
        if run.slot is not None:
            turn.open_incident(
                run.job, MISSED, f"the slot of {format_instant(run.slot)} was missed: {cause}"
            )
    else:
        turn.finish(run, end)


def _end_attempts(turn: Turn, run: Run, unfinished: tuple[Attempt, ...], end: Verdict) -> None:
    # An attempt that was cut off in its first moments may not have a row yet.
    begun = Attempt(run.id, run.attempt, run.started_at or turn.now)
    for attempt in [each for each in unfinished if each.run == run.id] or [begun]:
        ended = replace(attempt, ended_at=turn.now, reason=end.reason, cause=end.cause)
        turn.actions.append(Record(ended))


def _may_resume(turn: Turn, run: Run, job: Job) -> bool:
    if run.slot is None or job.catch_up is not CatchUp.LATEST:
        return False
    if run.interruptions > attempts.MOST_INTERRUPTIONS:
        return False
    calendar = schedule.calendar(job.cron, job.timezone)
    return turn.now - run.due < catch_up_window(job, calendar, run.due)


def _resume(turn: Turn, run: Run) -> None:
    if run.state is State.PENDING:
        turn.save_run(replace(run, cause="taken up again after a restart"))
        return
    left = timedelta(0) if run.next_attempt_at is None else run.next_attempt_at - turn.now
    # The clock may have moved during the absence: do not make the backoff endless.
    delay_s = min(max(0.0, left.total_seconds()), turn.scheduler.jobs[run.job].retry_max_delay_s)
    attempts.retry_in(turn, run, delay_s, run.cause, run.reason)


def _catch_up(turn: Turn, event: Restored) -> None:
    jobs = sorted(turn.scheduler.jobs.values(), key=lambda job: job.place)
    lived_until = _lived_until(event)
    for job in jobs:
        mark = turn.scheduler.job_records.get(job.name)
        if mark is None:
            turn.update_job_record(job.name, seen_until=turn.now)
        elif mark.removed_at is not None:
            # Not defined when the absence began, so it starts now like any new job.
            turn.update_job_record(
                job.name, seen_until=max(turn.now, mark.seen_until), removed_at=None
            )
        elif job.cron:
            since = mark.seen_until if lived_until is None else max(mark.seen_until, lived_until)
            away = _away(event, lived_until or since)
            open_due(turn, job, since, away)
            _arm_late_checks(turn, job, mark.seen_until, since)
        turn.schedule_next(job, max(turn.now, turn.scheduler.job_records[job.name].seen_until))
    for mark in event.memory.marks:
        if mark.job not in turn.scheduler.jobs and mark.removed_at is None:
            turn.update_job_record(mark.job, removed_at=turn.now)
    tick.begin(turn, lived_until)
    turn.ticked()
    is_first = event.held is None or event.memory.last_tick is None
    for job in jobs:
        if job.run_on_startup and is_first:  # a change of the leader is no start
            open_slot(turn, job, turn.now, Trigger.STARTUP)


def _away(event: Restored, since: datetime) -> str:
    if event.held is not None:
        return f"no host led the cluster after {format_instant(since)}"
    word = "died" if event.crashed else "was stopped"
    return f"no supervisor ran after {format_instant(since)} (it {word})"


def _lived_until(event: Restored) -> datetime | None:
    """Return the time of the last tick before this start, when the absence began.

    Slots before it that only a newer jobs.yaml defines are neither missed nor caught up.
    If the ledger has no last tick, the newest `seen_until` serves as well: a turn settles
    the due slots of all jobs together, so every slot up to it has its outcome.
    """
    if event.memory.last_tick is not None:
        return event.memory.last_tick
    marks = (mark.seen_until for mark in event.memory.marks)
    return max((seen for seen in marks if seen <= event.at.wall), default=None)


def _arm_late_checks(turn: Turn, job: Job, seen_until: datetime, since: datetime) -> None:
    """Watch the newest slot before this start that may still have no success.

    since: when the absence began. Slots of a newer jobs.yaml between `seen_until` and
    `since` were never due.
    """
    if job.late_after_s is None or (job.name, LATE) in turn.scheduler.incidents:
        return
    calendar = schedule.calendar(job.cron, job.timezone)
    slots = calendar.newest(1, since, turn.now)
    slots = slots or calendar.newest(1, seen_until - timedelta(minutes=1), seen_until)
    success = turn.scheduler.last_success.get(job.name)
    if not slots or (success is not None and success >= slots[-1]):
        return
    forbidden = (Reason.PAUSED, Reason.DISABLED)
    past = turn.scheduler.recent_runs.get(job.name, ())
    if not any(each.due == slots[-1] and each.reason in forbidden for each in past):
        turn.scheduler.late = turn.scheduler.late.set(job.name, slots[-1])
