"""A full disk at each step of the shipped jobs: data, copies, state folder.

Each of the three is a small disk, filled to the last byte just before each job runs. A job
fails and says why, or has nothing to write and succeeds. The database and the verified copies
stay unchanged. Then space is freed, by prune or by deleting the filler, and the same job
succeeds.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import rows
from tests.drills import shipped
from tests.drills.conftest import Figures
from tests.waiting import until
from tests.workers import backup_folder, fixtures_replication

pytestmark = [pytest.mark.root, backup_folder.root_only, pytest.mark.timeout(240)]

# Jobs that write to the database, and jobs that may find nothing to write.
WRITERS = ("sync-missing-sets", "sync-missing-cards", "replicate-to-pg")
READERS = ("validate-data-integrity", "database-health-check", "cleanup-stale-data")
RECOVERED_WITHIN_S = 30.0
CONTENT = (
    "SELECT * FROM pokemon_card_sets ORDER BY id",
    "SELECT * FROM pokemon_cards ORDER BY id",
)


@pytest.fixture
def sandbox(postgres: str) -> Iterator[Sandbox]:
    """Yield the shipped jobs on three small disks, after a success of each job."""
    with shipped.shipped(postgres) as sandbox, ExitStack() as disks:
        sandbox.environ |= {"DATABASE_PATH": "data/cards.db", "BACKUP_DIR": "copies"}
        for name in ("data", "copies", "state"):
            disks.enter_context(backup_folder.a_small_disk(sandbox.root / name, "16m"))
        shipped.write_catalogue(sandbox, sets=20, cards=1000)
        sandbox.says("run", "--all", "--local", "--yes", "--log-level", "error")
        with supervised(sandbox):
            sandbox.says("pause")  # stops the calendar; requested runs still start
            yield sandbox


def fill(disk: Path) -> None:
    """Fill a disk to the last byte."""
    for size in (1 << 16, 1):
        with open(disk / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(size))


def empty(disk: Path) -> None:
    """Delete the file that fills the disk."""
    (disk / "filler").unlink()


def content(sandbox: Sandbox) -> str:
    """Return a digest of the database's content."""
    with closing(sqlite3.connect(sandbox.root / "data" / "cards.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = [database.execute(query).fetchall() for query in CONTENT]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def verified(sandbox: Sandbox) -> set[str]:
    """Verify all copies now and return them."""
    found = sandbox.json("backups", "verify", "--all")["verified"]
    assert [each["error"] for each in found if each["error"]] == []
    return {each["file"] for each in found}


def digests(sandbox: Sandbox) -> dict[str, str]:
    """Return a digest of each copy's bytes; verifying would need space for a scratch file."""
    copies = (sandbox.root / "copies").glob("*.gz")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in copies}


def outcome(sandbox: Sandbox, job: str) -> tuple[str, str]:
    """Run the job now and return state and cause."""
    sandbox.ask("run", job, "--wait")
    found = rows(
        sandbox, "SELECT state, cause FROM runs WHERE job = ? ORDER BY id DESC LIMIT 1", job
    )
    return found[0]


def test_the_disk_of_the_database_is_full(
    sandbox: Sandbox, postgres: str, figures: Figures
) -> None:
    disk = sandbox.root / "data"
    shipped.write_catalogue(sandbox, sets=30, cards=2000)
    for job in WRITERS:
        before, copies = content(sandbox), verified(sandbox)
        fill(disk)

        state, cause = outcome(sandbox, job)

        empty(disk)
        figures.add(f"{job}, disk full", f"{state}: {cause[:110]}")
        assert content(sandbox) == before
        assert verified(sandbox) == copies
        assert state == "failed"
        assert names_missing_space(cause), cause
        assert outcome(sandbox, job)[0] == "success"
    assert fixtures_replication.unequal(disk / "cards.db", postgres) == {}

    before = content(sandbox)
    fill(disk)
    reported = {job: outcome(sandbox, job) for job in READERS}
    empty(disk)
    assert content(sandbox) == before
    for job, (state, cause) in reported.items():
        figures.add(f"{job}, disk full", f"{state}: {cause[:110]}")
        assert state == "success" or names_missing_space(cause), cause
        assert outcome(sandbox, job)[0] == "success"


def test_the_disk_of_the_copies_is_full(sandbox: Sandbox, figures: Figures) -> None:
    disk = sandbox.root / "copies"
    for _ in range(3):
        assert outcome(sandbox, "backup-database")[0] == "success"
    before, copies = content(sandbox), digests(sandbox)
    fill(disk)

    state, cause = outcome(sandbox, "backup-database")

    figures.add("backup-database, disk full", f"{state}: {cause[:160]}")
    assert state == "failed"
    assert names_missing_space(cause), cause
    assert digests(sandbox) == copies
    assert content(sandbox) == before
    assert outcome(sandbox, "rotate-backups")[0] == "success"
    check_prune_frees(
        sandbox, lambda: sandbox.says("backups", "prune", "--keep-last", "1"), figures
    )
    assert len(digests(sandbox)) == 1
    empty(disk)
    assert len(verified(sandbox)) == 1
    assert outcome(sandbox, "backup-database")[0] == "success"
    assert len(verified(sandbox)) == 2
    assert [path.name for path in disk.iterdir() if path.suffix == ".part"] == []


def check_prune_frees(sandbox: Sandbox, prune: Callable[[], str], figures: Figures) -> None:
    """Check that a prune on a full disk frees space, and report how much."""
    before = shipped.free_bytes(sandbox.root / "copies")
    prune()
    freed = shipped.free_bytes(sandbox.root / "copies") - before
    figures.add("prune --keep-last 1 freed", f"{freed} bytes")
    assert freed > 0


def test_the_disk_of_the_state_is_full(sandbox: Sandbox, figures: Figures) -> None:
    copies = verified(sandbox)
    for job in (*WRITERS, "backup-database", "rotate-backups", *READERS):
        before = content(sandbox)
        while (sandbox.state / "ballast").exists() or raw_client.code(sandbox, "/readyz") == 200:
            fill(sandbox.state)
            sandbox.ask("resume", job)  # its record takes the ballast's space

        refused = sandbox.ask("run", job)
        empty(sandbox.state)

        until(lambda: raw_client.code(sandbox, "/readyz") == 200, within_s=RECOVERED_WITHIN_S)
        assert (refused.returncode, "full" in refused.stderr) == (1, True), job
        assert content(sandbox) == before, job
        assert outcome(sandbox, job)[0] == "success", job
    figures.add("each of eight jobs", refused.stderr.strip().removeprefix("nightshift: "))
    assert copies <= verified(sandbox)


def names_missing_space(cause: str) -> bool:
    """Return whether the cause names missing space."""
    return any(word in cause for word in ("full", "No space left", "free", "fit"))
