"""Last week's copy is restored under an active writer, and replication follows.

The shipped jobs with a real PostgreSQL. First a backup, then a week in which another program
writes and the changes are replicated by their log. Then the old copy is restored into the
database while that program continues. The next replication detects that the log does not
lead to this state, compares everything, and ends equal; the one after it is incremental.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.drills import shipped
from tests.drills.conftest import Figures
from tests.workers import backup_folder, fixtures_replication

pytestmark = pytest.mark.timeout(240)

WRITER_PAUSE_S = 0.01
WRITTEN = "SELECT count(*) FROM moves"


def replicated(sandbox: Sandbox, figures: Figures, when: str) -> dict[str, Any]:
    """Run the replication and return its result."""
    sandbox.says("run", "replicate-to-pg", "--wait")
    (run, *_) = sandbox.json("history", "replicate-to-pg")["runs"]
    result = dict(run["result"])
    counts = ", ".join(f"{result[name]} {name}" for name in ("inserted", "updated", "deleted"))
    figures.add(when, f"{result['capture']}: {counts} in {result['seconds']} s")
    return result


def add_moves_database(sandbox: Sandbox) -> Path:
    """Create the card database with tables of another program, whose sums must agree."""
    sandbox.says(
        "run", "sync-missing-sets", "sync-missing-cards", "--local", "--log-level", "error"
    )
    return backup_folder.a_database(sandbox.root / shipped.DATABASE, rows=2000)


def test_a_restored_copy_is_replicated_in_full_and_then_by_changes(
    postgres: str, figures: Figures
) -> None:
    with shipped.shipped(postgres) as sandbox:
        shipped.write_catalogue(sandbox, sets=12, cards=600)
        clock = Clock(sandbox, "2026-02-09 12:00:10")
        path = add_moves_database(sandbox)
        with supervised(sandbox):
            sandbox.says("pause")  # stops the calendar; requested runs still start
            sandbox.says("run", "backup-database", "--wait")
            assert replicated(sandbox, figures, "the first run")["capture"] == "full"
            ((before,),) = backup_folder.rows(path, WRITTEN)

            clock.set("2026-02-16 12:00:10")
            shipped.write_catalogue(sandbox, sets=14, cards=800)
            sandbox.says("run", "sync-missing-sets", "sync-missing-cards", "--wait")
            with backup_folder.a_writer(path, WRITER_PAUSE_S) as writing:
                of_the_week = replicated(sandbox, figures, "a week of changes")
                ((later,),) = backup_folder.rows(path, WRITTEN)
                sandbox.says("backups", "restore", "latest", "--target", str(path), "--force")
                after_it = replicated(sandbox, figures, "after the restore, beside a writer")
            ((restored,),) = backup_folder.rows(path, WRITTEN)
            again = replicated(sandbox, figures, "with the writer gone")
            nothing = replicated(sandbox, figures, "once more")

        assert of_the_week["capture"] == "changes"
        assert after_it["capture"] == "full"
        assert again["capture"] == "changes"
        assert nothing["capture"] == "nothing"
        assert fixtures_replication.unequal(path, postgres) == {}
        check_result(sandbox, path, writing, (before, later, restored), figures)


def check_result(
    sandbox: Sandbox,
    path: Path,
    writing: backup_folder.Writing,
    moves: tuple[int, int, int],
    figures: Figures,
) -> None:
    """Check that the writer saw no torn database, and that the replaced database is kept."""
    before, later, restored = moves
    assert before < later
    assert before < restored == writing.rows < before + writing.commits
    assert backup_folder.rows(path, backup_folder.BROKEN) == []
    assert backup_folder.rows(path, "PRAGMA integrity_check") == [("ok",)]
    (aside,) = path.parent.glob("*.before-restore-*")
    ((kept,),) = backup_folder.rows(aside, WRITTEN)
    assert kept >= later
    figures.add("the writer", f"{writing.commits} commits, the longest {writing.worst_s:.2f} s")
    figures.add("moves", f"{before} in the copy, {kept} set aside, {restored} in the end")
