"""Valid jobs.yaml: the value of each key."""

from pathlib import Path

import pytest
from msgspec.structs import fields

from supervisor import config
from supervisor.config.parse_job import FIELDS, TABLE
from supervisor.config.scalars import read_scalar
from supervisor.core.config_model import Config, Job, Limits, Severity

YAML = Path("/srv/etl/jobs.yaml")


def read(text: str, **environ: str) -> Config:
    parsed = config.parse(text.encode(), YAML, {"TZ": "UTC", **environ})
    assert parsed.config is not None, parsed.problems
    return parsed.config


def job(keys: str, **environ: str) -> Job:
    return read(f"jobs:\n  one: {{command: [echo], {keys}}}\n", **environ).jobs[0]


def worker(params: str, **environ: str) -> Job:
    return read(f"jobs:\n  one: {{worker: a.b, with: {params}}}\n", **environ).jobs[0]


@pytest.mark.parametrize(
    ("keys", "field", "value"),
    [
        ('cron: "0 2 * * *"', "cron", ("0 2 * * *",)),
        ('cron: ["0 2 * * *", "@daily"]', "cron", ("0 2 * * *", "0 0 * * *")),
        ('cron: "@hourly"', "cron", ("0 * * * *",)),
        ('cron: "@midnight"', "cron", ("0 0 * * *",)),
        ('cron: "@weekly"', "cron", ("0 0 * * 0",)),
        ('cron: "@monthly"', "cron", ("0 0 1 * *",)),
        ('cron: "@annually"', "cron", ("0 0 1 1 *",)),
        ('cron: "  30  6 * *   mon-fri "', "cron", ("30 6 * * mon-fri",)),
        ("cron: none", "cron", ()),
        ("cron: []", "cron", ()),
        ("timezone: Europe/Berlin", "timezone", "Europe/Berlin"),
        ("timeout: 90", "timeout_s", 90.0),
        ("timeout: 1h30m", "timeout_s", 5400.0),
        ("timeout: none", "timeout_s", None),
        ("timeout: ~", "timeout_s", None),
        ("kill_grace: 0", "kill_grace_s", 0.0),
        ("retries: 010", "retries", 10),
        ('retries: "3"', "retries", 3),
        ("retry_backoff: 1.5", "retry_backoff", 1.5),
        ("success_exit_status: 24", "success_exit_status", (24,)),
        ("success_exit_status: [0, 24]", "success_exit_status", (0, 24)),
        ("exclusive: true", "exclusive", "exclusive"),
        ("exclusive: false", "exclusive", None),
        ("exclusive: nas", "exclusive", "nas"),
        ("exclusive: on", "exclusive", "on"),
        ("overlap: replace", "overlap", "replace"),
        ("catch_up: none", "catch_up", "none"),
        ("catch_up_window: 12h", "catch_up_window_s", 43200.0),
        ("enabled: false", "enabled", False),
        ("env: {A: 1, B: no, C: }", "env", (("A", "1"), ("B", "no"), ("C", ""))),
        ("cwd: out", "cwd", "/srv/etl/out"),
        ("cwd: /var", "cwd", "/var"),
        ("nice: -5", "nice", -5),
        ("limits: {open_files: 64, file_size: 1KiB}", "limits", Limits(None, 64, None, 1024)),
        ("late_after: 2h", "late_after_s", 7200.0),
        ("heartbeat: https://hc.example/x", "heartbeat", "https://hc.example/x"),
        ('heartbeat: ""', "heartbeat", None),
        ("description: 1:30", "description", "1:30"),
        ("deps: []", "deps", ()),
        ("deps: ", "deps", ()),
    ],
    ids=lambda value: str(value),
)
def test_a_key_of_a_job_becomes_its_value(keys: str, field: str, value: object) -> None:
    found = job(keys)

    assert getattr(found, field) == value


