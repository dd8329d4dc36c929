"""The start: what a predecessor left, and what came due while nobody ran.

Open rows are settled first - each goes on in the same row or ends - then every
slot of the absence gets its outcome, then start-up runs are opened.
"""

from datetime import datetime, timedelta

import msgspec

from supervisor.core import attempts, clockwatch, delivery, reloading, schedule, verdict
from supervisor.core.events import Record, Restored
from supervisor.core.incident import DAMAGE, LATE, LEDGER, MISSED, RELOAD
from supervisor.core.model import Attempt, CatchUp, Job, Reason, Run, State, Trigger, replace
from supervisor.core.opening import open_due, open_slot, window, words
from supervisor.core.turn import Turn
from supervisor.core.verdict import Verdict, cancelled
from supervisor.core.world import World


def restored(turn: Turn, event: Restored) -> None:
    """The service begins with what its ledger remembers."""
    turn.world = _world(event)
    by_age = sorted(event.memory.runs, key=lambda each: (each.due, each.id))
    # `run --local` leaves the open slots of the calendar as they are.
    left_alone = set() if event.calendar else {run for run in by_age if _is_open_slot(run)}
    rows = [run for run in by_age if run not in left_alone]
    for run in rows:
        turn.restore(run)
        if run.state is State.SUCCESS and run.result_json:
            attempts.measure(turn, run.job, msgspec.json.decode(run.result_json))
    delivery.restored(turn, event.memory.outbox)
    newest = {run.job: run.id for run in rows if _is_open_slot(run)}
    for run in rows:
        if run.state.is_open:
            _settle_row(turn, run, newest.get(run.job) == run.id, event)
    for incident in event.memory.incidents:
        if incident.job and turn.world.definition(incident.job) is None:
            turn.mend(incident.job, incident.kind)
    turn.mend("", LEDGER, DAMAGE)  # it was found sound, and written a moment ago
    if event.damage:
        turn.trouble("", DAMAGE, event.damage)
    if event.problems:
        reloading.refuse(turn, event.problems)
    else:
        turn.mend("", RELOAD)
    if event.calendar:
        _catch_up(turn, event)
    turn.may_admit = True


def _is_open_slot(run: Run) -> bool:
    return run.state.is_open and run.slot is not None


def _world(event: Restored) -> World:
    memory = event.memory
    world = World(
        config=event.config,
        paused=memory.paused,
        has_calendar=event.calendar,
        last_tick=event.at.wall,
        latest_wall=event.at.wall,
        next_run=memory.next_run,
        next_incident=memory.next_incident,
        next_alert=memory.next_alert,
    )
    world.jobs = world.jobs.update({job.name: job for job in event.config.jobs})
    world.marks = world.marks.update({mark.job: mark for mark in memory.marks})
    world.incidents = world.incidents.update(
        {(each.job, each.kind): each for each in memory.incidents}
    )
    return world


def _settle_row(turn: Turn, run: Run, is_newest: bool, event: Restored) -> None:
    """An open row of a predecessor goes on in the same row, or ends."""
    end = verdict.interrupted(Reason.CRASH if event.crashed else Reason.SHUTDOWN)
    if run.state is State.RUNNING:
        _end_attempts(turn, run, event.memory.attempts, end)
        run = replace(run, interruptions=run.interruptions + 1, cause=end.cause)
    job = turn.world.definition(run.job)
    if job is None:
        turn.finish(run, cancelled(Reason.REMOVED, "removed from jobs.yaml"))
    elif not job.enabled:
        turn.finish(run, cancelled(Reason.DISABLED, "disabled in jobs.yaml"))
    elif is_newest and _may_resume(turn, run, job):
        _resume(turn, run)
    elif run.attempt == 0:
        cause = "the supervisor stopped before it began"
        turn.finish(run, Verdict(State.MISSED, Reason.AWAY, cause))
        if run.slot is not None:
            turn.trouble(run.job, MISSED, f"the slot of {words(run.slot)} was missed: {cause}")
    else:
        turn.finish(run, end)


def _end_attempts(turn: Turn, run: Run, unfinished: tuple[Attempt, ...], end: Verdict) -> None:
    # One that was cut off in its first moments may have no row of its own yet.
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
    return turn.now - run.due < window(job, calendar, run.due)


def _resume(turn: Turn, run: Run) -> None:
    if run.state is State.PENDING:
        turn.keep(replace(run, cause="taken up again after a restart"))
        return
    left = timedelta(0) if run.next_attempt_at is None else run.next_attempt_at - turn.now
    # A clock that moved while nobody looked must not make a backoff endless.
    delay_s = min(max(0.0, left.total_seconds()), turn.world.jobs[run.job].retry_max_delay_s)
    attempts.retry_in(turn, run, delay_s, run.cause, run.reason)


def _catch_up(turn: Turn, event: Restored) -> None:
    word = "died" if event.crashed else "was stopped"
    jobs = sorted(turn.world.jobs.values(), key=lambda job: job.place)
    for job in jobs:
        mark = turn.world.marks.get(job.name)
        if mark is None:
            turn.mark(job.name, seen_until=turn.now)
        elif job.cron:
            away = f"no supervisor ran after {words(mark.seen_until)} (it {word})"
            open_due(turn, job, mark.seen_until, away)
            _watch_lateness(turn, job, mark.seen_until)
        turn.expect(job, max(turn.now, turn.world.marks[job.name].seen_until))
    for job in jobs:
        if job.run_on_startup:
            open_slot(turn, job, turn.now, Trigger.STARTUP)
    clockwatch.look_ahead(turn)


def _watch_lateness(turn: Turn, job: Job, seen_until: datetime) -> None:
    """A slot of an earlier life may still be waiting for its success."""
    if job.late_after_s is None or (job.name, LATE) in turn.world.incidents:
        return
    calendar = schedule.calendar(job.cron, job.timezone)
    slots = calendar.newest(1, seen_until - timedelta(minutes=1), turn.now)
    success = turn.world.last_success.get(job.name)
    if not slots or (success is not None and success >= slots[-1]):
        return
    forbidden = (Reason.PAUSED, Reason.DISABLED)
    past = turn.world.past.get(job.name, ())
    if not any(each.due == slots[-1] and each.reason in forbidden for each in past):
        turn.world.late = turn.world.late.set(job.name, slots[-1])
