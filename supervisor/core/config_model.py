"""Core values that jobs.yaml defines: jobs, channels, the config and its problems.

Frozen; change a value with `replace` (model.py). Durations are seconds, with names that
end in `_s`. Defaults of jobs.yaml are resolved before a value is made: None always means
"none".
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct


class Overlap(StrEnum):
    """Rule for a slot that comes due while a run of its job is open."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """Rule for slots that came due while no supervisor was running."""

    NONE = "none"
    LATEST = "latest"


class ShellUse(StrEnum):
    """Rule for a command that is a text: when /bin/sh runs it."""

    AUTO = "auto"  # unless the shell would only look up and execute one program
    ALWAYS = "always"


class IfLost(StrEnum):
    """Rule for an attempt whose host is silent for too long (only with `cluster`)."""

    AGAIN = "again"  # run it on another host: at least once
    NEVER = "never"  # it is over: at most once
    WAIT = "wait"  # until the host is back, or a person says that it is gone


# The only label in `runs_on` of a job that every host runs for itself.
EACH = "each"


class Severity(StrEnum):
    """Severity of an incident, in ascending order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


# A severity in an answer of the API, which a newer supervisor may know alone.
SeverityName = Annotated[str, Meta(extra_json_schema={"enum": list(Severity)})]


class Limits(Struct, frozen=True):
    """Resource limits of a job's processes, set before they start; None: inherited."""

    address_space: int | None = None
    open_files: int | None = None
    cpu_seconds: int | None = None
    file_size: int | None = None
    processes: int | None = None


class Job(Struct, frozen=True):
    """Job definition from jobs.yaml: defaults resolved, variables replaced, types checked.

    Exactly one of worker, argv and shell is set. `params_json` is the `with`
    block as a JSON object. `exclusive` is the name of a group. `place` is the position
    in the file, from 0. `cwd` and `python` are absolute paths.
    """

    name: str
    place: int
    worker: str | None = None
    argv: tuple[str, ...] | None = None
    shell: str | None = None
    shell_use: ShellUse = ShellUse.AUTO
    cron: tuple[str, ...] = ()
    timezone: str = "UTC"
    deps: tuple[str, ...] = ()
    timeout_s: float | None = 300.0
    kill_grace_s: float = 10.0
    retries: int = 0
    retry_delay_s: float = 60.0
    retry_backoff: float = 1.0
    retry_max_delay_s: float = 3600.0
    success_exit_status: tuple[int, ...] = (0,)
    exclusive: str | None = None
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window_s: float | None = None  # None: the larger of a day and one interval
    run_on_startup: bool = False
    enabled: bool = True
    params_json: str = "{}"
    env: tuple[tuple[str, str], ...] = ()
    inherit_env: bool = True
    cwd: str = "/"
    nice: int = 0
    limits: Limits = Limits()
    python: str | None = None
    late_after_s: float | None = None
    heartbeat: str | None = None
    runs_on: tuple[str, ...] = ()
    if_lost: IfLost = IfLost.AGAIN
    description: str = ""
    docs: str = ""

    @property
    def is_on_each(self) -> bool:
        """Return whether every host of a cluster runs this job for itself."""
        return self.runs_on == (EACH,)


class QuietHours(Struct, frozen=True):
    """Part of each day, in minutes after midnight; since may be later than until."""

    since_min: int
    until_min: int
    timezone: str


class Channel(Struct, frozen=True):
    """A place to which alerts are sent.

    kind: the module in `notifications/channels/` that sends to it; unknown to the core.
    url: its address, a secret. settings_json: its other settings, as a JSON object.
    min_severity: alerts of a lower severity are not sent to it.
    jobs, groups: alerts about other jobs are not sent to it; both empty: about all.
    quiet: alerts wait until these hours are over. summary: whether it gets the summary.
    """

    name: str
    kind: str
    url: str
    settings_json: str = "{}"
    min_severity: Severity = Severity.ERROR
    jobs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    quiet: QuietHours | None = None
    summary: bool = True

    @property
    def target(self) -> tuple[str, str, str]:
        """Return what decides where a message goes, and how."""
        return self.kind, self.url, self.settings_json


class Notify(Struct, frozen=True):
    """The channels of alerts, in the order of the file; summary: when one is sent (cron)."""

    channels: tuple[Channel, ...] = ()
    summary: tuple[str, ...] = ()

    def channel(self, name: str) -> Channel | None:
        """Return the channel of this name, or None."""
        return next((each for each in self.channels if each.name == name), None)


class History(Struct, frozen=True):
    """Retention limits of the history; the limit that is reached first applies."""

    days: int = 90
    runs: int = 1000
    log_bytes: int = 2 * 1024**3


class Api(Struct, frozen=True):
    """Permissions of the API socket."""

    socket_mode: int = 0o600
    socket_group: str | None = None


class Cluster(Struct, frozen=True):
    """Membership of this host in a cluster.

    postgres: where the cluster's schema is, a URL or libpq's own form; may hold a password.
    host: the name of this host; None: that of the machine. lead: whether it may lead.
    heartbeat_s: between two signs of life. fence_s: without one that was confirmed, this host
        ends what may begin elsewhere. lease_s: so long silent, it counts as dead.
    max_concurrent: runs at the same time on all hosts together; None: what they all have.
    metrics: where the leader serves the metrics of the cluster; None: on its socket alone.
    """

    postgres: str
    name: str = "main"
    host: str | None = None
    labels: tuple[str, ...] = ()
    heartbeat_s: float = 5.0
    fence_s: float = 30.0
    lease_s: float = 60.0
    lead: bool = True
    max_concurrent: int | None = None
    metrics: str | None = None

    @property
    def grace_s(self) -> float:
        """Return the time from SIGTERM to SIGKILL, at most, when this host is cut off."""
        return self.fence_s / 3


class Config(Struct, frozen=True):
    """One accepted version of jobs.yaml; `secrets` are texts to mask everywhere.

    on_each: for the leader of a cluster, the jobs that each host runs for itself, by name;
    they are not among `jobs`.
    """

    jobs: tuple[Job, ...]
    timezone: str = "UTC"
    max_concurrent: int = 3
    shutdown_grace_s: float = 30.0
    notify: Notify = Notify()
    heartbeat: str | None = None
    history: History = History()
    api: Api = Api()
    metrics: str | None = None
    cluster: Cluster | None = None
    secrets: tuple[str, ...] = ()
    on_each: tuple[str, ...] = ()


class Problem(Struct, frozen=True):
    """Problem in jobs.yaml; line and column count from 1.

    `path` is dotted (`jobs.backup.timeout`). A warning does not prevent loading.
    """

    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    severity: SeverityName = Severity.ERROR
