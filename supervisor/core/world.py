"""Everything the core knows, as one value: `World`.

Its fields hold persistent values (PersistentMap, tuples, frozen values),
so a copy shares all it can and publishing one to another thread is a single
assignment. `decide` works on a copy and never changes the world it was given.
Only `turn.py` and its `indexes.py` keep by_job, queue, groups and past true.
"""

from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct, field

from supervisor.core import schedule
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.graph import Past
from supervisor.core.model import Attempt, Config, Job, Mark, Pause, Problem, Run, State
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.schedule import Calendar
from supervisor.core.verdict import Heard, Verdict

# Runs of these are opened by a request of their own; the name is refused in jobs.yaml.
RESTORE = "restore"
RESERVED = {
    RESTORE: Job(
        RESTORE,
        place=0,
        worker="backup.restore.run",
        exclusive="exclusive",
        timeout_s=None,
        description="Put a verified backup in place of a database",
    )
}


class Life(StrEnum):
    """What the service as a whole is doing."""

    SERVING = "serving"
    DRAINING = "draining"  # admits nothing, lets living runs finish
    STOPPING = "stopping"  # admits nothing, ends what lives
    STOPPED = "stopped"


class Living(Struct, frozen=True):
    """An attempt whose tree is not known to be empty.

    It keeps the definition it was begun with and holds a place, its groups and
    its job until the tree is empty. deadline, kill_at and give_up_at are
    monotonic seconds. wish: the verdict that our own doing (a timeout, a
    cancel) gives it. settled: its own process has ended and the run has moved on.
    outcome: the run, if that was its end. is_abandoned: its keeper was killed to
    end it, and what became of its tree is awaited.
    """

    run: int
    job: Job
    attempt: Attempt
    groups: tuple[str, ...]
    deadline: float | None
    kill_at: float | None = None
    give_up_at: float | None = None
    wish: Verdict | None = None
    heard: Heard = Heard()
    settled: bool = False
    outcome: Run | None = None
    is_abandoned: bool = False

    def next_deadline(self) -> float | None:
        """The nearest of the three, or None."""
        nearest = self.deadline
        for at in (self.kill_at, self.give_up_at):
            if at is not None and (nearest is None or at < nearest):
                nearest = at
        return nearest


# (due, place, id): the order in which pending runs are looked at.
Turnstile = tuple[datetime, int, int]


class World(Struct):
    """The state of the service; see the module for the law.

    agenda: minute since 1970 -> names of jobs with a slot then; next_slot: its
        inverse. A job without a coming slot is in neither.
    runs: the open ones, by id. by_job: ids of open or living runs of a job.
    past: the newest few runs of each job, largest due first.
    retry_at: monotonic instants of retrying runs. late: the newest slot of each
        job that has `late_after` and has not succeeded for it.
    incidents: the open ones. closed: those whose recovery is not announced yet, and
        others whose ack is in force.
    outbox: alerts that wait, oldest first. sending: ids of those that are on
        their way. deliver_at: monotonic, the channel is left alone until then.
    metrics: what workers measured last and the numbers of their last results, by
        job and name.
    latest_wall: the latest reading of the clock since it was last put back.
        silent_until: it was put back, and slots up to then count as done.
    zone_changed: when `timezone` changed last in this life, and in words how.
    ledger_trouble: "" or why the ledger cannot be written.
    """

    config: Config
    jobs: PersistentMap[str, Job] = field(default_factory=PersistentMap)
    agenda: PersistentMap[int, PersistentMap[str, None]] = field(default_factory=PersistentMap)
    next_slot: PersistentMap[str, datetime] = field(default_factory=PersistentMap)
    marks: PersistentMap[str, Mark] = field(default_factory=PersistentMap)
    paused: Pause | None = None
    runs: PersistentMap[int, Run] = field(default_factory=PersistentMap)
    living: PersistentMap[int, Living] = field(default_factory=PersistentMap)
    by_job: PersistentMap[str, tuple[int, ...]] = field(default_factory=PersistentMap)
    queue: tuple[Turnstile, ...] = ()
    groups: PersistentMap[str, int] = field(default_factory=PersistentMap)
    retry_at: PersistentMap[int, float] = field(default_factory=PersistentMap)
    late: PersistentMap[str, datetime] = field(default_factory=PersistentMap)
    past: PersistentMap[str, tuple[Past, ...]] = field(default_factory=PersistentMap)
    last_success: PersistentMap[str, datetime] = field(default_factory=PersistentMap)
    last: PersistentMap[str, Run] = field(default_factory=PersistentMap)
    incidents: PersistentMap[tuple[str, str], Incident] = field(default_factory=PersistentMap)
    closed: PersistentMap[tuple[str, str], Incident] = field(default_factory=PersistentMap)
    outbox: tuple[Alert, ...] = ()
    sending: tuple[int, ...] = ()
    deliver_at: float | None = None
    life: Life = Life.SERVING
    has_calendar: bool = True
    stop_by: float | None = None
    problems: tuple[Problem, ...] = ()
    ledger_trouble: str = ""
    last_tick: datetime | None = None
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
        """The job's pending, running and retrying runs, oldest first."""
        return [self.runs[run] for run in self.by_job.get(job, ()) if run in self.runs]

    def lives(self, job: str) -> int | None:
        """The run of the job whose tree is not empty, if any."""
        return next((run for run in self.by_job.get(job, ()) if run in self.living), None)

    def pause_over(self, job: str, at: datetime) -> Pause | None:
        """The pause that holds back this job's slots the longest from this instant."""
        mark = self.marks.get(job)
        pauses = (self.paused, mark.pause if mark else None)
        in_force = [p for p in pauses if p is not None and (p.until is None or at < p.until)]
        return max(in_force, key=_end_of_pause, default=None)

    def calendar(self, job: Job, since: datetime) -> Calendar:
        """The job's slots after an instant, without fixed times that are done already."""
        mark = self.marks.get(job.name)
        done = None if mark is None else mark.fixed_until
        fixed_after = done if done is not None and done > since else None
        return schedule.calendar(job.cron, job.timezone, fixed_after)

    def definition(self, name: str) -> Job | None:
        """The job of this name, also one that no jobs.yaml may define."""
        return self.jobs.get(name) or RESERVED.get(name)

    @property
    def is_idle(self) -> bool:
        """Nothing is open and nothing lives."""
        return not self.runs and not self.living

    @property
    def has_news(self) -> bool:
        """An alert is on its way, or was never tried."""
        return bool(self.sending) or (bool(self.outbox) and not self.outbox[0].attempts)

    def pending(self) -> int:
        """How many runs wait to begin."""
        return sum(run.state is State.PENDING for run in self.runs.values())


def _end_of_pause(pause: Pause) -> datetime:
    return pause.until or datetime.max.replace(tzinfo=UTC)
