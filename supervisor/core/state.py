"""`SchedulerState`: everything the core knows, as one value.

Its fields hold persistent values (PersistentMap, tuples, frozen values), so a copy
shares unchanged parts, and publishing one to another thread is a single assignment.
`decide` works on a copy and never changes the state it was given. Only `turn.py` and
its `state_indexes.py` maintain by_job, queue, groups and recent_runs.
"""

from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct, field

from supervisor.core import schedule
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.config_model import Config, Job, Problem
from supervisor.core.dependencies import RunSummary
from supervisor.core.model import Attempt, JobRecord, Pause, ReloadEntry, Run, State
from supervisor.core.outbox import Outbox
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.run_queue import RunQueue
from supervisor.core.schedule import Calendar
from supervisor.core.verdict import Verdict, WorkerMessages

# Jobs that only a request of their own opens. jobs.yaml must not use these names, and cannot
# use those with a colon.
RESTORE, VERIFY = "restore", "backups:verify"
RESERVED = {
    RESTORE: Job(
        RESTORE,
        place=0,
        worker="backup.restore.run",
        exclusive="exclusive",
        timeout_s=None,
        description="Put a verified backup in place of a database",
    ),
    VERIFY: Job(
        VERIFY,
        place=0,
        worker="backup.verify_run.run",
        timeout_s=6 * 3600.0,
        nice=10,
        description="Verify a copy again",
    ),
}


class ServicePhase(StrEnum):
    """Phase of the service as a whole."""

    SERVING = "serving"
    DRAINING = "draining"  # admits no runs, lets live ones finish
    STOPPING = "stopping"  # admits no runs, ends live ones
    STOPPED = "stopped"


class LiveAttempt(Struct, frozen=True):
    """Attempt whose process tree is not known to be empty.

    It keeps the definition it began with. It holds a place in the pool, its groups and
    its job until the tree is empty.

    deadline, kill_at, give_up_at: monotonic seconds.
    forced_verdict: the verdict that the supervisor's own action (a timeout, a
        cancellation) imposes.
    reported: what its worker sent.
    exited: its own process has ended and the run has moved on.
    outcome: the run, if this attempt ended it.
    is_abandoned: its keeper was killed to end it; the state of its tree is not known yet.
    """

    run: int
    job: Job
    attempt: Attempt
    groups: tuple[str, ...]
    deadline: float | None
    kill_at: float | None = None
    give_up_at: float | None = None
    forced_verdict: Verdict | None = None
    reported: WorkerMessages = WorkerMessages()
    exited: bool = False
    outcome: Run | None = None
    is_abandoned: bool = False

    def next_deadline(self) -> float | None:
        """Return the earliest of the three deadlines, or None."""
        nearest = self.deadline
        for at in (self.kill_at, self.give_up_at):
            if at is not None and (nearest is None or at < nearest):
                nearest = at
        return nearest


