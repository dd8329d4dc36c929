"""The replication job of the shipped jobs.yaml: the effect of each environment variable."""

import json
from pathlib import Path

import pytest

from supervisor import config

ROOT = Path(__file__).parents[2]
NAMES = {
    "POSTGRES_HOST": "PGHOST",
    "POSTGRES_PORT": "PGPORT",
    "POSTGRES_USER": "PGUSER",
    "POSTGRES_PASSWORD": "PGPASSWORD",
    "POSTGRES_DB": "PGDATABASE",
}


def shipped(tmp_path, environ):
    """Return the job of the shipped file in this environment."""
    loaded = config.load(ROOT / "jobs.yaml", environ, tmp_path / "cache").config
    assert loaded is not None
    (job,) = (job for job in loaded.jobs if job.name == "replicate-to-pg")
    return job


@pytest.mark.parametrize(("ours", "libpqs"), NAMES.items())
def test_each_name_reaches_libpq_and_stands_over_its_own(ours, libpqs, tmp_path):
    given = shipped(tmp_path, {ours: "ours", libpqs: "libpq's"})
    alone = shipped(tmp_path, {libpqs: "libpq's"})

    assert (dict(given.env)[libpqs], dict(alone.env)[libpqs]) == ("ours", "libpq's")


@pytest.mark.parametrize(("word", "enabled"), [(None, False), ("true", True), ("false", False)])
def test_replication_is_enabled_by_its_name(word, enabled, tmp_path):
    environ = {} if word is None else {"REPLICATION_ENABLED": word}

    assert shipped(tmp_path, environ).enabled is enabled


@pytest.mark.parametrize(
    ("name", "parameter"), [("POSTGRES_DSN", "postgres"), ("DATABASE_PATH", "database")]
)
def test_each_name_reaches_its_parameter(name, parameter, tmp_path):
    assert json.loads(shipped(tmp_path, {name: "given"}).params_json)[parameter] == "given"
