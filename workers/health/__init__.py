"""Health: check that databases, disks, backups and services are usable.

This module holds the job `health.run`. `local_checks.py`, `place_checks.py` and
`remote_checks.py` measure; `measurements.py` defines the results and `evaluation.py`
rates them, both pure. Invariant: a failed measurement is a value that is rated, never an
exception, so that one problem does not hide another.
"""

import time
from collections.abc import Iterator
from itertools import chain

from workers.health import local_checks, place_checks, remote_checks
from workers.health.evaluation import Check, Judgement, Limits, Word, judge, sentence
from workers.health.measurements import (
    Database,
    DatabaseSize,
    Disk,
    Measure,
    NewestBackup,
    NewestCopy,
    Postgres,
    Query,
    Replica,
    WalSize,
)
from workers.health.params import Params
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.units import format_duration

__all__ = ["Check", "Judgement", "Limits", "Params", "Word", "judge", "plan", "run"]

_LEVELS = {
    Word.HEALTHY: "info",
    Word.WARNING: "warning",
    Word.DEGRADED: "warning",
    Word.CRITICAL: "error",
}
_LONGEST_COMPLAINT = 300


class HealthCancelledError(Exception):
    """SIGTERM was received."""


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Measure and rate; return the score, the worst word, complaints and figures.

    Raises:
        WorkerError: the score is too low or a check is critical. Not permanent,
            because the next attempt measures again.
    """
    if report.dry_run:
        lines = plan(params)
        for line in lines:
            report.log(line)
        return {"measures": len(lines)}
    began = time.monotonic()
    try:
        measures = _measured(params, report)
    except HealthCancelledError as cancelled:
        raise WorkerError("cancelled; nothing was changed") from cancelled
    figures = dict(_figures(measures))
    judged = judge(measures, params.limits)
    _tell(report, judged, figures)
    if judged.fails:
        raise WorkerError(sentence(judged))
    return {
        "score": judged.score,
        "word": str(judged.word),
        "checks": len(judged.checks),
        "warnings": len(judged.complaints),
        "complaints": "; ".join(one.text for one in judged.complaints)[:_LONGEST_COMPLAINT],
        **figures,
        "seconds": round(time.monotonic() - began, 3),
    }


def plan(params: Params) -> tuple[str, ...]:
    """Return what a run would measure, one line each; pure."""
    limits = params.limits
    lines = [
        f"{params.database}: readable, size, WAL, sample query, quick_check for at most"
        f" {format_duration(limits.quick_check)}",
        "free disk on each volume in use",
    ]
    if params.backups is not None:
        lines.append(f"{params.backups}: newest verified backup, room for the next one")
    if params.postgres or params.replication:
        what = "answer and lag of the replica" if params.replication else "answer"
        lines.append(f"PostgreSQL: {what}")
    lines += [f"{place.to}: newest verified copy" for place in params.copies]
    lines += [f"{remote_checks.shown(url)}: answer" for url in params.http]
    return tuple(lines)


def _measured(params: Params, report: Report) -> list[Measure]:
    def check() -> None:
        if report.cancelled:
            raise HealthCancelledError

    limits, deadline = params.limits, time.monotonic() + 2 * params.limits.answer
    asked = list(_asked(params))
    path, folder = params.database, params.backups
    found = list(local_checks.of_database(path, limits, check))
    found += local_checks.of_disks(path, folder)
    if folder is not None:
        found.append(local_checks.newest_backup(path, folder))
        # An unreadable database is reported already, and implies that it cannot be copied.
        if Database(path, "") in found:
            found.append(local_checks.next_backup(path, folder, limits.answer, check))
    found += place_checks.newest_copies(path, params.copies)
    found += chain.from_iterable(one.answer(deadline, check) for one in asked)
    return found


def _asked(params: Params) -> Iterator[remote_checks.RemoteCheck]:
    limit_s = params.limits.answer
    if params.postgres or params.replication:
        yield remote_checks.ask_postgres(params.postgres, params.replication, limit_s)
    for url in params.http:
        yield remote_checks.ask_page(url, limit_s)


def _figures(measures: list[Measure]) -> Iterator[tuple[str, float]]:
    """Yield the measured numbers with the names of their gauges."""
    for measure in measures:
        match measure:
            case DatabaseSize(size):
                yield "database_bytes", size
            case WalSize(size):
                yield "wal_bytes", size
            case Query(seconds):
                yield "query_seconds", round(seconds, 6)
            case NewestBackup(age_s):
                yield "backup_age_seconds", round(age_s)
            case NewestCopy(place, age_s) if age_s is not None:
                yield f"copy_age_seconds {place}", round(age_s)
            case Postgres("", seconds):
                yield "postgres_latency_seconds", round(seconds, 6)
            case Replica(lag_s):
                yield "replication_lag_seconds", round(lag_s)
    ratios = [measure.free_ratio for measure in measures if isinstance(measure, Disk)]
    if ratios:
        yield "disk_free_ratio", round(min(ratios), 4)


def _tell(report: Report, judged: Judgement, figures: dict[str, float]) -> None:
    for check in judged.checks:
        points = f" (-{check.points})" if check.points else ""
        report.log(f"{check.word}: {check.text}{points}", _LEVELS[check.word])
    report.metric("health_score", judged.score)
    for name, value in figures.items():
        report.metric(name, value)
