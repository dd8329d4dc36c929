"""The quickstart script in a bare clone: it ends with jobs that have run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fix_postgres import needs_account

ROOT = Path(__file__).parents[2]
NOT_IN_A_CLONE = shutil.ignore_patterns(".git", ".venv", "var", "*_cache", "*.egg-info", ".hypo*")
# Twice the time on a busy machine with a cold cache; one run takes 20 s with a warm one.
LIMIT_S = 600


@pytest.fixture
def clone(tmp_path):
    return Path(shutil.copytree(ROOT, tmp_path / "clone", ignore=NOT_IN_A_CLONE))


def quickstart(clone):
    of_others = ("POSTGRES", "PG", "NIGHTSHIFT", "REPLICATION")
    environ = {key: text for key, text in os.environ.items() if not key.startswith(of_others)}
    return subprocess.run(
        [clone / "scripts" / "quickstart"], env=environ, capture_output=True, text=True
    )


@needs_account
@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_a_bare_clone_runs_every_job_and_then_again(clone):
    for round_ in (1, 2):
        reported = quickstart(clone)

        assert reported.returncode == 0, reported.stdout + reported.stderr
        summary = reported.stdout.partition("Summary of the runs:")[2]
        assert re.search(r"sync-missing-sets +20 sets in the database\n", summary)
        assert re.search(r"sync-missing-cards +1000 cards in it\n", summary)
        assert re.search(r"backup-database +\S+\.gz is verified: ", summary)
        assert re.search(rf"rotate-backups +kept {round_}, removed 0\n", summary)
        assert re.search(r"replicate-to-pg +rows equal on both sides: 1020 in 2 tables", summary)
        assert re.search(r"validate-data-integrity +damaged pages and keys: 0", summary)
        assert re.search(r"database-health-check +100/100, healthy", summary)
