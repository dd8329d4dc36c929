"""The shipped jobs.yaml with each environment variable of its users set: what each changes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised

ROOT = Path(__file__).parents[2]
NAMES = {
    "DATABASE_PATH": "elsewhere/cards.db",
    "CATALOGUE_PATH": "elsewhere/catalogue",
    "BACKUP_DIR": "elsewhere/copies",
    "BACKUP_MINIMUM": "9",
    "BACKUP_DAILY_RETENTION": "2",
    "BACKUP_WEEKLY_RETENTION": "5",
    "BACKUP_MONTHLY_RETENTION": "6",
    "SYNC_BATCH_SIZE": "7",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox((ROOT / "jobs.yaml").read_text()) as made:
        yield made


def test_data_and_copies_lie_where_the_names_say_and_each_retention_counts(
    sandbox: Sandbox,
) -> None:
    (sandbox.root / "elsewhere").mkdir()
    generate = [sys.executable, ROOT / "scripts" / "generate-catalogue", "elsewhere/catalogue"]
    subprocess.run(generate, cwd=sandbox.root, check=True, capture_output=True)
    sandbox.environ |= NAMES

    jobs = ["sync-missing-sets", "sync-missing-cards", "backup-database"]
    sandbox.says("run", *jobs, "--local", "--yes")
    reported = sandbox.says("run", "rotate-backups", "--local", "--dry-run")

    assert (sandbox.root / "elsewhere" / "cards.db").is_file()
    assert len(list((sandbox.root / "elsewhere" / "copies").glob("cards-*.gz"))) == 1
    assert "newest verified, monthly 1/6, weekly 1/5, daily 1/2, last 1/9" in reported
    assert not (sandbox.root / "var" / "backups").exists()


def test_the_zone_is_that_in_which_slots_are_reported(sandbox: Sandbox) -> None:
    sandbox.environ["CRON_TIMEZONE"] = "Asia/Tokyo"

    with supervised(sandbox):
        assert "times in Asia/Tokyo" in sandbox.says("status")


@pytest.mark.parametrize(("level", "is_reported"), [("info", True), ("error", False)])
def test_the_log_level_says_what_is_logged(
    sandbox: Sandbox, level: str, is_reported: bool
) -> None:
    sandbox.environ["CRON_LOG_LEVEL"] = level

    with supervised(sandbox):
        pass

    assert ('"level":"info"' in (sandbox.root / "log").read_text()) is is_reported
