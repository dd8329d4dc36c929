"""Keys of other schedulers in jobs.yaml: the hint names our key, or an alternative."""

from pathlib import Path

import pytest

from supervisor import config
from supervisor.config import zone_hints


def lines(text: str) -> list[str]:
    parsed = config.parse(text.encode(), Path("/srv/jobs.yaml"), {"TZ": "UTC"})
    return [config.format_problem(problem, "jobs.yaml") for problem in parsed.problems]


def of_job(key: str, value: str = "x") -> str:
    [found] = lines(f"jobs:\n  one:\n    command: [x]\n    {key}: {value}\n")
    return found


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("schedule crontab on_calendar OnCalendar schedule_interval shedule on", "cron"),
        ("tz time_zone CRON_TZ timeZone", "timezone"),
        ("run script cmd exec entrypoint ExecStart commnd bash_command", "command"),
        ("depends_on needs dependsOn after requires dependencies", "deps"),
        ("environment environ variables env_vars Environment enviroment", "env"),
        ("workdir working_dir working_directory WorkingDirectory chdir dir", "cwd"),
        ("timeout_seconds activeDeadlineSeconds executionTimeout time_limit timout", "timeout"),
        ("kill_timeout killTimeout stop_grace_period terminationGracePeriodSeconds", "kill_grace"),
        ("retry_count max_retries backoffLimit restart_policy max_attempts retry", "retries"),
        ("retry_interval initial_delay RestartSec", "retry_delay"),
        ("concurrencyPolicy no-overlap max_active_runs max_instances concurrency", "overlap"),
        ("catchup Persistent misfire_policy", "catch_up"),
        ("startingDeadlineSeconds misfire_grace_time", "catch_up_window"),
        ("run_at_load OnBootSec on_startup", "run_on_startup"),
        ("active enable", "enabled"),
        ("priority niceness", "nice"),
        ("resources memory mem_limit ulimits", "limits"),
        ("healthcheck ping_url dead_mans_switch", "heartbeat"),
        ("desc comment summary", "description"),
        ("params kwargs op_kwargs", "with"),
        ("lock mutex pool", "exclusive"),
    ],
)
def test_a_word_of_another_scheduler_names_the_key_with_its_meaning(words: str, key: str) -> None:
    for word in words.split():
        assert f'did you mean "{key}"?' in of_job(word), word


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("user run_as become_user", "jobs run as the user of the service"),
        (
            "on_failure email_on_failure mailto onPermanentFailure",
            "notify, at the top of the file",
        ),
        ("jitter RandomizedDelaySec splay", "a job begins at its full minute"),
        ("interval every frequency", 'write cron, for example cron: "*/5 * * * *"'),
        ("minute hour weekday", "the five fields are one text"),
        ("log_file stdout captureStdout", "output is kept"),
        ("image container volumes", '"docker", "run"'),
        ("env_file EnvironmentFile", "${file:/run/secrets/x}"),
        ("name id", "named by its key below jobs:"),
        ("steps", "join them with &&"),
        ("if only_if", "put the test into the command"),
        ("max_concurrent notify history", "a key of the whole file"),
    ],
)
def test_what_has_no_counterpart_is_reported_with_a_way(words: str, advice: str) -> None:
    for word in words.split():
        assert advice in of_job(word), word


@pytest.mark.parametrize("word", ["disabled", "suspend", "paused", "is_paused", "inactive"])
def test_a_word_for_not_enabled_says_that_the_meaning_is_reversed(word: str) -> None:
    assert f'write "enabled: false" instead of "{word}: true": its meaning is the reverse' in (
        of_job(word, "true")
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tasks: {a: {command: x}}", 'tasks: unknown key (did you mean "jobs"?)'),
        ("concurrency: 4\njobs: {a: {command: x}}", 'did you mean "max_concurrent"?'),
        ("log_level: debug\njobs: {a: {command: x}}", "$CRON_LOG_LEVEL"),
        ("cron: x\njobs: {a: {command: x}}", "a key of a job: write it below jobs:"),
        ("version: 3\njobs: {a: {command: x}}", "leave it out"),
        ("include: x\njobs: {a: {command: x}}", "x-common"),
        ("email: x\njobs: {a: {command: x}}", 'did you mean "notify"?'),
        ("notify: {webhook: x}\njobs: {a: {command: x}}", "channels: {NAME: {webhook: URL}}"),
        ("notify: {slack_url: x}\njobs: {a: {command: x}}", 'did you mean "slack"?'),
        ("notify: {chanels: {}}\njobs: {a: {command: x}}", 'did you mean "channels"?'),
        (
            "notify: {channels: {a: {slack: 'http://x/', severity: x}}}\njobs: {a: {command: x}}",
            'did you mean "min_severity"?',
        ),
        ("api: {port: 8}\njobs: {a: {command: x}}", "metrics: HOST:PORT"),
        ("history: {keep: 8}\njobs: {a: {command: x}}", 'did you mean "runs"?'),
        ("jobs: {a: {command: x, limits: {memory: 1}}}", 'did you mean "address_space"?'),
        ("jobs: {limits: {command: x, memory: 1}}", 'did you mean "limits"?'),
        ("jobs:\n  a:\n    comand: x", 'a.comand: unknown key (did you mean "command"?)'),
        ("jobs:\n  a:\n    run: x", 'a.run: unknown key (did you mean "command"?)'),
        ("jobs:\n  a:\n    wroker: x", 'a.wroker: unknown key (did you mean "worker"?)'),
    ],
)
def test_one_mistake_is_one_line(text: str, said: str) -> None:
    [found] = lines(text)

    assert said in found


