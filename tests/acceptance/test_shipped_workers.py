"""The shipped cleanup, integrity check and health check, run by the service."""

import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.daemon import Sandbox
from tests.workers.catalogue_folder import execute

ROOT = Path(__file__).parents[2]
ORPHANS = "DELETE FROM pokemon_card_sets WHERE id = (SELECT MAX(set_id) FROM pokemon_cards)"
DATABASE = "var/pokemon-data.sqlite3.db"


@pytest.fixture
def sandbox():
    with Sandbox((ROOT / "jobs.yaml").read_text()) as made:
        generate = [sys.executable, ROOT / "scripts" / "generate-catalogue", "var/catalogue"]
        subprocess.run(generate, cwd=made.root, check=True, capture_output=True)
        made.says("run", "--all", "--local", "--yes", "--log-level", "error")
        yield made


def ran(sandbox, *jobs):
    """Run these jobs now and return exit status and output."""
    reported = sandbox.ask("run", *jobs, "--local", "--yes")
    return reported.returncode, reported.stdout + reported.stderr


def test_a_fresh_clone_is_healthy_and_no_postgres_is_looked_for(sandbox):
    status, reported = ran(sandbox, "database-health-check")

    assert status == 0
    assert "score=100 word=healthy" in reported


def test_damage_fails_the_checks_and_says_what_it_is(sandbox):
    execute(sandbox.root / DATABASE, ORPHANS)

    status, reported = ran(sandbox, "validate-data-integrity")

    assert status == 1
    assert "cards without their set: " in reported
    assert "attempt 2" not in reported


def test_a_short_set_is_a_warning_in_the_cause(sandbox):
    status, reported = ran(sandbox, "validate-data-integrity")

    assert status == 0
    assert "success in" in reported
    assert "1 warning" in reported


@pytest.mark.parametrize(
    ("name", "value"), [("POSTGRES_DSN", "host=/nowhere"), ("POSTGRES_HOST", "/nowhere")]
)
def test_a_postgres_that_is_away_is_seen_where_one_is_in_use(sandbox, name, value):
    sandbox.environ |= {name: value, "REPLICATION_ENABLED": "true"}

    status, reported = ran(sandbox, "database-health-check")

    assert status == 0
    assert "PostgreSQL does not answer" in reported
    assert "score=90 word=degraded" in reported


def test_postgres_is_found_by_the_names_of_its_users(sandbox, postgres):
    parts = conninfo_to_dict(postgres)
    sandbox.environ |= {
        "REPLICATION_ENABLED": "true",
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts.get("port", 5432)),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": str(parts.get("password", "")),
        "POSTGRES_DB": str(parts["dbname"]),
    }

    status, reported = ran(sandbox, "database-health-check")

    assert status == 0
    assert "replication has never committed" in reported


def test_libpqs_own_names_do_as_well(sandbox, postgres):
    parts = conninfo_to_dict(postgres)
    sandbox.environ |= {
        "REPLICATION_ENABLED": "true",
        "PGHOST": str(parts["host"]),
        "PGUSER": str(parts["user"]),
        "PGPASSWORD": str(parts.get("password", "")),
        "PGDATABASE": str(parts["dbname"]),
    }

    assert "replication has never committed" in ran(sandbox, "database-health-check")[1]


ELSEWHERE = [
    ("cleanup-stale-data", "folder elsewhere/copies does not exist"),
    ("validate-data-integrity", "database elsewhere/cards.db does not exist"),
    ("database-health-check", "database elsewhere/cards.db does not exist"),
    ("database-health-check", "folder elsewhere/copies does not exist"),
]


@pytest.mark.parametrize(("job", "words"), ELSEWHERE)
def test_the_names_of_database_and_copies_reach_the_rounds(job, words):
    # No retry: the report must be of one attempt.
    jobs = (ROOT / "jobs.yaml").read_text().replace("retries: 1", "retries: 0")
    with Sandbox(jobs) as sandbox:
        sandbox.environ |= {
            "DATABASE_PATH": "elsewhere/cards.db",
            "BACKUP_DIR": "elsewhere/copies",
        }

        status, reported = ran(sandbox, job)

    assert (status, words in reported) == (1, True)
