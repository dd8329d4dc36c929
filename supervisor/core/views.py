"""Views for the API, the CLI and the status page: plain values.

Field names are the contract of the API. Durations are named `*_seconds`, instants
are aware UTC. Nothing here is stored; `build_views.py` makes views from the state, and
`responses.py` has the bodies that consist of them.

The API sends every field. The command line reads the same types: a field that an older
supervisor does not send takes its default, and one that a newer supervisor adds is
ignored. For the same reason states, triggers and severities are names here: those of
the enums in `model.py`, and whatever a newer supervisor adds to them.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from supervisor.core.config_model import CatchUp, IfLost, Limits, Overlap, Problem, SeverityName
from supervisor.core.model import FINAL, OPEN, Progress, Reason, State, Trigger

StateName = Annotated[str, Meta(extra_json_schema={"enum": list(State)})]
TriggerName = Annotated[str, Meta(extra_json_schema={"enum": list(Trigger)})]
ReasonName = Annotated[str, Meta(extra_json_schema={"enum": list(Reason)})]


class AttemptView(Struct, frozen=True, kw_only=True):
    """One process of a run."""

    number: int
    pid: int | None = None
    started_at: datetime
    ended_at: datetime | None = None
    reason: ReasonName | None = None
    cause: str = ""
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    strays: tuple[str, ...] = ()


class RunView(Struct, frozen=True, kw_only=True):
    """A run in the API; `attempts` is filled only when a single run is requested.

    on_host: the only host of a cluster that may run it, if one was asked for.
    incident: the kind of incident that its worker gave to a failure; "": that of `reason`.
    """

    id: int
    job: str
    slot: datetime | None = None
    due: datetime
    trigger: TriggerName = ""
    state: StateName
    reason: ReasonName | None = None
    cause: str = ""
    attempt: int = 0
    pid: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    next_attempt_at: datetime | None = None
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    exit_status: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    strays: tuple[str, ...] = ()
    log_bytes: int = 0
    dry_run: bool = False
    on_host: str = ""
    incident: str = ""
    attempts: tuple[AttemptView, ...] = ()

    @property
    def is_final(self) -> bool:
        """Return whether the state can no longer change.

        A state that is not known here is final if the run has ended.
        """
        return self.state in FINAL or (self.state not in OPEN and self.ended_at is not None)


class LastRun(Struct, frozen=True):
    """A job's newest result."""

    run: int
    state: StateName
    cause: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None


class JobStatus(Struct, frozen=True):
    """A job as one line of `status`."""

    name: str
    enabled: bool = True
    paused_until: datetime | None = None
    is_paused: bool = False
    next_at: datetime | None = None
    last: LastRun | None = None


class IncidentView(Struct, frozen=True, kw_only=True):
    """An incident in the API.

    recovery_at: when a closed incident is announced as recovered, unless it fails again.
    """

    id: int
    job: str
    kind: str
    severity: SeverityName
    cause: str
    count: int = 1
    run: int | None = None
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None = None
    acked_until: datetime | None = None
    ack_by: str = ""
    ack_reason: str = ""
    recovery_at: datetime | None = None
    undelivered: int = 0


class ChannelView(Struct, frozen=True, kw_only=True):
    """A channel: what waits for it, and why its oldest alert was not delivered.

    error "": not tried yet, or nothing waits. quiet_until: the end of its quiet hours, if
    they hold now. delivered_at: when it last accepted a message since the start.
    """

    name: str
    kind: str
    min_severity: SeverityName
    waiting: int = 0
    failures: int = 0
    error: str = ""
    next_at: datetime | None = None
    quiet_until: datetime | None = None
    delivered_at: datetime | None = None


class AlertsView(Struct, frozen=True):
    """All channels; failures, error and next_at are those of the first with an error."""

    channel: str = "none"
    waiting: int = 0
    failures: int = 0
    error: str = ""
    next_at: datetime | None = None
    channels: tuple[ChannelView, ...] = ()


class ConfigStatus(Struct, frozen=True):
    """The version of jobs.yaml in force, and the problems of the one on disk."""

    path: str
    loaded_at: datetime
    error: str = ""
    problems: tuple[Problem, ...] = ()