class SchedulerState(Struct):
    """State of the service; see the module for the invariants.

    jobs_by_minute: minute since 1970 -> names of jobs with a slot then. next_slot: job
        -> that slot. A job without a future slot is in neither.
    runs: the open ones, by id. by_job: ids of the open or live runs of each job.
    recent_runs: the newest few runs of each job, largest due first.
    retry_at: when retrying runs are due, in monotonic seconds. late: the newest slot of
        each job that has `late_after` and has had no success for it.
    incidents: the open ones. closed: those whose recovery is not announced yet, and
        others whose ack is in force.
    outboxes: the alerts that wait, by the channel's name.
    metrics: the latest values that workers measured and the numbers of their last
        results, by job and name.
    unopened: jobs whose slot of this minute is due and not opened yet, in the order of the
        file. opening_at: when the others were opened, in monotonic seconds.
    latest_wall: the latest reading of the clock since it was last put back.
    silent_until: the clock was put back, and slots up to then count as done.
    zone_changed: when `timezone` last changed since the start, and a sentence about it.
    last_reload: the newest text of jobs.yaml that was read, and its outcome.
    is_leader: attempts run on the hosts of a cluster, which enforce their limits.
    hosts: those of the cluster, as its leader last saw them; (): it has not looked yet.
    fence_at: this host is of a cluster, and has no right to run what it was assigned after
        this time, in monotonic seconds, unless it is confirmed again; None: it has none now.
    ledger_error: why the ledger cannot be written; "": it can.
    """

    config: Config
    jobs: PersistentMap[str, Job] = field(default_factory=PersistentMap)
    jobs_by_minute: PersistentMap[int, PersistentMap[str, None]] = field(
        default_factory=PersistentMap
    )
    next_slot: PersistentMap[str, datetime] = field(default_factory=PersistentMap)
    job_records: PersistentMap[str, JobRecord] = field(default_factory=PersistentMap)
    paused: Pause | None = None
    runs: PersistentMap[int, Run] = field(default_factory=PersistentMap)
    live_attempts: PersistentMap[int, LiveAttempt] = field(default_factory=PersistentMap)
    by_job: PersistentMap[str, tuple[int, ...]] = field(default_factory=PersistentMap)
    queue: RunQueue = RunQueue()
    groups: PersistentMap[str, int] = field(default_factory=PersistentMap)
    retry_at: PersistentMap[int, float] = field(default_factory=PersistentMap)
    late: PersistentMap[str, datetime] = field(default_factory=PersistentMap)
    recent_runs: PersistentMap[str, tuple[RunSummary, ...]] = field(default_factory=PersistentMap)
    last_success: PersistentMap[str, datetime] = field(default_factory=PersistentMap)
    last_run: PersistentMap[str, Run] = field(default_factory=PersistentMap)
    last_assigned: PersistentMap[str, Run] = field(default_factory=PersistentMap)
    incidents: PersistentMap[tuple[str, str], Incident] = field(default_factory=PersistentMap)
    closed: PersistentMap[tuple[str, str], Incident] = field(default_factory=PersistentMap)
    outboxes: PersistentMap[str, Outbox] = field(default_factory=PersistentMap)
    life: ServicePhase = ServicePhase.SERVING
    is_leader: bool = False
    hosts: tuple[ClusterHost, ...] = ()
    fence_at: float | None = None
    fence_grace_s: float = 0.0
    has_calendar: bool = True
    stop_by: float | None = None
    problems: tuple[Problem, ...] = ()
    last_reload: ReloadEntry | None = None
    ledger_error: str = ""
    last_tick: datetime | None = None
    unopened: tuple[str, ...] = ()
    opening_at: float = 0.0
    latest_wall: datetime | None = None
    silent_until: datetime | None = None
    zone_changed: tuple[datetime, str] | None = None
    strays_killed: int = 0
    output_bytes_dropped: int = 0
    metrics: PersistentMap[str, PersistentMap[str, float]] = field(default_factory=PersistentMap)
    next_run: int = 1
    next_incident: int = 1
    next_alert: int = 1

    def open_runs_of(self, job: str) -> list[Run]:
        """Return the job's pending, running and retrying runs, oldest first."""
        return [self.runs[run] for run in self.by_job.get(job, ()) if run in self.runs]

    def pause_over(self, job: str, at: datetime) -> Pause | None:
        """Return the pause that applies to this job at this instant and ends last, if any."""
        mark = self.job_records.get(job)
        pauses = (self.paused, mark.pause if mark else None)
        in_force = [p for p in pauses if p is not None and (p.until is None or at < p.until)]
        return max(in_force, key=_pause_end, default=None)

    def calendar(self, job: Job, since: datetime) -> Calendar:
        """Return the job's calendar after an instant, without fixed times that are done."""
        mark = self.job_records.get(job.name)
        done = None if mark is None else mark.fixed_until
        fixed_after = done if done is not None and done > since else None
        return schedule.calendar(job.cron, job.timezone, fixed_after)

    def definition(self, name: str) -> Job | None:
        """Return the job with this name, including the reserved ones."""
        return self.jobs.get(name) or RESERVED.get(name)

    @property
    def is_idle(self) -> bool:
        """Return whether no run is open and no attempt is alive."""
        return not self.runs and not self.live_attempts

    @property
    def has_unsent_alerts(self) -> bool:
        """Return whether an alert is being sent, or the oldest of a channel was never tried."""
        return any(box.sending or box.is_untried for box in self.outboxes.values())

    @property
    def waiting_alerts(self) -> list[Alert]:
        """Return the waiting alerts of all channels, oldest first."""
        rows = (row for box in self.outboxes.values() for row in box.waiting)
        return sorted(rows, key=lambda row: row.id)

    def pending(self) -> int:
        """Return the number of pending runs."""
        return sum(run.state is State.PENDING for run in self.runs.values())


def _pause_end(pause: Pause) -> datetime:
    return pause.until or datetime.max.replace(tzinfo=UTC)
