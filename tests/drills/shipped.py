"""The shipped jobs.yaml in a sandbox, with an invented catalogue.

Only its retry delays are shortened, because they run on the monotonic clock. Everything
else - calendar, dependencies, groups, timeouts, workers - is what users get.
"""

import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from tests.acceptance.daemon import Sandbox
from tests.acceptance.ledger_reader import rows

ROOT = Path(__file__).parents[2]
DELAY = "retry_delay: 300ms"
DATABASE = "var/pokemon-data.sqlite3.db"
BACKUPS = "var/backups"


def shipped(postgres: str = "") -> Sandbox:
    """Return a sandbox with the shipped jobs; postgres: a libpq DSN to replicate to."""
    text = (ROOT / "jobs.yaml").read_text()
    sandbox = Sandbox(re.sub(r"retry_delay: \d+s", DELAY, text))
    sandbox.environ["CRON_TIMEZONE"] = "UTC"
    if postgres:
        sandbox.environ |= {"POSTGRES_DSN": postgres, "REPLICATION_ENABLED": "true"}
    (sandbox.root / "var").mkdir()
    return sandbox


def write_catalogue(sandbox: Sandbox, sets: int, cards: int) -> None:
    """Replace the catalogue by one with this many sets and cards."""
    script = ROOT / "scripts" / "generate-catalogue"
    words = [sys.executable, script, "var/catalogue", "--sets", str(sets), "--cards", str(cards)]
    subprocess.run(words, cwd=sandbox.root, check=True, capture_output=True)


def run_all(sandbox: Sandbox) -> None:
    """Run every job once, in a new process: a fork would not use the sandbox's clock."""
    process = sandbox.begin("run", "--all", "--local", "--yes", "--log-level", "error")
    said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def durations(sandbox: Sandbox) -> dict[str, timedelta]:
    """Return the duration of the newest success of each job."""
    query = "SELECT job, started_at, ended_at FROM runs WHERE state = 'success' ORDER BY id"
    return {
        job: datetime.fromisoformat(ended) - datetime.fromisoformat(started)
        for job, started, ended in rows(sandbox, query)
    }


def leftovers(sandbox: Sandbox) -> list[str]:
    """Return files that no finished run leaves: parts, scratch files, and TMPDIR of runs."""
    var = [path for path in (sandbox.root / "var").rglob("*") if path.is_file()]
    mine = ("", ".gz", ".json", ".sha256", ".lock", "-wal", "-shm", ".db")
    odd = [path for path in var if "catalogue" not in path.parts and path.suffix not in mine]
    return [str(path.name) for path in [*odd, *(sandbox.state / "tmp").iterdir()]]


def free_bytes(folder: Path) -> int:
    """Return the free bytes of a folder's disk."""
    return shutil.disk_usage(folder).free