class Tick(Struct, frozen=True):
    """The last full minute that was handled, and how late."""

    last_at: datetime | None = None
    lateness_seconds: float = 0.0


class Pool(Struct, frozen=True):
    """Places in the pool, and runs that hold or wait for one."""

    max: int
    running: int
    pending: int


class PauseView(Struct, frozen=True):
    """A pause of all jobs."""

    until: datetime | None = None
    by: str = ""
    reason: str = ""


class Listening(Struct, frozen=True):
    """TCP address of /metrics; error: why it cannot be read there."""

    address: str
    error: str = ""


class HostView(Struct, frozen=True):
    """A host of a cluster. state: alive, silent (no heartbeat for a while) or lost.

    labels: with that of its name. has_text: it runs the text of jobs.yaml in force. runs: of
    which it has an attempt, at most `places`. heartbeat_age_seconds: None if it is lost.
    """

    name: str
    state: str
    leads: bool = False
    has_text: bool = True
    labels: tuple[str, ...] = ()
    runs: tuple[int, ...] = ()
    places: int = 0
    heartbeat_age_seconds: float | None = None


class Facts(Struct, frozen=True):
    """What the runtime knows and `SchedulerState` does not; instance: id of the ledger."""

    version: str
    pid: int
    started_at: datetime
    config_path: str
    config_loaded_at: datetime
    tick: Tick = Tick()
    metrics: Listening | None = None
    log_lines_dropped: int = 0
    keeper_deaths: int = 0
    heartbeat_failures: int = 0
    instance: str = ""


class Status(Struct, frozen=True, kw_only=True):
    """Response of `GET /v1/status`.

    notes: sentences about the whole service that matter for the rest of the response.
    instance: random id of the ledger, which tells its run numbers from those of others.
    hosts: those of the cluster that it leads, by name; () for a single host.
    """

    version: str
    pid: int
    instance: str = ""
    started_at: datetime
    life: str = "serving"
    timezone: str
    config: ConfigStatus
    tick: Tick = Tick()
    pool: Pool
    paused: PauseView | None = None
    notes: tuple[str, ...] = ()
    ledger_error: str = ""
    metrics: Listening | None = None
    strays_killed: int = 0
    keeper_deaths: int = 0
    log_lines_dropped: int = 0
    heartbeat_failures: int = 0
    alerts: AlertsView = AlertsView()
    jobs: tuple[JobStatus, ...] = ()
    runs: tuple[RunView, ...] = ()
    incidents: tuple[IncidentView, ...] = ()
    hosts: tuple[HostView, ...] = ()


class Definition(Struct, frozen=True):
    """A job definition with the keys of jobs.yaml; any text in it may be masked.

    shell_use: None where the command is no text for a shell.
    """

    name: str
    worker: str | None = None
    command: str | tuple[str, ...] | None = None
    cron: tuple[str, ...] = ()
    timezone: str = "UTC"
    deps: tuple[str, ...] = ()
    timeout_seconds: float | None = 300.0
    kill_grace_seconds: float = 10.0
    retries: int = 0
    retry_delay_seconds: float = 60.0
    retry_backoff: float = 1.0
    retry_max_delay_seconds: float = 3600.0
    success_exit_status: tuple[int, ...] = (0,)
    exclusive: str | None = None
    overlap: str = Overlap.SKIP
    catch_up: str = CatchUp.LATEST
    catch_up_window_seconds: float | None = None
    run_on_startup: bool = False
    enabled: bool = True
    with_: dict[str, Any] = field(name="with", default_factory=dict)
    env: dict[str, str] = {}
    inherit_env: bool = True
    cwd: str = "/"
    nice: int = 0
    limits: Limits = Limits()
    shell_use: str | None = field(default=None, name="shell")
    python: str | None = None
    late_after_seconds: float | None = None
    heartbeat: str | None = None
    runs_on: tuple[str, ...] = ()
    if_lost: str = IfLost.AGAIN
    description: str = ""
    docs: str = ""
