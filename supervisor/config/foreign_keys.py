"""Maps keys and values of other schedulers to those of jobs.yaml, or to advice.

Pure. Covers Kubernetes, systemd, GitHub Actions, Airflow, Ansible, docker compose, ofelia,
yacron and supercronic. The meaning of a word there takes precedence over words of
similar spelling.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """A level of keys in jobs.yaml."""

    TOP = "top"
    JOB = "job"
    LIMITS = "limits"
    NOTIFY = "notify"
    CHANNEL = "channel"
    HISTORY = "history"
    API = "api"


class Meaning(Struct, frozen=True):
    """The equivalent key ("" if there is none), and advice on what to write."""

    key: str
    advice: str


_NO_INTERVALS = 'there are no intervals: write cron, for example cron: "*/5 * * * *"'
_ONE_TEXT = 'the five fields are one text: cron: "0 2 * * *"'
_REVERSED = 'write "enabled: false" instead of "{word}: true": its meaning is the reverse'
_NO_USER = (
    "there is none: jobs run as the user of the service; for another one: "
    'command: ["sudo", "-n", "-u", "NAME", ...]'
)
_NO_FILE = "there is none: write the variables into env, a secret as ${file:/run/secrets/x}"
_ALERTED = (
    "a job has none: notify, at the top of the file, sends every incident; heartbeat calls a "
    "URL for one job"
)
_OUTPUT = "there is none: output is kept (nightshift logs JOB); for a file: x >> FILE 2>&1"
_NO_CONTAINER = 'there is none: command: ["docker", "run", "--rm", "IMAGE", ...]'
_NO_JITTER = "there is none: a job begins at its full minute; choose minutes apart in cron"
_AFTER_FIRST = 'did you mean "retries"? it counts the attempts after the first: one fewer'
_TEST = "there is none: put the test into the command: test ... || exit 0; ..."
_CHOSEN = 'command: ["/bin/bash", "-c", "..."] chooses the shell'
_SHELL = f"there is none: {_CHOSEN}"
_STEPS = "a job runs one command: join them with &&, or write jobs with deps"
_OVERLAP = 'did you mean "overlap"? skip (Forbid), queue or replace (Replace); never two at once'
_NAME = "there is none: a job is named by its key below jobs:"
_SELECT = "there is none: description is for people, jobs are selected by name"
_HISTORY = 'a key of the whole file: "history: {days: 90, runs: 1000}"'
_SECONDS = 'did you mean "timeout"? a number is seconds; "5m" is five minutes'
_ANCHORS = "there is none; anchors (&name, *name, <<) may stand below a key such as x-common"

# Words in normalized form: lower case, parts joined by _ (see _plain).
_JOB: tuple[tuple[str, str, str], ...] = (
    ("cron", "", "schedule schedules crontab cron_expression cron_expr cron_schedule cronspec"
     " cron_spec expression calendar on_calendar when timetable schedule_interval"
     " schedule_expression"
     " trigger triggers on timer times"),
    ("cron", _ONE_TEXT, "minute minutes hour hours day days month months weekday weekdays"
     " day_of_week day_of_month dow dom special_time time at"),
    ("cron", _NO_INTERVALS, "interval every frequency repeat period rate on_unit_active_sec"
     " interval_seconds repeat_every fixed_rate seconds"),
    ("timezone", "", "tz time_zone zone zoneinfo cron_tz timezone_name location locale_tz"),
    ("timezone", 'write "timezone: UTC"', "utc"),
    ("command", "", "cmd exec execute run script program executable entrypoint entry_point argv"
     " exec_start exec_command bash_command command_line commandline process binary call job"
     " action task"),
    ("command", _STEPS, "steps commands scripts pipeline"),
    ("command", _SHELL, "use_shell"),
    ("worker", "", "function func callable python_callable module handler method target class"),
    ("with", 'with a command its words are a list: command: ["x", "--a"]; for a worker: with',
     "args arguments arg"),
    ("with", "", "params parameters kwargs op_kwargs worker_params inputs input_parameters options"
     " config payload"),
    ("deps", "", "depends_on depends dependencies dependency needs need requires require upstream"
     " wait_for wait_on run_after after parents prerequisites depends_on_past dependent_on"),
    ("env", "", "environment environ envs env_vars environment_variables variables vars envvars"),
    ("env", _NO_FILE, "env_file envfile env_from environment_file environment_files env_files"
     " dotenv"),
    ("cwd", "", "workdir working_dir working_directory work_dir dir directory chdir pwd folder"
     " current_dir current_directory wd path"),
    ("timeout", "", "time_limit max_runtime execution_timeout max_duration max_time run_timeout"
     " duration_limit runtime_max_sec timeout_start_sec deadline maximum_runtime timelimit"
     " command_timeout job_timeout"),
    ("timeout", _SECONDS, "timeout_seconds timeout_minutes timeout_sec timeout_s"
     " active_deadline_seconds"),
    ("kill_grace", "", "kill_timeout grace grace_period stop_grace_period stop_timeout kill_after"
     " termination_grace_period termination_grace_period_seconds timeout_stop_sec stop_grace"
     " kill_delay sigterm_timeout"),
    ("retries", "", "retry retry_count max_retries maximum_retries backoff_limit retry_limit"
     " num_retries restart restart_policy on_failure_retry retry_times rerun"),
    ("retries", _AFTER_FIRST, "attempts max_attempts tries max_tries"),
    ("retry_delay", "", "retry_interval retry_wait retry_after initial_delay restart_sec delay"
     " retry_seconds delay_seconds retry_pause wait retry_delay_seconds"),
    ("retry_backoff", "", "backoff backoff_multiplier backoff_factor multiplier"
     " retry_exponential_backoff exponential_backoff"),
    ("retry_max_delay", "", "max_retry_delay maximum_delay max_delay max_backoff backoff_max"),
    ("success_exit_status", "", "success_codes success_exit_codes success_exit_code ok_codes"
     " exit_codes exit_code"
     " allowed_exit_codes valid_exit_codes expected_exit_codes fails_when ignore_exit_codes"
     " exit_status success_code"),
    ("exclusive", "", "lock lock_file lockfile mutex concurrency_group pool singleton flock"
     " exclusive_group semaphore"),
    ("exclusive", "for jobs that must not run together: exclusive; all jobs run as the group of"
     " the service", "group"),
    ("overlap", _OVERLAP, "concurrency concurrency_policy no_overlap allow_overlap overlapping"
     " on_overlap prevent_overlap prevent_overlapping without_overlapping skip_if_running"
     " allow_concurrent allow_parallel max_active_runs max_instances parallel parallelism"
     " overlap_policy"),
    ("catch_up", "", "catchup persistent misfire misfire_policy missed run_missed coalesce"
     " backfill"
     " catch_up_policy missed_runs on_missed"),
    ("catch_up_window", "", "misfire_grace_time misfire_grace starting_deadline_seconds"
     " start_window"
     " starting_deadline catchup_window"),
    ("run_on_startup", "", "run_at_load run_on_start run_at_start run_at_startup on_boot"
     " on_boot_sec"
     " on_startup on_startup_sec at_startup reboot at_reboot run_immediately start_immediately"
     " immediate run_on_boot startup"),
    ("enabled", "", "enable active is_enabled is_active"),
    ("enabled", _REVERSED, "disabled disable suspend suspended paused pause is_paused inactive"
     " skip"
     " is_paused_upon_creation is_disabled off stopped"),
    ("nice", "", "niceness priority priority_weight io_nice ionice cpu_priority"),
    ("limits", 'did you mean "limits"? limits: {address_space: 1GiB, cpu_seconds: 60}',
     "limit resources resource ulimits ulimit rlimits rlimit memory mem_limit memory_limit"
     " memory_max max_memory mem cpu cpus cpu_limit cpu_quota limit_nofile nofile max_cpu"),
    ("", _NO_USER, "user username user_name uid gid run_as runas run_as_user become become_user"
     " sudo"
     " service_account_name service_account groups"),
    ("", _ALERTED, "on_failure on_success on_error on_permanent_failure on_complete on_retry alert"
     " alerts alerting"
     " email emails email_on_failure email_on_retry mail mailto mail_to notification notifications"
     " slack webhook webhooks on_failure_callback on_success_callback report notify_on notifiers"
     " mail_on_failure smtp on_finish callbacks hooks"),
    ("heartbeat", "", "healthcheck healthchecks health_check ping ping_url monitor monitor_url"
     " hc_url"
     " dead_mans_switch deadman snitch healthcheck_url check_in cronitor"),
    ("late_after", "", "sla max_late expected_within late overdue_after alert_after late_timeout"),
    ("", _NO_JITTER, "jitter random_delay randomized_delay_sec random_offset randomize splay"
     " spread"
     " random_sleep max_jitter"),
    ("", _OUTPUT, "log logs log_file logfile log_path stdout stderr output capture_stdout"
     " capture_stderr save_folder save logging standard_output standard_error redirect outfile"),
    ("", "there is none: a job reads /dev/null; command: x < FILE", "stdin input standard_input"),
    ("", _NAME, "name id job_name job_id key dag_id task_id identifier cron_name"),
    ("description", "", "desc comment comments summary title doc_md help info note notes about"),
    ("", _SELECT, "tags tag labels label annotations metadata owner team"),
    ("docs", "", "documentation doc runbook url link wiki documentation_url readme"),
    ("python", "", "interpreter venv virtualenv python_path python_bin"),
    ("", _TEST, "if only_if unless condition conditions creates removes start_date end_date"
     " starts_at ends_at not_before not_after"),
    ("", _HISTORY, "history_limit successful_jobs_history_limit failed_jobs_history_limit keep"
     " retention ttl_seconds_after_finished keep_logs log_retention"),
    ("", _NO_CONTAINER, "image container containers docker volumes volume network services"
     " runs_on job_template spec template host hosts node_selector"),
    ("", "there is none: umask 027 at the beginning of the command", "umask"),
)  # fmt: skip

_TOP: tuple[tuple[str, str, str], ...] = (
    ("jobs", "", "job tasks task cronjobs cron_jobs crons crontab entries schedules schedule"
     " definitions dags services"),
    ("timezone", "", "tz time_zone zone cron_tz location default_timezone"),
    ("max_concurrent", "", "concurrency max_concurrency max_parallel parallel parallelism workers"
     " max_workers threads pool pool_size max_jobs max_running concurrent_jobs max_parallel_jobs"
     " concurrent max_processes max_active_tasks"),
    ("shutdown_grace", "", "grace grace_period stop_timeout shutdown_timeout graceful_timeout"
     " kill_timeout stop_grace_period kill_grace_period"),
    ("defaults", "", "default job_defaults default_args globals global common default_job"),
    ("notify", "", "notifications notification alerts alerting alert slack webhook webhooks email"
     " mail mailto smtp notifiers on_failure report"),
    ("heartbeat", "", "healthcheck healthchecks ping ping_url monitor dead_mans_switch"),
    ("history", "", "retention keep log_retention history_limit logs logging log_size"),
    ("", "there is none: start --log-level, or $CRON_LOG_LEVEL", "log_level loglevel verbosity"
     " debug"),
    ("metrics", "", "prometheus listen port http web bind server monitoring http_port"),
    ("", "there is none: the API listens on the socket named by --socket", "socket sock"),
    ("", _ANCHORS, "include includes import imports extends anchors templates aliases"),
    ("", "there is none: leave it out", "version api_version apiversion kind metadata name spec"),
    ("defaults", 'for all jobs: "defaults: {env: {NAME: value}}"',
     "environment env_vars variables vars environ"),
    ("", _NO_USER, "user uid run_as group gid"),
    ("", "there is none: it is named by --state, or $NIGHTSHIFT_STATE_DIR",
     "state state_dir state_directory data_dir statedir db database"),
)  # fmt: skip

_BLOCKS: Mapping[Level, tuple[tuple[str, str, str], ...]] = {
    Level.LIMITS: (
        ("address_space", "", "memory mem ram rss as max_memory memory_max mem_limit"
         " virtual_memory vmem limit_as"),
        ("open_files", "", "nofile files fds open_fds max_files descriptors no_file limit_nofile"),
        ("cpu_seconds", 'did you mean "cpu_seconds"? seconds of CPU time, no share of a processor',
         "cpu cpu_time cpus cpu_quota limit_cpu"),
        ("file_size", "", "fsize max_file_size filesize limit_fsize"),
        ("processes", "", "nproc pids procs max_processes tasks_max pids_limit limit_nproc"
         " threads"),
    ),
    Level.NOTIFY: (
        ("slack", "", "slack_url slack_webhook slack_webhook_url"),
        ("channels", 'did you mean "channels"? channels: {NAME: {{word}: URL}}', "webhook smtp"
         " apprise discord teams"),
        ("channels", "", "url webhook_url hook mail email mailto urls channel targets services"
         " receivers"),
        ("min_severity", "", "severity level min_level loglevel threshold minimum_severity"),
    ),
    Level.CHANNEL: (
        ("webhook", "", "url webhook_url hook http https post"),
        ("smtp", "", "mail email mailto server host smtp_server smarthost"),
        ("apprise", "", "urls service notify pagerduty opsgenie telegram ntfy pushover"),
        ("to", "", "recipients recipient mail_to rcpt"),
        ("from", "", "sender mail_from"),
        ("min_severity", "", "severity level min_level loglevel threshold minimum_severity"),
        ("quiet", "", "quiet_hours silence mute mute_time active_time_intervals"),
        ("secret", "", "signing_secret signing_key key token"),
    ),
    Level.HISTORY: (
        ("days", "", "max_age age keep_days retention retention_days ttl"),
        ("runs", "", "keep count max_runs limit keep_runs max_entries history_limit"),
        ("log_bytes", "", "max_bytes bytes size log_size max_log_size logs max_size"),
    ),
    Level.API: (
        ("socket_mode", "", "mode permissions chmod perm umask"),
        ("socket_group", "", "group owner gid"),
        ("", "the API listens on a UNIX socket only; metrics: HOST:PORT serves /metrics by TCP",
         "port host listen address bind"),
        ("", "there is none: the socket is named by --socket", "path socket"),
    ),
}  # fmt: skip

# Values: key -> foreign word -> what to write.
_VALUES: Mapping[str, Mapping[str, str]] = {
    "overlap": {
        "forbid": "skip", "false": "skip", "no": "skip", "ignore": "skip", "drop": "skip",
        "wait": "queue", "serial": "queue", "enqueue": "queue", "delay": "queue",
        "kill": "replace", "cancel": "replace", "restart": "replace", "terminate": "replace",
        "true": "", "yes": "", "allow": "", "parallel": "", "concurrent": "",
    },
    "catch_up": {
        "true": "latest", "yes": "latest", "once": "latest", "newest": "latest", "last": "latest",
        "one": "latest", "all": "latest", "run-once": "latest", "false": "none", "no": "none",
        "never": "none", "skip": "none", "off": "none", "ignore": "none",
    },
    "min_severity": {
        "warn": "warning", "err": "error", "fatal": "critical", "crit": "critical",
        "debug": "info", "notice": "info", "all": "info", "emergency": "critical",
    },
}  # fmt: skip
_BOOLS = {
    **dict.fromkeys(("yes", "on", "y", "1", "enabled", "t"), "true"),
    **dict.fromkeys(("no", "off", "n", "0", "disabled", "f"), "false"),
}


def meaning(word: str, level: Level) -> Meaning | None:
    """Return what a word of another scheduler means at this level, or None."""
    found = _TABLES[level].get(_plain(word))
    if found is None:
        return None
    return Meaning(found.key, found.advice.replace("{word}", word))


def words(level: Level) -> Iterable[str]:
    """Return all words known at a level, for matching misspelled ones."""
    return _TABLES[level]


def level_of(path: tuple[str, ...]) -> Level:
    """Return the level of the keys below a path such as `("jobs", "backup")`."""
    if not path:
        return Level.TOP
    if path[:2] == ("notify", "channels"):
        return Level.CHANNEL
    is_block = path[-1] in _BLOCK_NAMES and path != ("jobs", path[-1])
    return Level(path[-1]) if is_block else Level.JOB


def value_advice(key: str, text: str) -> str:
    """Return advice for a value in the words of another scheduler, or ""."""
    found = _VALUES.get(key, {}).get(text.lower())
    if found is None:
        return _CHOSEN if key == "shell" else ""
    return f'write "{found}"' if found else "two runs of a job never run at the same time"


def bool_advice(text: str) -> str:
    """Return advice for `yes`, `off` and the like, or ""."""
    found = _BOOLS.get(text.lower())
    return f'write "{found}"' if found else ""


def _plain(word: str) -> str:
    """Normalize: `concurrencyPolicy` and `concurrency-policy` become `concurrency_policy`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word[:100])
    return re.sub(r"[\s.-]+", "_", parted.strip()).lower()


def _table(rows: Iterable[tuple[str, str, str]]) -> dict[str, Meaning]:
    found: dict[str, Meaning] = {}
    for key, advice, listed in rows:
        for word in listed.split():
            found[word] = Meaning(key, advice or f'did you mean "{key}"?')
    return found


_TABLES: Mapping[Level, Mapping[str, Meaning]] = {
    Level.TOP: _table(_TOP),
    Level.JOB: _table(_JOB),
    **{level: _table(rows) for level, rows in _BLOCKS.items()},
}
_BLOCK_NAMES = frozenset(level.value for level in _BLOCKS)
