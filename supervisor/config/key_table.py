"""The table of all keys of jobs.yaml: name, kind, default and description.

The reader, the JSON Schema and the reference are derived from it. A default is written
as in the file and is parsed by the same reader.
"""

from supervisor.config.channel_keys import NOTIFY_KEYS
from supervisor.config.cluster_keys import CLUSTER_KEYS
from supervisor.config.key import Key, ValueKind
from supervisor.core.config_model import CatchUp, IfLost, Overlap, ShellUse

LIMIT_KEYS = (
    Key("address_space", ValueKind.SIZE, "none", "memory a process may map", none=True, least=1),
    Key("open_files", ValueKind.COUNT, "none", "files a process may open", none=True, least=3),
    Key("cpu_seconds", ValueKind.COUNT, "none", "CPU time of a process", none=True, least=1),
    Key("file_size", ValueKind.SIZE, "none", "largest file a process may write", none=True),
    Key("processes", ValueKind.COUNT, "none", "processes of the user", none=True, least=1),
)

JOB_KEYS = (
    Key(
        "worker",
        ValueKind.WORKER,
        "",
        "the Python function to run; either this or command",
        examples=("backup.run", "etl.nightly:load"),
    ),
    Key(
        "command",
        ValueKind.COMMAND,
        "",
        "the program to run: a list is executed as it is, a text by /bin/sh -c",
        examples=('["/usr/local/bin/report", "--slot"]', "pg_dump shop | gzip > shop.sql.gz"),
    ),
    Key(
        "shell",
        ValueKind.CHOICE,
        "auto",
        "auto: the program of a text of plain words (no quotes, variables, patterns, operators, "
        "builtins) is executed directly, as the shell would; always: every text by /bin/sh -c",
        field="shell_use",
        choices=tuple(ShellUse),
    ),
    Key(
        "cron",
        ValueKind.CRON,
        "",
        "when it is due: five fields, names, L and #, @daily; without it, only by request",
        examples=("0 2 * * *", "30 6 * * mon-fri", "@daily"),
    ),
    Key("timezone", ValueKind.ZONE, "", "the zone of cron; otherwise the file's timezone"),
    Key(
        "deps",
        ValueKind.NAMES,
        "[]",
        "jobs that must have succeeded; they are never started by it",
        examples=("[sync-missing-sets]",),
    ),
    Key(
        "timeout",
        ValueKind.DURATION,
        "5m",
        "how long an attempt may take; none means no limit",
        field="timeout_s",
        examples=("30m",),
        none=True,
        least=0.001,
    ),
    Key(
        "kill_grace",
        ValueKind.DURATION,
        "10s",
        "time from SIGTERM to SIGKILL",
        field="kill_grace_s",
        least=0,
    ),
    Key("retries", ValueKind.COUNT, "0", "attempts after the first", least=0, most=1000),
    Key(
        "retry_delay",
        ValueKind.DURATION,
        "60s",
        "wait before the first retry",
        field="retry_delay_s",
        least=0,
    ),
    Key(
        "retry_backoff",
        ValueKind.NUMBER,
        "1",
        "factor by which each further wait grows",
        least=1,
        most=100,
    ),
    Key(
        "retry_max_delay",
        ValueKind.DURATION,
        "1h",
        "longest wait before a retry",
        field="retry_max_delay_s",
        least=0,
    ),
    Key(
        "success_exit_status",
        ValueKind.STATUSES,
        "[0]",
        "exit statuses of a command that are no failures",
        examples=("[0, 24]",),
    ),
    Key(
        "exclusive",
        ValueKind.GROUP,
        "false",
        "a group of which one run is active at a time; true is the group exclusive",
        examples=("true", "nas"),
        none=True,
    ),
    Key(
        "overlap",
        ValueKind.CHOICE,
        "skip",
        "what happens to a slot that comes while a run of the job is open",
        choices=tuple(Overlap),
    ),
    Key(
        "catch_up",
        ValueKind.CHOICE,
        "latest",
        "whether the newest slot that was missed without a supervisor is run",
        choices=tuple(CatchUp),
    ),
    Key(
        "catch_up_window",
        ValueKind.DURATION,
        "",
        "how old a caught-up slot may be; otherwise the larger of a day and one interval",
        field="catch_up_window_s",
        examples=("12h",),
        least=0,
    ),
    Key("run_on_startup", ValueKind.BOOL, "false", "whether it also runs when the service starts"),
    Key("enabled", ValueKind.BOOL, "true", "false: its slots are recorded as skipped"),
    Key(
        "with",
        ValueKind.PARAMS,
        "{}",
        "the worker's parameters",
        field="params_json",
        examples=("{database: var/shop.sqlite3.db}",),
    ),
    Key("env", ValueKind.ENV, "{}", "environment variables", examples=("{PGHOST: db.internal}",)),
    Key(
        "inherit_env", ValueKind.BOOL, "true", "whether the service's own environment is passed on"
    ),
    Key("cwd", ValueKind.PATH, "", "the folder it runs in; otherwise that of jobs.yaml"),
    Key("nice", ValueKind.COUNT, "0", "niceness", least=-20, most=19),
    Key(
        "limits",
        ValueKind.BLOCK,
        "{}",
        "resource limits of its processes",
        examples=("{address_space: 1GiB, open_files: 1024}",),
        keys=LIMIT_KEYS,
    ),
    Key(
        "python",
        ValueKind.PATH,
        "none",
        "the interpreter for a worker of your own; otherwise the service's",
        examples=("/srv/etl/.venv/bin/python",),
        none=True,
    ),
    Key(
        "late_after",
        ValueKind.DURATION,
        "none",
        "how long after a slot a success must have come before an incident is opened",
        field="late_after_s",
        examples=("2h",),
        none=True,
        least=0.001,
    ),
    Key(
        "heartbeat",
        ValueKind.URL,
        "none",
        "URL called on success, with /start on start and /fail on failure",
        examples=("https://hc-ping.com/0f1e2d3c",),
        none=True,
    ),
    Key(
        "runs_on",
        ValueKind.LABELS,
        "[]",
        "labels that a host of the cluster must have to run it; each: every host runs it for "
        "itself",
        examples=("[db]", "host:a", "each"),
    ),
    Key(
        "if_lost",
        ValueKind.CHOICE,
        "again",
        "what happens to an attempt when its host is silent for too long: again: another host "
        "runs it; never: it is interrupted; wait: until the host is back or forgotten",
        choices=tuple(IfLost),
    ),
    Key("description", ValueKind.TEXT, "", "what the job is for, in a line"),
    Key("docs", ValueKind.TEXT, "", "where to read on when it fails"),
)