def test_defaults_of_the_table_are_those_of_the_model() -> None:
    model = {field.name: field.default for field in fields(Job)}
    structured = ("deps", "with", "env", "limits", "success_exit_status", "runs_on")
    written = [key for key in TABLE.values() if key.default and key.name not in structured]

    read_defaults = {FIELDS[key.name]: read_scalar(key, key.default) for key in written}

    assert read_defaults == {name: model[name] for name in read_defaults}


def test_a_list_is_a_program_and_a_text_is_for_the_shell() -> None:
    found = read('jobs: {a: {command: [echo, "${X}"]}, b: {command: "echo ${X} $${Y}"}}', X="1")

    assert found.jobs[0].argv == ("echo", "1")
    assert found.jobs[1].shell == "echo ${X} $${Y}"


def test_a_text_may_be_kept_for_the_shell_by_a_job_or_by_the_defaults() -> None:
    found = read(
        "defaults: {shell: always}\n"
        "jobs: {a: {command: x}, b: {command: x, shell: auto}, c: {command: [x]}}"
    )

    assert [job.shell_use for job in found.jobs] == ["always", "auto", "always"]


def test_jobs_have_their_places_in_the_order_of_the_file() -> None:
    found = read("jobs: {b: {command: x}, a: {command: x}}")

    assert [(job.name, job.place) for job in found.jobs] == [("b", 0), ("a", 1)]


def test_defaults_apply_to_each_job() -> None:
    found = read(
        "defaults: {timeout: 1m, retries: 2, worker: a.b}\n"
        "jobs: {a: {timeout: 2m}, b: {command: x}}"
    )

    assert [(job.timeout_s, job.retries) for job in found.jobs] == [(120, 2), (60, 2)]
    assert [(job.worker, job.shell) for job in found.jobs] == [("a.b", None), (None, "x")]


def test_the_keys_of_the_top_level_become_the_config() -> None:
    found = read(
        "timezone: Europe/Berlin\nmax_concurrent: 8\nshutdown_grace: 7s\n"
        'notify: {slack: "https://hooks.example/services/T0/B0", min_severity: warning}\n'
        "history: {days: 7, runs: 10, log_bytes: 1MiB}\n"
        "api: {socket_mode: 0660, socket_group: ops}\nmetrics: 127.0.0.1:9187\n"
        "jobs: {a: {command: x}}"
    )

    assert (found.timezone, found.jobs[0].timezone) == ("Europe/Berlin", "Europe/Berlin")
    assert (found.max_concurrent, found.shutdown_grace_s) == (8, 7)
    assert found.notify.channels[0].min_severity is Severity.WARNING
    assert (found.history.days, found.history.log_bytes) == (7, 1024**2)
    assert (found.api.socket_mode, found.api.socket_group) == (0o660, "ops")
    assert found.metrics == "127.0.0.1:9187"


@pytest.mark.parametrize(
    ("tz", "zone"),
    [("Europe/Berlin", "Europe/Berlin"), (":Asia/Tokyo", "Asia/Tokyo")],
)
def test_the_zone_is_that_of_tz_if_the_file_names_none(tz: str, zone: str) -> None:
    found = read("jobs: {a: {command: x}}", TZ=tz)

    assert found.timezone == zone


@pytest.mark.parametrize(
    ("text", "environ", "value"),
    [
        ("${X}", {"X": "1"}, "1"),
        ("a-${X}-b", {"X": "1"}, "a-1-b"),
        ("${X:-d}", {}, "d"),
        ("${X:-d}", {"X": ""}, "d"),
        ("${X:-}", {}, ""),
        ("${X:-${Y:-${Z}}}", {"Z": "deep"}, "deep"),
        ("${X:-a${Y}b}", {"Y": "1"}, "a1b"),
        ("${X:-${Y}}", {"X": "1"}, "1"),
        ("$${X}", {"X": "1"}, "${X}"),
        ("$X $ {X}", {"X": "1"}, "$X $ {X}"),
        ("${X}", {"X": "${Y}"}, "${Y}"),
    ],
)
def test_references_are_replaced_once(text: str, environ: dict[str, str], value: str) -> None:
    found = job(f"description: '{text}'", **environ)

    assert found.description == value


