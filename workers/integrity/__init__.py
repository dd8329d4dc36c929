"""Integrity: check the content of a database.

This module holds the job `integrity.run`, and maps findings to the outcome of a run.
`findings.py` is pure. `sqlite_checks.py` and `indexes.py` check any SQLite database,
`card_checks.py` the tables of sync. Invariant: nothing is changed, and all checks read the
same snapshot.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workers import sqlite
from workers.backup import lock_wait
from workers.file_length import refuse_cut_short
from workers.integrity import card_checks, indexes, sqlite_checks
from workers.integrity.findings import Finding, Severity, counts, of, sentence
from workers.params import Size
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError

__all__ = ["Params", "plan", "run"]

# integrity_check looks up each row in each index; SQLite's default cache of 2 MB
# doubles its time on 1 GB.
_CACHE_KIB = 20 * 1024
_GENERIC = ("integrity_check", "foreign_key_check")
_OF_CARDS = ("required fields", "JSON", "orphaned cards", "sets and their claims")
_LEVELS = {Severity.NOTE: "info", Severity.WARNING: "warning", Severity.FAILURE: "error"}
_Check = Callable[[], list[Finding]]


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `integrity.run`.

    database: the SQLite file, which may be in use.
    copy_limit: the largest database of which a private copy is made, among the
        temporary files, to check its full-text indexes.
    """

    database: Path
    copy_limit: Size = Size(4 * 10**9)  # noqa: RUF009 - an int


class IntegrityCancelledError(Exception):
    """SIGTERM was received."""


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Check the database; return the count of each check, warnings and seconds.

    Raises:
        WorkerError: the data is wrong (permanent), or it could not be read.
    """
    began = time.monotonic()

    def check() -> None:
        if report.cancelled:
            raise IntegrityCancelledError

    try:
        with closing(lock_wait.open_when_free(params.database, check)) as connection:
            known = _snapshot(params.database, connection, check)
            if report.dry_run:
                lines = plan(params.database, known, indexes.checked(connection))
                for line in lines:
                    report.log(line)
                return {"checks": len(lines)}
            found = _findings(connection, known, report, check)
            found += sqlite_checks.made(
                indexes.NAME, lambda: indexes.findings(connection, params.copy_limit, check)
            )
    except IntegrityCancelledError as cancelled:
        raise WorkerError("cancelled; nothing was changed") from cancelled
    except DatabaseError as problem:
        raise WorkerError(str(problem), problem.permanent) from problem
    except sqlite3.Error as error:
        failure = sqlite.error_of(params.database, error)
        raise WorkerError(str(failure), failure.permanent) from error
    _tell(report, found, known)
    _judge(params.database, found)
    return {
        **counts(found),
        "warnings": sum(one.count for one in of(Severity.WARNING, found)),
        "seconds": round(time.monotonic() - began, 3),
    }


def plan(path: Path, known: card_checks.Columns, checked: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what a run would check, one line each; pure.

    known: the card tables that exist. checked: the indexes that exist.
    """
    lines = tuple(f"{check} of {path}" for check in _GENERIC)
    of_cards = (f"{check} of {', '.join(sorted(known))}" for check in _OF_CARDS if known)
    return (*lines, *of_cards, *(f"content of {index}" for index in checked))


def _snapshot(
    path: Path, connection: sqlite3.Connection, check: Callable[[], None]
) -> card_checks.Columns:
    """Begin a snapshot that lasts until the connection is closed; return the card tables."""
    # Not read-only: closing the last read-only connection would leave -wal and -shm behind.
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    lock_wait.begin_reading(connection, check)
    refuse_cut_short(path, connection)
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not tables:
        raise DatabaseError(path, "has no tables; is it the right path?", permanent=True)
    return card_checks.columns(connection)


def _findings(
    connection: sqlite3.Connection,
    known: card_checks.Columns,
    report: Report,
    check: Callable[[], None],
) -> list[Finding]:
    found: list[Finding] = []
    checks = _checks(connection, known)
    for done, (name, find) in enumerate(checks):
        report.progress(done, len(checks), "checks")
        found += sqlite.with_progress(connection, partial(sqlite_checks.made, name, find), check)
    report.progress(len(checks), len(checks), "checks")
    return found


def _checks(
    connection: sqlite3.Connection, known: card_checks.Columns
) -> tuple[tuple[str, _Check], ...]:
    always: tuple[tuple[str, _Check], ...] = (
        (_GENERIC[0], lambda: sqlite_checks.pages(connection)),
        (_GENERIC[1], lambda: sqlite_checks.foreign_keys(connection)),
    )
    if not known:
        return always
    empty, json, orphans, claims = _OF_CARDS
    return (
        *always,
        (empty, lambda: [card_checks.lacking(known), card_checks.empty_fields(connection, known)]),
        (json, lambda: [card_checks.invalid_json(connection, known)]),
        (orphans, lambda: [card_checks.orphans(connection, known)]),
        (
            claims,
            lambda: [
                f(connection, known) for f in (card_checks.short_sets, card_checks.fuller_sets)
            ],
        ),
    )


def _tell(report: Report, found: Sequence[Finding], known: card_checks.Columns) -> None:
    if not known:
        report.log("no tables of sync are here: integrity_check and foreign_key_check only")
    for severity, level in _LEVELS.items():
        for one in of(severity, found):
            report.log(sentence(one), level)
    for name, count in counts(found).items():
        report.metric(f"integrity_{name}", count)


def _judge(path: Path, found: Sequence[Finding]) -> None:
    if wrong := of(Severity.FAILURE, found):
        raise WorkerError(
            f"database {path}: {'; '.join(sentence(one) for one in wrong)}", permanent=True
        )