HISTORY_KEYS = (
    Key("days", ValueKind.COUNT, "90", "how long runs are kept", least=1, most=36500),
    Key("runs", ValueKind.COUNT, "1000", "how many runs of a job are kept", least=1, most=10**9),
    Key("log_bytes", ValueKind.SIZE, "2GiB", "how much output of all runs is kept", least=0),
)

API_KEYS = (
    Key("socket_mode", ValueKind.MODE, "0600", "who may open the socket, octal"),
    Key("socket_group", ValueKind.TEXT, "none", "the group the socket belongs to", none=True),
)

TOP_KEYS = (
    Key("jobs", ValueKind.JOBS, "", "the jobs by their names"),
    Key(
        "defaults",
        ValueKind.JOB,
        "{}",
        "keys of jobs that hold wherever a job does not say otherwise",
    ),
    Key(
        "timezone",
        ValueKind.ZONE,
        "",
        "the zone of all calendars; otherwise $TZ, /etc/localtime, UTC",
    ),
    Key("max_concurrent", ValueKind.COUNT, "3", "runs at the same time", least=1, most=1000),
    Key(
        "shutdown_grace",
        ValueKind.DURATION,
        "30s",
        "time that runs have to end when the service stops",
        field="shutdown_grace_s",
        least=0,
    ),
    Key("notify", ValueKind.BLOCK, "{}", "where alerts go", keys=NOTIFY_KEYS),
    Key("heartbeat", ValueKind.URL, "none", "URL the service itself calls each minute", none=True),
    Key(
        "history",
        ValueKind.BLOCK,
        "{}",
        "how much of the past is kept: whichever limit is met first",
        keys=HISTORY_KEYS,
    ),
    Key("api", ValueKind.BLOCK, "{}", "the socket", keys=API_KEYS),
    Key(
        "cluster",
        ValueKind.BLOCK,
        "{}",
        "several hosts with this file and one PostgreSQL (docs/cluster.md)",
        keys=CLUSTER_KEYS,
    ),
    Key(
        "metrics",
        ValueKind.ADDRESS,
        "none",
        "address where /metrics and /healthz may be read by TCP",
        examples=("127.0.0.1:9187",),
        none=True,
    ),
)
