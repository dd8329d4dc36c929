"""Rate measurements: checks, a score and a word. Pure.

Invariant: the score starts at 100 and each check that is not healthy subtracts its points;
the word is that of the worst check. Enter at `judge`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import assert_never

from workers.health.measurements import (
    Database,
    DatabaseSize,
    Disk,
    Measure,
    NewestBackup,
    NewestCopy,
    NextBackup,
    NoBackup,
    NoPlace,
    NoQuickCheck,
    NoReplica,
    Page,
    Postgres,
    Query,
    QuickCheck,
    Replica,
    WalSize,
)
from workers.params import Duration, Size
from workers.units import format_duration, format_size

FAILS_UNDER = 70
_UNREACHABLE, _DAMAGED, _POSTGRES, _PLACE, _OTHER = 50, 30, 10, 10, 5
_SHOWN = 3
_TWO_DAYS = Duration(2 * 86400.0)
_SECOND, _FIVE, _TEN = Duration(1.0), Duration(5.0), Duration(10.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits up to which a measurement is healthy, and the time allowed for measuring.

    disk_free: the fraction of a volume that must be free, 0 to 1. quick_check: how long
    it may take; integrity.run checks larger databases completely.
    answer: how long to wait for a server or for a lock on the database.
    """

    backup_age: Duration = _TWO_DAYS
    replication_lag: Duration = _TWO_DAYS
    database_size: Size = Size(10**9)  # noqa: RUF009 - an int
    wal_size: Size = Size(100 * 10**6)  # noqa: RUF009 - an int
    disk_free: float = 0.1
    query: Duration = _SECOND
    postgres: Duration = _SECOND
    quick_check: Duration = _TEN
    answer: Duration = _FIVE

    def __post_init__(self) -> None:
        if not (isfinite(self.disk_free) and 0 <= self.disk_free <= 1):
            raise ValueError(f"disk_free: expected 0 to 1, got {self.disk_free}")
        if not 0 < self.answer <= 30:
            raise ValueError(f"answer: expected up to 30s, got {format_duration(self.answer)}")


class Word(StrEnum):
    """The rating of a check, from best to worst."""

    HEALTHY = "healthy"
    WARNING = "warning"
    DEGRADED = "degraded"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Check:
    """A rated measurement: its rating, the points it costs, and a sentence with the result."""

    name: str
    word: Word
    points: int
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """All checks in order of measurement, the score (0 to 100) and the worst word."""

    checks: tuple[Check, ...]
    score: int
    word: Word

    @property
    def fails(self) -> bool:
        """Return whether the run fails, because a person is needed."""
        return self.score < FAILS_UNDER or self.word is Word.CRITICAL

    @property
    def complaints(self) -> tuple[Check, ...]:
        """Return the checks that are not healthy, worst first."""
        found = [check for check in self.checks if check.word is not Word.HEALTHY]
        return tuple(sorted(found, key=lambda check: (-_rank(check.word), -check.points)))


def judge(measures: Sequence[Measure], limits: Limits) -> Judgement:
    """Return the checks, the score and the word for the measurements."""
    checks = tuple(_check(measure, limits) for measure in measures)
    score = max(0, 100 - sum(check.points for check in checks))
    word = max((check.word for check in checks), key=_rank, default=Word.HEALTHY)
    return Judgement(checks, score, word)


def sentence(judgement: Judgement) -> str:
    """Return the result as text: `health 65/100: the worst; the next`."""
    texts = "; ".join(check.text for check in judgement.complaints)
    return f"health {judgement.score}/100: {texts or 'all is well'}"


def _check(measure: Measure, limits: Limits) -> Check:
    match measure:
        case Database() | QuickCheck() | NoQuickCheck():
            return _of_content(measure)
        case DatabaseSize() | WalSize() | Query():
            return _of_amounts(measure, limits)
        case Disk() | NextBackup() | NewestBackup() | NoBackup():
            return _of_disk(measure, limits)
        case NewestCopy() | NoPlace():
            return _of_places(measure, limits)
        case Postgres() | Replica() | NoReplica() | Page():
            return _of_services(measure, limits)
    assert_never(measure)


def _of_content(measure: Database | QuickCheck | NoQuickCheck) -> Check:
    match measure:
        case Database(path, problem):
            if problem:
                text = f"database {path} {problem}"
                return Check("sqlite", Word.CRITICAL, _UNREACHABLE, text)
            return _healthy("sqlite", f"database {path} can be read")
        case QuickCheck(problems, finished, seconds):
            return _quick_check(problems, finished, seconds)
        case NoQuickCheck(problem):
            text = f"quick_check cannot be made: {problem}"
            return Check("integrity", Word.WARNING, _OTHER, text)
    assert_never(measure)