@pytest.mark.parametrize(
    ("env", "instead"),
    [
        ("[A=b, 'C=d e']", '"env: {A: ..., C: ...}"'),
        ("[{name: A, value: b}]", '"env: {A: ...}"'),
        ("[{A: b}]", '"env: {A: ...}"'),
        ("['A: b']", '"env: {NAME: value}"'),
        ("PASSWORD=geheim", '"env: {PASSWORD: ...}"'),
    ],
)
def test_variables_in_a_list_are_shown_as_a_mapping_without_their_values(env, instead) -> None:
    found = of_job("env", env)

    assert f"write a mapping: {instead}" in found
    assert "geheim" not in found


def test_keys_that_begin_with_x_may_hold_anchors() -> None:
    text = (
        "x-often: &often {retries: 3, cron: '@daily'}\n"
        "x-any: [1, '${UNSET}']\n"
        "jobs: {a: {<<: *often, command: x}}"
    )

    parsed = config.parse(text.encode(), Path("/srv/jobs.yaml"), {"TZ": "UTC"})

    assert parsed.problems == ()
    assert (parsed.config.jobs[0].retries, parsed.config.jobs[0].cron) == (3, ("0 0 * * *",))


def test_within_a_job_a_key_that_begins_with_x_is_unknown() -> None:
    assert "unknown key" in of_job("x-often")


@pytest.mark.parametrize(
    ("key", "value", "instead"),
    [
        ("overlap", "Forbid", 'write "skip"'),
        ("overlap", "Replace", "expected skip, queue or replace"),
        ("overlap", "Allow", "two runs of a job never run at the same time"),
        ("catch_up", "true", 'write "latest"'),
        ("catch_up", "false", 'write "none"'),
        ("enabled", "yes", 'write "true"'),
        ("enabled", "off", 'write "false"'),
        ("cron", "'@every 5m'", 'write "*/5 * * * *"'),
        ("cron", "'@every 2h'", 'write "0 */2 * * *"'),
        ("cron", "'@every 90m'", "no cron has this interval"),
        ("cron", "every 15 minutes", 'write "*/15 * * * *"'),
        ("cron", "rate(1 day)", 'write "0 0 * * *"'),
        ("cron", "cron(0 2 * * ? *)", 'write "0 2 * * *"'),
        ("cron", "'0 0 2 * * ?'", 'write "0 2 * * *"'),
        ("cron", "'*/10 * * * * *'", "there are no seconds"),
        ("cron", "daily", 'write "@daily"'),
        ("cron", "'@minutely'", 'write "* * * * *"'),
        ("cron", "Mon..Fri 6:30", 'write "30 6 * * 1-5"'),
        ("cron", "0 22-5 * * *", 'write "22-23,0-5"'),
        ("cron", "0 0 * * fri-mon", 'write "fri-sun,mon"'),
        ("cron", "0 0 * * Monday", 'write "mon"'),
        ("timezone", "Z", 'write "UTC"'),
        ("timezone", "utc", 'did you mean "UTC"?'),
        ("timezone", "CEST", '"Europe/Berlin"'),
        ("timezone", "PST", '"America/Los_Angeles"'),
        ("timezone", "local", "leave timezone out"),
        (
            "timezone",
            "right/Europe/Berlin",
            'leap seconds, which shift slots: write "Europe/Berlin"',
        ),
        ("timezone", "GMT+2", 'write "Etc/GMT-2" (its sign is the reverse)'),
        ("timezone", "UTC-5", 'write "Etc/GMT+5" (its sign is the reverse)'),
        ("timezone", "'+02:00'", 'write "Etc/GMT-2"'),
        ("timezone", "'+05:30'", '"Asia/Kolkata"'),
        ("timezone", "Berlin", 'did you mean "Europe/Berlin"?'),
        ("timezone", "New York", 'did you mean "America/New_York"?'),
        ("timezone", "Eastern Standard Time", '"America/New_York"'),
        ("timezone", "'CET-1CEST,M3.5.0,M10.5.0/3'", "a rule of POSIX"),
    ],
)
def test_a_value_of_other_programs_has_a_hint(key: str, value: str, instead: str) -> None:
    assert instead in of_job(key, value)


@pytest.mark.parametrize("name", ["EST5EDT", "UTC", "Etc/GMT-2", "GMT+0", "CET"])
def test_a_zone_that_is_known_is_accepted(name: str) -> None:
    assert lines(f"jobs: {{a: {{command: x, timezone: {name}}}}}") == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Etc/GMT+2", "Etc/GMT+2 is UTC-2"),
        ("Etc/GMT-14", "Etc/GMT-14 is UTC+14"),
        ("EST", "no daylight saving"),
        ("Europe/Berlin", ""),
        ("Etc/GMT+0", ""),
    ],
)
def test_a_zone_that_misleads_is_reported(name: str, said: str) -> None:
    assert said in zone_hints.warning(name)
    assert bool(zone_hints.warning(name)) == bool(said)


@pytest.mark.parametrize(("word", "meant"), [("no", "false"), ("off", "false"), ("yes", "true")])
def test_a_group_whose_name_looks_like_true_or_false_is_a_warning(word: str, meant: str) -> None:
    text = f'jobs.one.exclusive: "{word}" is the name of a group here (write "{meant}")'
    assert text in of_job("exclusive", word)


def test_a_group_that_is_no_name_and_looks_like_false_is_not_led_to_another_group() -> None:
    assert 'got "No" (write "false")' in of_job("exclusive", "No")
