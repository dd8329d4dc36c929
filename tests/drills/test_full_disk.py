"""A full disk at each step of the night: the data, the copies, the state folder.

Each of the three is a small disk of its own, filled to the last byte just before
each job runs. A job fails and says why, or has nothing to write and succeeds; the
database and the verified copies are what they were. Then room is made - by prune,
or by whoever filled the disk - and the same job succeeds.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import House, supervised
from tests.acceptance.ledger_reader import rows
from tests.drills import shipped
from tests.drills.conftest import Figures
from tests.waiting import until
from tests.workers import backup_folder, fixtures_replication

pytestmark = [pytest.mark.root, backup_folder.root_only, pytest.mark.timeout(240)]

# Those that write to the database, and those that may find nothing to write.
WRITERS = ("sync-missing-sets", "sync-missing-cards", "replicate-to-pg")
READERS = ("validate-data-integrity", "database-health-check", "cleanup-stale-data")
RECOVERED_WITHIN_S = 30.0
CONTENT = (
    "SELECT * FROM pokemon_card_sets ORDER BY id",
    "SELECT * FROM pokemon_cards ORDER BY id",
)


@pytest.fixture
def house(postgres: str) -> Iterator[House]:
    """The shipped jobs over three small disks; every job has run well once."""
    with shipped.shipped(postgres) as house, ExitStack() as disks:
        house.environ |= {"DATABASE_PATH": "data/cards.db", "BACKUP_DIR": "copies"}
        for name in ("data", "copies", "state"):
            disks.enter_context(backup_folder.a_small_disk(house.root / name, "16m"))
        shipped.feed(house, sets=20, cards=1000)
        house.says("run", "--all", "--local", "--yes", "--log-level", "error")
        with supervised(house):
            house.says("pause")  # the calendar; what is asked for runs
            yield house


def fill(disk: Path) -> None:
    """Not one byte more fits."""
    for size in (1 << 16, 1):
        with open(disk / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(size))


def empty(disk: Path) -> None:
    """Whoever filled it has gone."""
    (disk / "filler").unlink()


def content(house: House) -> str:
    """A digest of all that the database holds."""
    with closing(sqlite3.connect(house.root / "data" / "cards.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = [database.execute(query).fetchall() for query in CONTENT]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def verified(house: House) -> set[str]:
    """The copies, each proven now."""
    found = house.json("backups", "verify", "--all")["verified"]
    assert [each["error"] for each in found if each["error"]] == []
    return {each["file"] for each in found}


def digests(house: House) -> dict[str, str]:
    """The copies byte for byte; to prove one takes room for a scratch file."""
    copies = (house.root / "copies").glob("*.gz")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in copies}


def outcome(house: House, job: str) -> tuple[str, str]:
    """State and cause of the job's run, asked for now."""
    house.ask("run", job, "--wait")
    found = rows(
        house, "SELECT state, cause FROM runs WHERE job = ? ORDER BY id DESC LIMIT 1", job
    )
    return found[0]


def test_the_disk_of_the_database_is_full(house: House, postgres: str, figures: Figures) -> None:
    disk = house.root / "data"
    shipped.feed(house, sets=30, cards=2000)
    for job in WRITERS:
        before, copies = content(house), verified(house)
        fill(disk)

        state, cause = outcome(house, job)

        empty(disk)
        figures.tell(f"{job}, disk full", f"{state}: {cause[:110]}")
        assert content(house) == before
        assert verified(house) == copies
        assert state == "failed"
        assert is_named(cause), cause
        assert outcome(house, job)[0] == "success"
    assert fixtures_replication.unequal(disk / "cards.db", postgres) == {}

    before = content(house)
    fill(disk)
    told = {job: outcome(house, job) for job in READERS}
    empty(disk)
    assert content(house) == before
    for job, (state, cause) in told.items():
        figures.tell(f"{job}, disk full", f"{state}: {cause[:110]}")
        assert state == "success" or is_named(cause), cause
        assert outcome(house, job)[0] == "success"


def test_the_disk_of_the_copies_is_full(house: House, figures: Figures) -> None:
    disk = house.root / "copies"
    for _ in range(3):
        assert outcome(house, "backup-database")[0] == "success"
    before, copies = content(house), digests(house)
    fill(disk)

    state, cause = outcome(house, "backup-database")

    figures.tell("backup-database, disk full", f"{state}: {cause[:160]}")
    assert state == "failed"
    assert is_named(cause), cause
    assert digests(house) == copies
    assert content(house) == before
    assert outcome(house, "rotate-backups")[0] == "success"
    free_by(house, lambda: house.says("backups", "prune", "--keep-last", "1"), figures)
    assert len(digests(house)) == 1
    empty(disk)
    assert len(verified(house)) == 1
    assert outcome(house, "backup-database")[0] == "success"
    assert len(verified(house)) == 2
    assert [path.name for path in disk.iterdir() if path.suffix == ".part"] == []


def free_by(house: House, prune: Callable[[], str], figures: Figures) -> None:
    """What a prune says on a full disk, and that it makes room."""
    before = shipped.free_bytes(house.root / "copies")
    prune()
    freed = shipped.free_bytes(house.root / "copies") - before
    figures.tell("prune --keep-last 1 freed", f"{freed} bytes")
    assert freed > 0


def test_the_disk_of_the_state_is_full(house: House, figures: Figures) -> None:
    copies = verified(house)
    for job in (*WRITERS, "backup-database", "rotate-backups", *READERS):
        before = content(house)
        while (house.state / "ballast").exists() or raw_client.code(house, "/readyz") == 200:
            fill(house.state)
            house.ask("resume", job)  # something to record, which takes the ballast

        refused = house.ask("run", job)
        empty(house.state)

        until(lambda: raw_client.code(house, "/readyz") == 200, within_s=RECOVERED_WITHIN_S)
        assert (refused.returncode, "full" in refused.stderr) == (1, True), job
        assert content(house) == before, job
        assert outcome(house, job)[0] == "success", job
    figures.tell("each of eight jobs", refused.stderr.strip().removeprefix("nightshift: "))
    assert copies <= verified(house)


def is_named(cause: str) -> bool:
    """Whether the cause speaks of room."""
    return any(word in cause for word in ("full", "No space left", "free", "fit"))