def _of_amounts(measure: DatabaseSize | WalSize | Query, limits: Limits) -> Check:
    match measure:
        case DatabaseSize(size):
            text = f"the database has {format_size(size)}"
            return _amount("database_size", text, size, limits.database_size, format_size)
        case WalSize(size):
            text = f"its WAL has {format_size(size)}"
            return _amount("wal_size", text, size, limits.wal_size, format_size)
        case Query(seconds):
            text = f"the sample query took {format_duration(seconds)}"
            return _amount("query", text, seconds, limits.query, format_duration)
    assert_never(measure)


def _of_disk(measure: Disk | NextBackup | NewestBackup | NoBackup, limits: Limits) -> Check:
    match measure:
        case Disk(folder, free_bytes):
            text = (
                f"the volume of {folder} has {measure.free_ratio:.1%}"
                f" ({format_size(free_bytes)}) free"
            )
            if measure.free_ratio < limits.disk_free:
                expected = f"{text}, expected {limits.disk_free:.1%}"
                return Check("disk", Word.WARNING, _OTHER, expected)
            return _healthy("disk", text)
        case NextBackup(problem):
            if problem:
                text = f"the next backup cannot be made: {problem}"
                return Check("next_backup", Word.CRITICAL, _OTHER, text)
            return _healthy("next_backup", "the next backup fits")
        case NewestBackup(age_s):
            text = f"the newest verified backup is {format_duration(age_s)} old"
            shown = format_duration
            return _amount("newest_backup", text, age_s, limits.backup_age, shown, Word.CRITICAL)
        case NoBackup(problem):
            text = f"there is no verified backup: {problem}"
            return Check("newest_backup", Word.CRITICAL, _OTHER, text)
    assert_never(measure)


def _of_places(measure: NewestCopy | NoPlace, limits: Limits) -> Check:
    match measure:
        case NewestCopy(place, None):
            text = f"there is no verified copy in {place}"
            return Check("copies", Word.CRITICAL, _OTHER, text)
        case NewestCopy(place, age_s):
            assert age_s is not None  # matched above
            text = f"the newest verified copy in {place} is {format_duration(age_s)} old"
            shown = format_duration
            return _amount("copies", text, age_s, limits.backup_age, shown, Word.CRITICAL)
        case NoPlace(place, problem):
            # It may answer tomorrow; a copy that is too old is what is critical.
            text = f"the copies in {place} are not known: {problem}"
            return Check("copies", Word.DEGRADED, _PLACE, text)
    assert_never(measure)


def _of_services(measure: Postgres | Replica | NoReplica | Page, limits: Limits) -> Check:
    match measure:
        case Postgres(problem, seconds):
            if problem:
                return Check("postgres", Word.DEGRADED, _POSTGRES, f"PostgreSQL {problem}")
            text = f"PostgreSQL answered in {format_duration(seconds)}"
            return _amount("postgres", text, seconds, limits.postgres, format_duration)
        case Replica(lag_s):
            text = f"the replica is {format_duration(lag_s)} old"
            limit = limits.replication_lag
            return _amount("replication", text, lag_s, limit, format_duration, Word.DEGRADED)
        case NoReplica(problem):
            return Check("replication", Word.DEGRADED, _OTHER, f"replication {problem}")
        case Page(name, problem, seconds):
            if problem:
                return Check("http", Word.DEGRADED, _OTHER, f"{name} {problem}")
            return _healthy("http", f"{name} answered in {format_duration(seconds)}")
    assert_never(measure)


def _quick_check(problems: Sequence[str], finished: bool, seconds: float) -> Check:
    took = format_duration(seconds)
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        text = f"quick_check finds damage: {'; '.join(problems[:_SHOWN])}{more}"
        return Check("integrity", Word.CRITICAL, _DAMAGED, text)
    if not finished:
        return _healthy("integrity", f"quick_check found nothing in {took} and was ended there")
    return _healthy("integrity", f"quick_check found nothing in {took}")


def _amount(
    name: str,
    text: str,
    value: float,
    limit: float,
    shown: Callable[[float], str],
    beyond: Word = Word.WARNING,
) -> Check:
    """Return a healthy check up to the limit, and one rated `beyond` above it."""
    if value > limit:
        return Check(name, beyond, _OTHER, f"{text}, expected at most {shown(limit)}")
    return _healthy(name, text)


def _healthy(name: str, text: str) -> Check:
    return Check(name, Word.HEALTHY, 0, text)


def _rank(word: Word) -> int:
    return tuple(Word).index(word)
