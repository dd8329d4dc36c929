"""The log of a living service: a line a transition, of a level, and no secret in it."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.daemon import House, living, supervised
from tests.waiting import until

SECRET = "hunter2secret"
JOBS = f"""
jobs:
  boom:
    worker: "own:boom"
    retries: 1
    retry_delay: 0s
    with: {{password: {SECRET}}}
"""
OWN = f"""
def boom(params, report):
    report.log("it says {SECRET}")
    raise RuntimeError("cause {SECRET}")
"""
BAD = JOBS + f"    timeout: {SECRET}\n"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One run that failed twice, and a text that was refused."""
    with House(JOBS) as house:
        (house.root / "own.py").write_text(OWN)
        with supervised(house):
            assert house.ask("run", "boom", "--wait").returncode == 1
            house.config.write_text(BAD)
            assert house.ask("reload").returncode == 2
            yield house


def lines(house: House, about: str = "") -> list[dict[str, Any]]:
    """The log, or those lines of it that are about a job's run."""
    text = (house.root / "log").read_text()
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [
        line for line in found if not about or (line.get("job"), "run" in line) == (about, True)
    ]


def test_each_transition_of_a_run_is_one_line_with_job_run_and_attempt(house: House) -> None:
    said = [
        (line["run"], line["attempt"], line["text"].split(":")[0]) for line in lines(house, "boom")
    ]

    assert said == [
        (1, 1, "starts"),
        (1, 1, "it says ***"),
        (1, 1, "retrying in 0s"),
        (1, 2, "starts"),
        (1, 2, "it says ***"),
        (1, 2, "failed"),
    ]


def test_no_secret_is_in_the_log_the_answers_or_the_ledger(house: House) -> None:
    said = [house.ask(*words) for words in (("status",), ("incidents",), ("history",))]
    said += [house.ask("logs", "boom"), house.ask("reload"), house.ask("explain", "boom")]
    kept = (house.state / "ledger.sqlite3").read_bytes()
    kept += (house.state / "ledger.sqlite3-wal").read_bytes()

    everything = "".join(each.stdout + each.stderr for each in said)
    everything += (house.root / "log").read_text()
    assert "***" in everything
    assert SECRET not in everything
    assert SECRET.encode() not in kept


@pytest.mark.parametrize(
    ("environ", "words", "is_said"),
    [
        ("", (), True),
        ("error", (), False),
        ("error", ("--log-level", "info"), True),
        ("debug", ("--log-level", "error"), False),
    ],
    ids=["usual", "environment", "flag over quiet", "flag over loud"],
)
def test_the_level_is_the_flags_then_the_environments(
    environ: str, words: tuple[str, ...], is_said: bool
) -> None:
    with House("jobs: {hello: {command: [/bin/echo, hi]}}") as house:
        house.environ["CRON_LOG_LEVEL"] = environ
        with supervised(house, *words) as process:
            process.send_signal(signal.SIGTERM)
            until(lambda: process.poll() is not None)

        assert ("ready: 1 job, " in (house.root / "log").read_text()) == is_said


def test_text_is_asked_for_by_a_flag() -> None:
    with living("jobs: {hello: {command: [/bin/echo, hi]}}", "--log-format", "text") as house:
        house.ask("run", "hello", "--wait")

        said = (house.root / "log").read_text()

    assert "info    job=hello run=1 attempt=1 success\n" in said
