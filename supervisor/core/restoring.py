"""The start: what a predecessor left, and what came due while nobody ran.

Open rows are settled first - each goes on in the same row or ends - then every
slot of the absence gets its outcome, then start-up runs are opened.
"""

from datetime import datetime, timedelta

import msgspec

from supervisor.core import attempts, clockwatch, delivery, reloading, schedule, verdict
from supervisor.core.effects import Record
from supervisor.core.events import Restored
from supervisor.core.incident import DAMAGE, ENDED_BY_ACK, LATE, LEDGER, MISSED, RELOAD
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
            turn.end_incidents(incident.job, incident.kind)
    turn.mend("", LEDGER)  # it was found sound, and written a moment ago
    turn.end_incidents("", *ENDED_BY_ACK)
    if event.damage:
        turn.trouble("", DAMAGE, event.damage)
    if event.problems:
        reloading.refuse(turn, event.problems)
    else:
        turn.mend("", RELOAD)
    if event.calendar:
        _catch_up(turn, event)
    turn.settle()
    turn.may_admit = True


def _is_open_slot(run: Run) -> bool:
    return run.state.is_open and run.slot is not None


def _world(event: Restored) -> World:
    memory = event.memory
    world = World(
        config=event.config,
        paused=memory.paused,
        has_calendar=event.calendar,
        # `run --local` makes no tick, and so leaves the absence as long as it is.
        last_tick=event.at.wall if event.calendar else memory.last_tick,
        latest_wall=event.at.wall,
        silent_until=memory.silent_until,
        next_run=memory.next_run,
        next_incident=memory.next_incident,
        next_alert=memory.next_alert,
    )
    world.jobs = world.jobs.update({job.name: job for job in event.config.jobs})
    world.marks = world.marks.update({mark.job: mark for mark in memory.marks})
    # Of the closed ones of a job and kind the newest counts; they come oldest first.
    newest = {(each.job, each.kind): each for each in memory.incidents}
    world.incidents = world.incidents.update(
        {key: each for key, each in newest.items() if each.closed_at is None}
    )
    world.closed = world.closed.update(
        {key: each for key, each in newest.items() if each.closed_at is not None}
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
    lived_until = _lived_until(event)
    for job in jobs:
        mark = turn.world.marks.get(job.name)
        if mark is None:
            turn.mark(job.name, seen_until=turn.now)
        elif mark.removed_at is not None:
            # It was not defined when the absence began: it begins now, as any new job.
            turn.mark(job.name, seen_until=max(turn.now, mark.seen_until), removed_at=None)
        elif job.cron:
            since = mark.seen_until if lived_until is None else max(mark.seen_until, lived_until)
            away = f"no supervisor ran after {words(lived_until or since)} (it {word})"
            open_due(turn, job, since, away)
            _watch_lateness(turn, job, mark.seen_until, since)
        turn.expect(job, max(turn.now, turn.world.marks[job.name].seen_until))
    for mark in event.memory.marks:
        if mark.job not in turn.world.jobs and mark.removed_at is None:
            turn.mark(mark.job, removed_at=turn.now)
    clockwatch.begin(turn, lived_until)
    turn.ticked()
    for job in jobs:
        if job.run_on_startup:
            open_slot(turn, job, turn.now, Trigger.STARTUP)


def _lived_until(event: Restored) -> datetime | None:
    """When the last tick before this start was: the absence begins then.

    Slots of a newer text before it are neither missed nor to be caught up. A ledger
    that has not kept it proves as much with its newest mark: a turn settles the due
    slots of all jobs together, so nothing up to there is without its outcome.
    """
    if event.memory.last_tick is not None:
        return event.memory.last_tick
    marks = (mark.seen_until for mark in event.memory.marks)
    return max((seen for seen in marks if seen <= event.at.wall), default=None)


def _watch_lateness(turn: Turn, job: Job, seen_until: datetime, since: datetime) -> None:
    """A slot of an earlier life may still be waiting for its success.

    since: the absence began then. Slots of a newer text between `seen_until` and that
    were never due.
    """
    if job.late_after_s is None or (job.name, LATE) in turn.world.incidents:
        return
    calendar = schedule.calendar(job.cron, job.timezone)
    slots = calendar.newest(1, since, turn.now)
    slots = slots or calendar.newest(1, seen_until - timedelta(minutes=1), seen_until)
    success = turn.world.last_success.get(job.name)
    if not slots or (success is not None and success >= slots[-1]):
        return
    forbidden = (Reason.PAUSED, Reason.DISABLED)
    past = turn.world.past.get(job.name, ())
    if not any(each.due == slots[-1] and each.reason in forbidden for each in past):
        turn.world.late = turn.world.late.set(job.name, slots[-1])
