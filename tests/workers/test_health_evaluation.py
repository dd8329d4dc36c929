"""The table of health: the score of each measurement, and when a run fails."""

from pathlib import Path

import pytest

from workers.health import Limits, judge
from workers.health.evaluation import sentence
from workers.health.measurements import (
    Database,
    DatabaseSize,
    Disk,
    NewestBackup,
    NextBackup,
    NoBackup,
    NoQuickCheck,
    NoReplica,
    Page,
    Postgres,
    Query,
    QuickCheck,
    Replica,
    WalSize,
)
from workers.params import Duration

PATH = Path("/data/a.db")
LIMITS = Limits()
DAY = 86400.0
MEASURES = [
    ("readable", Database(PATH, ""), "healthy", 0),
    ("unreachable", Database(PATH, "does not exist"), "critical", 50),
    ("sound", QuickCheck((), True, 0.1), "healthy", 0),
    ("not finished", QuickCheck((), False, 10.0), "healthy", 0),
    ("damaged", QuickCheck(("Page 3: bad",), True, 0.1), "critical", 30),
    ("damaged, not finished", QuickCheck(("Page 3: bad",), False, 9.0), "critical", 30),
    ("not to be made", NoQuickCheck("no such collation sequence: x"), "warning", 5),
    ("1 GB", DatabaseSize(10**9), "healthy", 0),
    ("over 1 GB", DatabaseSize(10**9 + 1), "warning", 5),
    ("WAL of 100 MB", WalSize(10**8), "healthy", 0),
    ("WAL over 100 MB", WalSize(10**8 + 1), "warning", 5),
    ("quick", Query(1.0), "healthy", 0),
    ("slow", Query(1.5), "warning", 5),
    ("disk at 90 %", Disk(PATH.parent, 10, 90), "healthy", 0),
    ("disk at 95 %", Disk(PATH.parent, 5, 95), "warning", 5),
    ("disk without a size", Disk(PATH.parent, 0, 0), "healthy", 0),
    ("room", NextBackup(""), "healthy", 0),
    ("no room", NextBackup("the volume of /b has 1 MB free"), "critical", 5),
    ("backup of two days", NewestBackup(2 * DAY), "healthy", 0),
    ("older backup", NewestBackup(2 * DAY + 1), "critical", 5),
    ("no backup", NoBackup("none of a in /b"), "critical", 5),
    ("answers", Postgres("", 0.1), "healthy", 0),
    ("answers slowly", Postgres("", 1.5), "warning", 5),
    ("silent", Postgres("does not answer: refused", 0.0), "degraded", 10),
    ("replicated", Replica(2 * DAY), "healthy", 0),
    ("lagging", Replica(2 * DAY + 1), "degraded", 5),
    ("never replicated", NoReplica("has never committed"), "degraded", 5),
    ("page", Page("http://a/", "", 0.1), "healthy", 0),
    ("no page", Page("http://a/", "answers 503", 0.1), "degraded", 5),
]


@pytest.mark.parametrize(
    ("measure", "word", "points"), [pytest.param(*row, id=name) for name, *row in MEASURES]
)
def test_a_measure_has_its_word_and_its_points(measure, word, points):
    judged = judge([measure], LIMITS)

    (check,) = judged.checks
    assert (check.word, check.points) == (word, points)
    assert (judged.word, judged.score) == (word, 100 - points)


FAILING = [
    ("nothing measured", [], False, 100),
    ("critical though 95", [NoBackup("none")], True, 95),
    ("70 and not critical", [Postgres("refused", 0.0)] * 3, False, 70),
    ("65 and not critical", [Postgres("refused", 0.0)] * 3 + [WalSize(10**9)], True, 65),
    ("never below 0", [Database(PATH, "gone")] * 3, True, 0),
]


@pytest.mark.parametrize(
    ("measures", "fails", "score"), [pytest.param(*row, id=name) for name, *row in FAILING]
)
def test_a_run_fails_under_seventy_or_on_a_critical_check(measures, fails, score):
    judged = judge(measures, LIMITS)

    assert (judged.fails, judged.score) == (fails, score)


def test_the_worst_comes_first_in_the_sentence():
    judged = judge(
        [WalSize(2 * 10**8), Postgres("is away", 0.0), Database(PATH, "is locked")], LIMITS
    )

    assert sentence(judged) == (
        "health 35/100: database /data/a.db is locked; PostgreSQL is away;"
        " its WAL has 200.0 MB, expected at most 100.0 MB"
    )


def test_the_limits_are_the_jobs_own():
    judged = judge([NewestBackup(3 * DAY)], Limits(backup_age=Duration(3 * DAY)))

    assert judged.word == "healthy"
