"""Last week's copy is put back under a living writer, and the replica follows.

The shipped jobs with a real PostgreSQL. A backup; a week in which another program
writes and changes are replicated by their log; the old copy restored into the
database while that program goes on. The next replication sees that the log does
not lead there, compares everything, and is equal; the one after it is incremental.
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
    """What a run of the replication says of itself."""
    sandbox.says("run", "replicate-to-pg", "--wait")
    (run, *_) = sandbox.json("history", "replicate-to-pg")["runs"]
    result = dict(run["result"])
    counts = ", ".join(f"{result[name]} {name}" for name in ("inserted", "updated", "deleted"))
    figures.tell(when, f"{result['capture']}: {counts} in {result['seconds']} s")
    return result


def with_a_ledger_of_moves(sandbox: Sandbox) -> Path:
    """The card database, with the tables of another program that must always add up."""
    sandbox.says(
        "run", "sync-missing-sets", "sync-missing-cards", "--local", "--log-level", "error"
    )
    return backup_folder.a_database(sandbox.root / shipped.DATABASE, rows=2000)


def test_a_restored_copy_is_replicated_in_full_and_then_by_changes(
    postgres: str, figures: Figures
) -> None:
    with shipped.shipped(postgres) as sandbox:
        shipped.feed(sandbox, sets=12, cards=600)
        clock = Clock(sandbox, "2026-02-09 12:00:10")
        path = with_a_ledger_of_moves(sandbox)
        with supervised(sandbox):
            sandbox.says("pause")  # the calendar; what is asked for runs
            sandbox.says("run", "backup-database", "--wait")
            assert replicated(sandbox, figures, "the first run")["capture"] == "full"
            ((before,),) = backup_folder.rows(path, WRITTEN)

            clock.set("2026-02-16 12:00:10")
            shipped.feed(sandbox, sets=14, cards=800)
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
        judge(sandbox, path, writing, (before, later, restored), figures)


def judge(
    sandbox: Sandbox,
    path: Path,
    writing: backup_folder.Writing,
    moves: tuple[int, int, int],
    figures: Figures,
) -> None:
    """The writer never met a torn database, and the one before the restore is kept aside."""
    before, later, restored = moves
    assert before < later
    assert before < restored == writing.rows < before + writing.commits
    assert backup_folder.rows(path, backup_folder.BROKEN) == []
    assert backup_folder.rows(path, "PRAGMA integrity_check") == [("ok",)]
    (aside,) = path.parent.glob("*.before-restore-*")
    ((kept,),) = backup_folder.rows(aside, WRITTEN)
    assert kept >= later
    figures.tell("the writer", f"{writing.commits} commits, the longest {writing.worst_s:.2f} s")
    figures.tell("moves", f"{before} in the copy, {kept} set aside, {restored} in the end")
