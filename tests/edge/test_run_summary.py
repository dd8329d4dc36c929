"""Run summary: one line of text for the newest run of each job."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.run_summary import WORDS, of_the_newest_batch, summary
from supervisor.core.model import Run, State, Trigger

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_summary.py"
RESULTS = [
    ("sync-missing-sets", {"sets_added": 2, "sets_changed": 1, "sets_unchanged": 17},
     "20 sets in the database"),
    ("sync-missing-cards", {"cards_added": 0, "cards_changed": 0, "cards_unchanged": 1000},
     "1000 cards in it"),
    ("backup-database",
     {"file": "a.gz", "state": "verified", "database_bytes": 5000, "size_bytes": 900, "rows": 7},
     "a.gz is verified: 5.0 kB in 900 bytes, 7 rows"),
    ("rotate-backups", {"kept": 3, "removed": 1}, "kept 3, removed 1"),
    ("replicate-to-pg",
     {"inserted": 9, "updated": 0, "deleted": 1, "compared": 30, "healed": 0},
     "inserted 9, updated 0, deleted 1; rows compared on both sides and equal: 30"),
    ("replicate-to-pg", {"compared": 1020, "tables": 2, "differing": 0},
     "rows equal on both sides: 1020 in 2 tables"),
    ("replicate-to-pg",
     {"inserted": 0, "updated": 0, "deleted": 0, "compared": 30, "healed": 2},
     "inserted 0, updated 0, deleted 0; rows compared on both sides and equal: 30,"
     " 2 of them healed"),
    ("cleanup-stale-data", {"leftovers": 1, "freed_bytes": 2000},
     "leftovers removed: 1, freed 2.0 kB"),
    ("validate-data-integrity", {"damage": 0, "foreign_key_violations": 0, "warnings": 2},
     "damaged pages and keys: 0, warnings: 2"),
    ("database-health-check", {"score": 95, "word": "warning", "complaints": "a large WAL"},
     "95/100, warning: a large WAL"),
]  # fmt: skip


def a_run(job, state=State.SUCCESS, cause="", result=None, number=1, batch="a"):
    moment = datetime(2026, 2, 9, number, tzinfo=UTC)
    said = json.dumps(result) if result is not None else None
    return Run(
        number, job, moment, Trigger.MANUAL, state, cause=cause, result_json=said, batch=batch
    )


@pytest.mark.parametrize(("job", "result", "words"), RESULTS)
def test_a_run_that_succeeded_is_reported_in_words(job, result, words):
    (line,) = summary([a_run(job, result=result)])

    assert line.split(maxsplit=1) == [job, words]


def test_every_job_that_has_words_is_tested():
    assert {job for job, _, _ in RESULTS} == set(WORDS)


def test_a_run_that_did_not_succeed_gives_its_cause():
    (line,) = summary([a_run("backup-database", State.FAILED, "the disk is full")])

    assert line.split(maxsplit=1) == ["backup-database", "failed: the disk is full"]


def test_a_job_with_another_result_is_only_called_done():
    lines = summary([a_run("vendor-report"), a_run("rotate-backups", result={"other": 1})])

    assert [line.split()[1] for line in lines] == ["done", "done"]


def test_the_summary_begins_with_the_newest_batch_and_each_job_counts_once():
    before = a_run("gone", number=1, batch="a")
    batch = [a_run("sync", number=2, batch="b"), a_run("proof", number=3, batch="")]
    again = a_run("proof", number=4, batch="")

    found = of_the_newest_batch([again, *reversed(batch), before])

    assert [run.id for run in found] == [2, 4]
    assert of_the_newest_batch([]) == []


def test_without_a_ledger_it_says_so(tmp_path):
    reported = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True)

    assert reported.returncode == 1
    assert reported.stderr.startswith(f"run_summary: cannot read the ledger in {tmp_path}: ")
