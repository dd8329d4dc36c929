"""The shipped jobs.yaml: what each environment variable of its users changes.

The effect of a parameter is tested with its worker.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor import config
from supervisor.core.config_model import Config, Severity

SHIPPED = Path(__file__).parents[2] / "jobs.yaml"

# Name, its default, another value, where it is used: a job and one of its parameters.
DATABASE = "var/pokemon-data.sqlite3.db"
PARAMETERS = [
    ("DATABASE_PATH", DATABASE, "/d/a.db", "sync-missing-sets", "database"),
    ("DATABASE_PATH", DATABASE, "/d/a.db", "sync-missing-cards", "database"),
    ("DATABASE_PATH", DATABASE, "/d/a.db", "backup-database", "database"),
    ("DATABASE_PATH", DATABASE, "/d/a.db", "cleanup-stale-data", "database"),
    ("DATABASE_PATH", DATABASE, "/d/a.db", "validate-data-integrity", "database"),
    ("DATABASE_PATH", DATABASE, "/d/a.db", "database-health-check", "database"),
    ("CATALOGUE_PATH", "var/catalogue", "/d/cat", "sync-missing-sets", "catalogue"),
    ("CATALOGUE_PATH", "var/catalogue", "/d/cat", "sync-missing-cards", "catalogue"),
    ("SYNC_BATCH_SIZE", "100", "50", "sync-missing-sets", "batch_size"),
    ("SYNC_BATCH_SIZE", "100", "50", "sync-missing-cards", "batch_size"),
    ("BACKUP_DIR", "var/backups", "/d/copies", "backup-database", "directory"),
    ("BACKUP_DIR", "var/backups", "/d/copies", "rotate-backups", "directory"),
    ("BACKUP_DIR", "var/backups", "/d/copies", "database-health-check", "backups"),
    ("POSTGRES_DSN", "", "dbname=x", "database-health-check", "postgres"),
    ("BACKUP_MINIMUM", "3", "5", "rotate-backups", "keep_last"),
    ("BACKUP_DAILY_RETENTION", "7", "30", "rotate-backups", "keep_daily"),
    ("BACKUP_WEEKLY_RETENTION", "4", "9", "rotate-backups", "keep_weekly"),
    ("BACKUP_MONTHLY_RETENTION", "3", "12", "rotate-backups", "keep_monthly"),
]


def read(**environ: str) -> Config:
    parsed = config.parse(SHIPPED.read_bytes(), SHIPPED, {"TZ": "UTC", **environ})
    assert parsed.config is not None, parsed.problems
    assert parsed.problems == ()
    return parsed.config


def params(found: Config, job: str) -> Any:
    (one,) = [each for each in found.jobs if each.name == job]
    return msgspec.json.decode(one.params_json)


@pytest.mark.parametrize(("name", "default", "value", "job", "key"), PARAMETERS)
def test_a_name_reaches_the_parameter_it_is_for(name, default, value, job, key):
    assert params(read(), job)[key] == default
    assert params(read(**{name: ""}), job)[key] == default
    assert params(read(**{name: value}), job)[key] == value


def test_the_zone_of_all_jobs_is_new_york_unless_another_is_named():
    assert read().timezone == "America/New_York"
    assert {job.timezone for job in read(CRON_TIMEZONE="Asia/Tokyo").jobs} == {"Asia/Tokyo"}


def test_alerts_go_nowhere_until_a_webhook_is_named():
    hook = "https://hooks.invalid/services/T/B/x"

    assert read().notify.channels == ()
    assert read(NOTIFICATION_WEBHOOK_URL=hook).notify.channels[0].url == hook


def test_alerts_begin_at_errors_unless_another_severity_is_named():
    hook = {"NOTIFICATION_WEBHOOK_URL": "https://hooks.invalid/services/T/B/x"}
    louder = read(NOTIFICATION_MIN_SEVERITY="critical", **hook)

    assert read(**hook).notify.channels[0].min_severity is Severity.ERROR
    assert louder.notify.channels[0].min_severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BACKUP_MINIMUM", "0", "keep_last: expected at least 1, got 0"),
        ("BACKUP_DAILY_RETENTION", "a week", "with.keep_daily: expected a whole number"),
        ("BACKUP_MONTHLY_RETENTION", "-1", "keep_monthly: expected at least 0, got -1"),
        ("SYNC_BATCH_SIZE", "1000", "batch_size: expected 1 to 250, got 1000"),
        ("CRON_TIMEZONE", "Mars/Olympus", "Mars/Olympus"),
        ("NOTIFICATION_MIN_SEVERITY", "loud", "notify.min_severity"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_at_load_by_its_key(name, value, words):
    loaded = config.load(SHIPPED, {"TZ": "UTC", name: value})

    assert loaded.config is None
    assert any(words in f"{one.path}: {one.message}" for one in loaded.problems), loaded.problems


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("FALSE", False), ("", False)])
def test_a_job_is_switched_on_and_off_by_a_name_too(value, expected):
    text = b'jobs: {a: {command: [x], enabled: "${REPLICATION_ENABLED:-false}"}}'

    parsed = config.parse(text, SHIPPED, {"TZ": "UTC", "REPLICATION_ENABLED": value})

    assert parsed.config is not None, parsed.problems
    assert parsed.config.jobs[0].enabled is expected


def test_a_switch_that_is_neither_on_nor_off_is_a_mistake():
    text = b'jobs: {a: {command: [x], enabled: "${REPLICATION_ENABLED:-false}"}}'

    parsed = config.parse(text, SHIPPED, {"TZ": "UTC", "REPLICATION_ENABLED": "yes"})

    assert parsed.config is None
    assert parsed.problems[0].path == "jobs.a.enabled"
