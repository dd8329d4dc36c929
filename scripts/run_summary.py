#!/usr/bin/env python3
"""Summarise, in a few lines, the newest run of each job.

    scripts/run_summary.py STATE_FOLDER

Reads only the ledger, so it shows only results that a job has reported. For a run that did not
succeed the line gives the cause.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.core.model import Run, State
from supervisor.ledger.queries import History, RunFilter
from workers.units import format_size

Result = Mapping[str, Any]


def _sets(result: Result) -> str:
    return f"{_sum(result, 'sets_added', 'sets_changed', 'sets_unchanged')} sets in the database"


def _cards(result: Result) -> str:
    return f"{_sum(result, 'cards_added', 'cards_changed', 'cards_unchanged')} cards in it"


def _backup(result: Result) -> str:
    sizes = f"{format_size(result['database_bytes'])} in {format_size(result['size_bytes'])}"
    return f"{result['file']} is {result['state']}: {sizes}, {result['rows']} rows"


def _rotation(result: Result) -> str:
    return f"kept {result['kept']}, removed {result['removed']}"


def _replication(result: Result) -> str:
    if "differing" in result:
        return f"rows equal on both sides: {result['compared']} in {result['tables']} tables"
    changes = ", ".join(f"{word} {result[word]}" for word in ("inserted", "updated", "deleted"))
    proof = f"rows compared on both sides and equal: {result['compared']}"
    healed = f", {result['healed']} of them healed" if result["healed"] else ""
    return f"{changes}; {proof}{healed}"


def _cleanup(result: Result) -> str:
    return f"leftovers removed: {result['leftovers']}, freed {format_size(result['freed_bytes'])}"


def _integrity(result: Result) -> str:
    damage = sum(result[name] for name in ("damage", "foreign_key_violations"))
    return f"damaged pages and keys: {damage}, warnings: {result['warnings']}"


def _health(result: Result) -> str:
    complaints = f": {result['complaints']}" if result["complaints"] else ""
    return f"{result['score']}/100, {result['word']}{complaints}"


WORDS: Mapping[str, Callable[[Result], str]] = {
    "sync-missing-sets": _sets,
    "sync-missing-cards": _cards,
    "backup-database": _backup,
    "rotate-backups": _rotation,
    "replicate-to-pg": _replication,
    "cleanup-stale-data": _cleanup,
    "validate-data-integrity": _integrity,
    "database-health-check": _health,
}


def of_the_newest_batch(runs: Sequence[Run]) -> list[Run]:
    """Return each job's newest run since the last request to run all jobs, oldest first."""
    since = max((run.due for run in runs if run.batch), default=None)
    oldest_first = sorted(runs, key=lambda run: run.id)
    newest = {run.job: run for run in oldest_first if since is not None and run.due >= since}
    return sorted(newest.values(), key=lambda run: run.id)


def summary(runs: Sequence[Run]) -> list[str]:
    """Return a line for each run."""
    return [f"  {run.job:<24}{_line(run)}" for run in runs]


def _line(run: Run) -> str:
    if run.state is not State.SUCCESS:
        return f"{run.state}: {run.cause}"
    words = WORDS.get(run.job)
    # A user's jobs.yaml may use this job name for another worker.
    try:
        return words(json.loads(run.result_json or "{}")) if words else run.cause or "done"
    except KeyError:
        return run.cause or "done"


def _sum(result: Result, *names: str) -> int:
    return sum(result[name] for name in names)


def main() -> int:
    """Print the summary; return 1 if the ledger cannot be read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("state", type=Path, help="the state folder")
    given = parser.parse_args()
    try:
        history = History(given.state)
        runs = history.runs(RunFilter())
    except sqlite3.Error as error:
        print(f"run_summary: cannot read the ledger in {given.state}: {error}", file=sys.stderr)
        return 1
    print("\nSummary of the runs:\n")
    print("\n".join(summary(of_the_newest_batch(runs))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
