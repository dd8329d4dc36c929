"""`nightshift explain JOB --at TIME`: why a slot ran, waited, was skipped or missed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.clock import Clock
from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.ledger_reader import outcomes
from tests.waiting import until

JOBS = """
timezone: Europe/Berlin
defaults: {kill_grace: 300ms}
jobs:
  plain: {command: [echo, hi], cron: "* * * * *"}
  failing: {command: exit 2, cron: "* * * * *"}
  dependent: {command: ["true"], cron: "* * * * *", deps: [failing]}
  long: {command: ["sleep", "60"], cron: "* * * * *"}
  first: {command: 'sleep 1.2', cron: "* * * * *", exclusive: true}
  second: {command: ["true"], cron: "* * * * *", exclusive: true}
  paused: {command: ["true"], cron: "* * * * *"}
  disabled: {command: ["true"], cron: "* * * * *", enabled: false}
  no-catch-up: {command: ["true"], cron: "* * * * *", catch_up: none}
  hourly: {command: ["true"], cron: "0 * * * *"}
  by-request: {command: ["true"]}
"""
THREE = datetime(2026, 2, 9, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = THREE + timedelta(days=1, minutes=30)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Make a ledger with two slots (03:00 and 03:01 in Berlin) and an absence of 24.5 hours."""
    with Sandbox(JOBS) as sandbox:
        clock = Clock(sandbox, "2026-02-09 01:59:01")
        with supervised(sandbox) as supervisor:
            sandbox.says("pause", "paused", "--reason", "the moon is full")
            go_to(clock, supervisor, THREE)
            until(lambda: outcomes(sandbox, "second").get(THREE) == "success schedule")
            go_to(clock, supervisor, THREE + MINUTE)
            until(lambda: THREE + MINUTE in outcomes(sandbox, "long"))
            until(lambda: outcomes(sandbox, "second").get(THREE + MINUTE) == "success schedule")
            sandbox.says("stop")
        clock.set(LATER.strftime("%Y-%m-%d %H:%M:05"))
        with supervised(sandbox):
            yield sandbox


def go_to(clock: Clock, supervisor: "subprocess.Popen[str]", slot: datetime) -> None:
    clock.set((slot - timedelta(milliseconds=200)).strftime("%Y-%m-%d %H:%M:%S.%f"))
    supervisor.send_signal(signal.SIGHUP)


@pytest.mark.parametrize(
    ("job", "at", "words"),
    [
        ("plain", "03:00", ["was due by its calendar at 2026-02-09 03:00:00 CET", "succeeded"]),
        ("failing", "03:00", ["Attempt 1 began", "It failed", "exit status 2"]),
        ("second", "03:00", ["It waited ", "before it began"]),
        ("dependent", "03:00", ["It was skipped", "dependency failing failed"]),
        ("long", "03:01", ["It was skipped", "is still running"]),
        (
            "paused",
            "03:00",
            ["It was skipped", f"paused by uid {os.getuid()}", "the moon is full"],
        ),
        ("disabled", "03:00", ["It was skipped", "enabled: false"]),
        ("plain", "2026-02-10 03:29", ["It was missed", "no supervisor ran after", "covered by"]),
        ("plain", "2026-02-09 12:00", ["slots from", "that were missed", "no supervisor ran"]),
        ("hourly", "2026-02-10 03:00", ["no supervisor could run it, and was caught up"]),
        ("plain", "03:00:30", ["is no slot of plain", "before that is 2026-02-09 03:00:00 CET"]),
        ("by-request", "03:00", ["is no slot of by-request", "it runs by request only"]),
    ],
)
def test_explain_gives_the_cause_for_every_slot(
    sandbox: Sandbox, job: str, at: str, words: list[str]
) -> None:
    at = at if at.startswith("2026") else f"2026-02-09 {at}"

    said = sandbox.says("explain", job, "--at", at)

    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("paused", f"It is paused by uid {os.getuid()}: the moon is full."),
        ("disabled", "disabled is disabled (enabled: false): no slot of it runs."),
        ("by-request", "by-request has no cron: it runs by request only."),
        ("hourly", "Its next slot is "),
    ],
)
def test_a_job_says_what_comes_or_why_nothing_does(sandbox: Sandbox, job: str, words: str) -> None:
    assert words in sandbox.says("explain", job)


def test_a_slot_to_come_is_not_one_of_another_calendar(sandbox: Sandbox) -> None:
    said = sandbox.says("explain", "hourly", "--at", "2026-02-12 03:00")

    assert "has not come yet" in said
    assert "hourly has a slot then" in said


def test_each_fact_is_one_sentence(sandbox: Sandbox) -> None:
    facts = sandbox.json("explain", "second", "--at", "2026-02-09 03:00")["facts"]

    assert len(facts) == 4
    for fact in facts:
        assert fact.endswith(".")
        assert "\n" not in fact