def test_a_reference_to_a_file_is_its_content_without_the_last_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n\n")
    text = b'jobs: {a: {command: x, env: {P: "${file:secret}"}}}'

    parsed = config.parse(text, tmp_path / "jobs.yaml", {})

    assert parsed.config is not None
    assert parsed.config.jobs[0].env == (("P", "s3cret\n"),)
    assert "s3cret" in parsed.config.secrets


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${file:secret:-none}", "s3cret"),
        ("${file:absent:-none}", "none"),
        ("${file:absent:-}", ""),
        ("${file:absent:-a${X}b:-c}", "a1b:-c"),
        ("${file:${NO:-absent}:-${X}}", "1"),
        ("${NO:-${file:${NO:-secret}:-none}}", "s3cret"),
    ],
)
def test_a_file_that_is_not_there_may_have_a_default(
    tmp_path: Path, text: str, value: str
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    yaml = f"jobs: {{a: {{command: x, description: '{text}'}}}}".encode()

    parsed = config.parse(yaml, tmp_path / "jobs.yaml", {"X": "1"})

    assert parsed.config is not None, parsed.problems
    assert parsed.config.jobs[0].description == value


@pytest.mark.parametrize(
    ("written", "json"),
    [
        ("5", "5"),
        ("010", '"010"'),
        ('"5"', '"5"'),
        ("-0", '"-0"'),
        ("1.5", "1.5"),
        ("1.10", '"1.10"'),
        ("1e3", '"1e3"'),
        (".inf", '".inf"'),
        ("9" * 40, f'"{"9" * 40}"'),
        ("true", "true"),
        ("yes", '"yes"'),
        ("~", "null"),
        ("", "null"),
        ('""', '""'),
        ("1:30", '"1:30"'),
        ("[1, [a]]", '[1,["a"]]'),
        ("{b: 1}", '{"b":1}'),
        ("!!str 5", '"5"'),
        ('"${N}"', '"7"'),
        ("größe", '"größe"'),
    ],
)
def test_parameters_are_typed_only_where_nothing_is_lost(written: str, json: str) -> None:
    found = worker(f"{{a: {written}}}", N="7")

    assert found.params_json == f'{{"a":{json}}}'


def test_a_plain_parameter_is_typed_after_its_reference_is_replaced() -> None:
    found = read("jobs:\n  a:\n    worker: a.b\n    with:\n      n: ${N}\n", N="7")

    assert found.jobs[0].params_json == '{"n":7}'


def test_anchors_and_merge_keys_are_followed() -> None:
    found = read(
        "jobs:\n"
        "  a: &a {command: x, retries: 1, timeout: 1m}\n"
        "  b: {<<: *a, retries: 2}\n"
        "  c: {<<: [{timeout: 2m}, *a]}\n"
    )

    assert [(job.retries, job.timeout_s) for job in found.jobs] == [(1, 60), (2, 60), (1, 120)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('jobs: {a: {command: x, env: {API_TOKEN: "t0ken"}}}', "t0ken"),
        ('jobs: {a: {worker: a.b, with: {api_key: "k3yk3y"}}}', "k3yk3y"),
        ('jobs: {a: {command: x, description: "${DB_PASSWORD}"}}', "from-environ"),
        ('jobs: {a: {command: "psql postgres://u:p4ss@h/db"}}', "p4ss"),
        ('jobs: {a: {worker: a.b, with: {postgres: "host=h password=p4ss"}}}', "p4ss"),
        ("jobs: {a: {command: x, heartbeat: https://hc.example/uuid-1}}", "/uuid-1"),
        ("notify: {slack: https://h.example/s/T/B}\njobs: {a: {command: x}}", "/s/T/B"),
    ],
)
def test_what_is_secret_is_to_be_masked(text: str, secret: str) -> None:
    found = read(text, DB_PASSWORD="from-environ")

    assert secret in found.secrets


