"""Apply a new version of jobs.yaml, or report why it was refused; record which it was.

Schedules change from the last tick on, and a new job starts now. A live attempt keeps
the definition it began with. Runs of a removed or disabled job that wait are
cancelled. A refused version changes nothing in force.
"""

from supervisor.core import alert_delivery, config_diff, incidents
from supervisor.core.config_diff import AT_NEXT_START, MOST_CHANGES
from supervisor.core.config_model import Config, Job, Problem
from supervisor.core.effects import Record
from supervisor.core.events import Reloaded, ReloadRefused
from supervisor.core.model import JobChange, Reason, ReloadEntry, State, replace
from supervisor.core.tick import redefined
from supervisor.core.turn import Turn
from supervisor.core.verdict import cancelled
from workers.units import format_count


def reloaded(turn: Turn, event: Reloaded) -> None:
    """Put a new version of jobs.yaml in force."""
    scheduler = turn.scheduler
    before, notify, config = scheduler.jobs, scheduler.config.notify, event.config
    changes = config_diff.changes(scheduler.config, config)
    if config.timezone != scheduler.config.timezone:
        _tell_of_zone(turn, scheduler.config.timezone, config.timezone)
    for key in config_diff.at_next_start(scheduler.config, config):
        turn.note(f"{key} of jobs.yaml takes effect at the next start", "warning")
    # The sockets of these are opened once, at the start.
    kept = scheduler.config
    scheduler.config = replace(config, api=kept.api, metrics=kept.metrics, cluster=kept.cluster)
    scheduler.problems = ()
    scheduler.jobs = type(scheduler.jobs)({job.name: job for job in config.jobs})
    alert_delivery.reconsider(turn, notify)
    for name in before:
        if name not in scheduler.jobs:
            _remove(turn, name)
    for job in config.jobs:
        _take(turn, before.get(job.name), job)
    turn.close_incidents("", incidents.RELOAD)
    note_accepted(turn, event.sha256, config, changes)
    turn.note(f"jobs.yaml reloaded: {format_count(len(config.jobs), 'job')}")
    turn.may_admit = True


def _tell_of_zone(turn: Turn, before: str, after: str) -> None:
    """Report a changed time zone: the schedules of most jobs move at once.

    The zone of the machine may have changed, rather than jobs.yaml.
    """
    said = f"the time zone changed from {before} to {after}: slots that follow it have moved"
    turn.scheduler.zone_changed = (turn.now, said)
    turn.note(said, "warning")


def reload_refused(turn: Turn, event: ReloadRefused) -> None:
    """Keep the version in force, and open an incident.

    The problems are shown in `status` until they are fixed.
    """
    if event.error:
        cause = f"jobs.yaml could not be read again: {event.error}; the text in force stays"
        turn.open_incident("", incidents.RELOAD, cause)
        return
    note_refused(turn, event.sha256, event.problems)
    if event.problems != turn.scheduler.problems:
        refuse(turn, event.problems)


def refuse(turn: Turn, problems: tuple[Problem, ...]) -> None:
    """Store the problems, and open (or count) the incident."""
    turn.scheduler.problems = problems
    turn.open_incident("", incidents.RELOAD, f"jobs.yaml was refused: {_first(problems)}")


def note_accepted(
    turn: Turn, sha256: str, config: Config, changes: tuple[JobChange, ...] = ()
) -> None:
    """Record that a text was accepted, unless the newest entry says so."""
    if sha256:  # "": the caller has a config, but no text of it
        count = len(config.jobs)
        said = f"{count} job{'' if count == 1 else 's'}"
        kept, more = changes[:MOST_CHANGES], max(0, len(changes) - MOST_CHANGES)
        _note_outcome(turn, ReloadEntry(turn.now, sha256, True, said, kept, more))


def note_refused(turn: Turn, sha256: str, problems: tuple[Problem, ...]) -> None:
    """Record that a text was refused, unless the newest entry says so."""
    _note_outcome(turn, ReloadEntry(turn.now, sha256, False, _first(problems)))


def _note_outcome(turn: Turn, entry: ReloadEntry) -> None:
    last = turn.scheduler.last_reload
    # The same text may change jobs: a variable or the machine's zone is another. What waits
    # for the next start is a change with each text until then.
    is_news = any(each.job or {*each.keys} - {*AT_NEXT_START} for each in entry.changes)
    if is_news or last is None or _outcome(entry) != _outcome(last):
        turn.scheduler.last_reload = entry
        turn.actions.append(Record(entry))


def _outcome(entry: ReloadEntry) -> tuple[str, bool, str]:
    return entry.sha256, entry.accepted, entry.said


def _first(problems: tuple[Problem, ...]) -> str:
    """Return the first problem with its place, and how many more there are."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    path = f"{first.path}: " if first.path else ""
    return f"jobs.yaml:{first.line}:{first.column}: {path}{first.message}{more}"


def _take(turn: Turn, before: Job | None, job: Job) -> None:
    if not job.enabled:
        _cancel_waiting(turn, job.name, Reason.DISABLED, "disabled in jobs.yaml")
    if not turn.scheduler.has_calendar:
        return
    if before is None:
        turn.advance_seen_until(job.name, turn.now)
        if turn.scheduler.job_records[job.name].removed_at is not None:
            turn.update_job_record(job.name, removed_at=None)
    elif (before.cron, before.timezone) == (job.cron, job.timezone):
        return
    tick = turn.scheduler.last_tick or turn.now
    turn.advance_seen_until(job.name, tick)
    redefined(turn, job)
    turn.schedule_next(job, max(tick, turn.scheduler.job_records[job.name].seen_until))


def _remove(turn: Turn, name: str) -> None:
    turn.unschedule(name)
    _cancel_waiting(turn, name, Reason.REMOVED, "removed from jobs.yaml")
    turn.end_incidents(name, *incidents.SEVERITY)
    if turn.scheduler.has_calendar:
        turn.update_job_record(name, removed_at=turn.now)
    if name in turn.scheduler.late:
        turn.scheduler.late = turn.scheduler.late.delete(name)
    if name in turn.scheduler.metrics:
        turn.scheduler.metrics = turn.scheduler.metrics.delete(name)


def _cancel_waiting(turn: Turn, name: str, reason: Reason, cause: str) -> None:
    for run in turn.scheduler.open_runs_of(name):
        if run.state is not State.RUNNING:
            turn.finish(run, cancelled(reason, cause))
