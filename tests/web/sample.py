"""A service with a past: jobs, and a ledger with weeks of runs, for pages to show.

Everything is computed from the place of a run, so that a picture made twice is the same
but for its dates.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from supervisor.core.alert_model import Incident
from supervisor.core.config_model import Severity
from supervisor.core.effects import Record
from supervisor.core.model import (
    Attempt,
    AuditEntry,
    MissedRange,
    Peer,
    Reason,
    Run,
    State,
    Trigger,
    replace,
)
from supervisor.ledger.store import Store

JOBS = """
timezone: Europe/Berlin
max_concurrent: 3
jobs:
  sync-sets: {description: New sets from the catalogue, command: "echo sets", cron: "0 2 * * *"}
  sync-cards:
    description: Cards of every set
    command: "echo cards"
    cron: "0 3 * * *"
    deps: [sync-sets]
    timeout: 30m
  backup-database:
    description: A verified copy each night
    worker: backup.run
    cron: "0 0 * * *"
    with: {database: cards.db, directory: backups}
  rotate-backups:
    worker: rotation.run
    cron: "0 1 * * *"
    deps: [backup-database]
    with: {directory: backups}
  replicate:
    description: Into PostgreSQL
    command: "exit 3"
    cron: "0 4 * * *"
    exclusive: true
    retries: 1
    retry_delay: 2m
  health: {description: Each quarter of an hour, command: "true", cron: "*/15 * * * *"}
  long-report: {command: "sleep 1", cron: "30 5 * * mon-sat", exclusive: true}
  import-orders:
    description: Orders of the shop
    command: 'printf "\\033[32mok\\033[0m %s\\n" 1 2 3; sleep 300'
    cron: "0 9 * * *"
  old-export: {enabled: false, command: "true", cron: "0 6 1 * *"}
"""
# job -> hour of the slot, usual seconds
_NIGHTLY = {
    "sync-sets": (1, 54.8),
    "sync-cards": (2, 870.0),
    "backup-database": (23, 44.4),
    "rotate-backups": (0, 2.7),
    "replicate": (3, 503.0),
    "long-report": (4, 1997.0),
}


def fill(folder: Path, now: datetime, days: int = 40) -> None:
    """Write the past of these jobs into a new ledger in this folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "runs").mkdir(exist_ok=True)
    store = Store(folder)
    runs = sorted(_runs(now, days), key=lambda run: run.due)
    numbered = [replace(run, id=number) for number, run in enumerate(runs, 1)]
    for begin in range(0, len(numbered), 500):
        store.write([Record(run) for run in numbered[begin : begin + 500]])
    failed = [run for run in numbered if run.job == "replicate" and run.state is State.FAILED]
    last = failed[-1]
    began, ended = last.started_at, last.ended_at
    assert began is not None
    assert ended is not None
    gap = now - timedelta(days=12), now - timedelta(days=11)
    missed = MissedRange("health", *gap, 96, "no supervisor ran")
    incident = Incident(
        *(1, "replicate", "exit", Severity.ERROR, ended, ended, "exit status 3"),
        run=last.id,
        next_reminder_at=now + timedelta(hours=3),
    )
    first = Attempt(
        *(last.id, 1, began, 4711, began + timedelta(seconds=60), Reason.EXIT, "exit status 3")
    )
    second = replace(
        first, number=2, pid=4712, started_at=began + timedelta(seconds=180), ended_at=ended
    )
    acked = AuditEntry(
        now - timedelta(hours=5), Peer(1000, 812, "anna"), "ack", "incident 1", "ok"
    )
    reload = AuditEntry(now - timedelta(hours=30), Peer(0, 99), "reload", "", "ok")
    store.write([Record(row) for row in (missed, incident, first, second, reload, acked)])
    store.close()
    log = "".join(
        f"\x1b[2m04:00:{n:02}\x1b[0m \x1b[32mok\x1b[0m table {n} \x1b[33m{n * 37} rows\x1b[0m\n"
        for n in range(1, 60)
    )
    (folder / "runs" / f"{last.id}.log").write_text(
        f"{log}\x1b[1;31merror\x1b[0m: connection to server at 10.1.2.3 failed: <b>timeout</b>\n"
    )


def _runs(now: datetime, days: int) -> Iterator[Run]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in range(days):
        day = midnight - timedelta(days=ago)
        for job, (hour, usual) in _NIGHTLY.items():
            due = day + timedelta(hours=hour, minutes=30 if job == "long-report" else 0)
            if due < now - timedelta(minutes=40) and not (
                job == "long-report" and day.weekday() == 6
            ):
                yield _run(job, due, usual * (0.7 + 0.06 * ((ago * 7) % 11)), _end(job, ago))
        if ago < 12:
            for quarter in range(96):
                due = day + timedelta(minutes=15 * quarter)
                if due < now - timedelta(minutes=1):
                    bad = (
                        State.FAILED
                        if (ago, quarter) in ((4, 50), (7, 3), (7, 4))
                        else State.SUCCESS
                    )
                    yield _run("health", due, 1.2 + quarter % 5 * 0.2, bad)


def _end(job: str, ago: int) -> State:
    if job == "replicate" and ago in (0, 1):
        return State.FAILED if ago == 0 else State.SUCCESS
    if job == "sync-cards" and ago == 9:
        return State.SKIPPED
    if job == "long-report" and ago in (15, 16):
        return State.MISSED
    return State.FAILED if (ago * 13 + len(job)) % 29 == 0 and ago > 2 else State.SUCCESS


def _run(job: str, due: datetime, seconds: float, state: State) -> Run:
    ran = state in (State.SUCCESS, State.FAILED)
    began = due + timedelta(seconds=200 if job == "long-report" else 0) if ran else None
    causes = {
        State.FAILED: (Reason.EXIT, "exit status 3" if job == "replicate" else "exit status 1"),
        State.SKIPPED: (Reason.DEPENDENCY, "dependency sync-sets failed: exit status 1"),
        State.MISSED: (Reason.AWAY, "no supervisor ran"),
    }
    reason, cause = causes.get(state, (None, ""))
    return Run(
        1,
        job,
        due,
        Trigger.SCHEDULE,
        state,
        slot=due,
        reason=reason,
        cause=cause,
        attempt=1 if ran else 0,
        started_at=began,
        ended_at=began + timedelta(seconds=seconds) if began else due,
        exit_status=(0 if state is State.SUCCESS else 3) if ran else None,
        cpu_s=round(seconds / 9, 2) if ran else None,
        max_rss_bytes=48_000_000 if ran else None,
    )


def utc_now() -> datetime:
    """Return the current minute in UTC."""
    return datetime.now(UTC).replace(second=0, microsecond=0)