def test_switches_and_what_is_too_short_are_never_masked() -> None:
    found = read("jobs: {a: {command: x, env: {A_TOKEN: ab, USE_KEY: 'true', MY_KEY: '60'}}}")

    assert found.secrets == ()


def test_what_is_unset_in_a_disabled_job_is_a_warning_and_stays_as_written() -> None:
    parsed = config.parse(
        b'jobs: {a: {command: [x, "${X}"], timeout: "${T}", enabled: false}}', YAML, {}
    )

    assert parsed.config is not None
    assert parsed.config.jobs[0].argv == ("x", "${X}")
    assert parsed.config.jobs[0].timeout_s == 300
    assert [problem.severity for problem in parsed.problems] == [Severity.WARNING] * 2


@pytest.mark.parametrize(
    ("cron", "late_after", "reported"),
    [
        ('"0 2 * * *"', "24h", "24h is not shorter than the 1d from slot to slot"),
        ('"0 2 * * mon-fri"', "30h", "30h is not shorter than the 1d from slot to slot"),
        ('"*/5 * * * *"', "10m", "10m is not shorter than the 5m from slot to slot"),
        ('["0 2 * * *", "30 2 * * *", "0 3 * * *"]', "1h", "1h is not shorter than the 30m"),
        ('"@yearly"', "400d", "400d is not shorter than the 365d"),
    ],
)
def test_a_late_after_that_the_next_slot_comes_before_is_a_warning(
    cron: str, late_after: str, reported: str
) -> None:
    text = f"jobs:\n  a:\n    command: x\n    cron: {cron}\n    late_after: {late_after}\n"
    parsed = config.parse(text.encode(), YAML, {"TZ": "UTC"})

    (problem,) = parsed.problems
    assert parsed.config is not None
    assert problem.severity is Severity.WARNING
    assert (problem.line, problem.column, problem.path) == (5, 17, "jobs.a.late_after")
    assert reported.removeprefix(late_after) in problem.message


@pytest.mark.parametrize(
    "keys",
    [
        'cron: "0 2 * * *", late_after: 23h',
        'cron: "0 2,3 * * *", late_after: 90m',
        'cron: "*/5 * * * *", late_after: 4m',
        "late_after: 90d",
        'cron: "*/5 * * * *", late_after: none',
    ],
)
def test_a_late_after_that_comes_is_no_warning(keys: str) -> None:
    parsed = config.parse(f"jobs: {{a: {{command: x, {keys}}}}}".encode(), YAML, {"TZ": "UTC"})

    assert parsed.problems == ()


def test_a_late_after_of_the_defaults_is_warned_of_where_it_stands() -> None:
    text = b'defaults: {late_after: 1h}\njobs: {a: {command: x, cron: "*/5 * * * *"}}'
    (problem,) = config.parse(text, YAML, {"TZ": "UTC"}).problems

    assert (problem.line, problem.path) == (1, "jobs.a.late_after")


def test_python_of_a_users_worker_is_relative_to_the_file() -> None:
    found = read("jobs: {a: {worker: 'm:f', python: .venv/bin/python}}")

    assert found.jobs[0].python == "/srv/etl/.venv/bin/python"


def test_a_byte_order_mark_is_passed_over() -> None:
    parsed = config.parse(b"\xef\xbb\xbfjobs: {a: {command: x}}", YAML, {})

    assert parsed.config is not None


def test_every_key_is_in_the_schema() -> None:
    found = config.schema()

    assert set(found["$defs"]["job"]["properties"]) == set(TABLE)
    assert {"jobs", "defaults", "notify", "history", "api"} <= set(found["properties"])
    assert found["additionalProperties"] is False
