"""The clock of the tests: each way to read the time of day is moved, none shows the real time."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.clock import A_MOMENT, Clock, Clocked
from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
from tests.acceptance.doc_pages import ROOT, generate_catalogue
from tests.acceptance.ledger_reader import rows
from tests.waiting import until
from tests.webhook import Webhook

# Each as seconds since the epoch; some are cut to the second.
WAYS = (
    "time.time()",
    "time.time_ns() / 1e9",
    "time.clock_gettime(time.CLOCK_REALTIME)",
    "time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9",
    "calendar.timegm(time.gmtime())",
    "time.mktime(time.localtime())",
    "time.mktime(time.strptime(time.ctime()))",
    "time.mktime(time.strptime(time.asctime()))",
    "float(time.strftime('%s'))",
    "datetime.now(UTC).timestamp()",
    "datetime.now().timestamp()",
    "datetime.now(ZoneInfo('America/New_York')).timestamp()",
    "datetime.utcnow().replace(tzinfo=UTC).timestamp()",
    "datetime.today().timestamp()",
    "logging.makeLogRecord({}).created",
    "logging.LogRecord('', 0, '', 0, '', (), None).created",
    "parsedate_to_datetime(formatdate()).timestamp()",
)
ASK = """
import calendar, json, logging, sys, time
from datetime import UTC, date, datetime
from email.utils import formatdate, parsedate_to_datetime
from zoneinfo import ZoneInfo
print(json.dumps([eval(way) for way in json.loads(sys.argv[1])]))
"""
# Two threads, so that one reads while the other does.
ASK_IN_THREADS = """
import threading, time
from datetime import UTC, datetime
seen = set()
def ask():
    asked = 0
    while asked < 100_000 or len(seen) < 2:
        seen.add(datetime.now(UTC).year)
        seen.add(time.gmtime().tm_year)
        asked += 1
threads = [threading.Thread(target=ask) for _ in range(2)]
for each in threads: each.start()
for each in threads: each.join()
print(*sorted(seen))
"""
DAY = timedelta(days=1)
SLOT = datetime(2001, 9, 9, 1, 47, tzinfo=UTC)
FAILING = """
  failing: {command: "exit 3", cron: "* * * * *"}
"""
QUESTIONS = (
    *("/v1/status", "/v1/jobs", "/v1/jobs/failing", "/v1/jobs/failing/next"),
    *("/v1/runs", "/v1/runs/1", "/v1/incidents", "/v1/actions", "/metrics"),
)
ENDED = "SELECT job, trigger FROM runs WHERE ended_at NOT NULL"
OPEN = "SELECT id FROM runs WHERE ended_at IS NULL"


@dataclass(frozen=True, slots=True)
class Answers:
    """The time read in each way, and the test's clock before and after."""

    before: float
    reported: dict[str, float]
    after: float


@pytest.fixture(scope="module")
def answers() -> Answers:
    with Sandbox() as sandbox:
        clock = Clock(sandbox, "2001-09-09 01:46:40")
        before = clock.now.timestamp()
        reported = ask(sandbox, *WAYS)
        return Answers(before, dict(zip(WAYS, reported, strict=True)), clock.now.timestamp())


def ask(sandbox: Sandbox, *ways: str) -> list[float]:
    """Return the values that a Python process started in this sandbox reads."""
    argv = [sys.executable, "-c", ASK, json.dumps(ways)]
    said = subprocess.run(argv, env=sandbox.environ, stdout=subprocess.PIPE, check=True).stdout
    return list(json.loads(said))


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_ask_for_the_time_of_day_is_moved(answers: Answers, way: str) -> None:
    assert int(answers.before) <= answers.reported[way] <= answers.after


def test_the_monotonic_clock_goes_by_the_real_one() -> None:
    with Sandbox() as sandbox:
        Clock(sandbox, "2001-09-09 01:46:40")
        before = time.monotonic()
        reported = ask(sandbox, "time.monotonic()", "time.clock_gettime(time.CLOCK_MONOTONIC)")
        after = time.monotonic()

    assert all(before <= each <= after for each in reported)


def test_threads_that_ask_while_it_is_set_read_before_or_after() -> None:
    with Sandbox() as sandbox:
        clock = Clock(sandbox, "2001-07-01 00:00:00")
        argv = [sys.executable, "-c", ASK_IN_THREADS]
        asking = subprocess.Popen(argv, env=sandbox.environ, stdout=subprocess.PIPE, text=True)
        while asking.poll() is None:
            clock.set("2011-07-01 00:00:00")
            clock.set("2001-07-01 00:00:00")

        assert asking.communicate()[0].split() == ["2001", "2011"]


def test_nothing_that_a_service_writes_or_says_is_of_the_real_day() -> None:
    """Includes the shipped jobs and a failing one with its alert."""
    with Webhook() as hook, Sandbox((ROOT / "jobs.yaml").read_text() + FAILING) as sandbox:
        sandbox.environ["NOTIFICATION_WEBHOOK_URL"] = hook.url
        generate_catalogue(sandbox)
        shutil.move(sandbox.root / "var" / "catalogue", sandbox.root / "made")
        sandbox.environ["CATALOGUE_PATH"] = str(sandbox.root / "made")
        clock = Clock(sandbox, "2001-09-09 01:46:01")
        with supervised(sandbox) as supervisor:
            Clocked(sandbox, clock, supervisor).set(SLOT - A_MOMENT)
            until(lambda: rows(sandbox, ENDED) == [("failing", "schedule")])
            sandbox.says("run", "--all", "--yes")
            until(lambda: rows(sandbox, OPEN) == [], within_s=LIMIT_S)
            until(lambda: hook.calls)
            said = {path: raw_client.text(sandbox, path) for path in QUESTIONS}

        assert [path for path in QUESTIONS if of_today(said[path])] == []
        assert [call.body for call in hook.calls if of_today(call.body)] == []
        assert [path for path in written(sandbox) if of_today(path.read_text("latin-1"))] == []
        assert real_times(said["/metrics"]) == []


def written(sandbox: Sandbox) -> list[Path]:
    """Return the files that a service and its jobs have written."""
    made = sandbox.root / "made"
    return [
        each for each in sandbox.root.rglob("*") if each.is_file() and made not in each.parents
    ]


def of_today(text: str) -> bool:
    """Return whether the text contains the real date, in any time zone."""
    days = (datetime.now(UTC) + n * DAY for n in (-1, 0, 1))
    return any(f"{day:%Y-%m-%d}" in text or f"{day:%Y%m%d}" in text for day in days)


def real_times(metrics: str) -> list[str]:
    """Return the samples that may be the real time, in seconds since the epoch."""
    samples = [each for each in metrics.splitlines() if not each.startswith("#")]
    now, near = time.time(), DAY.total_seconds()
    return [each for each in samples if abs(float(each.split()[-1]) - now) < near]
