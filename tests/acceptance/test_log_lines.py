"""The log of a running service: one line per transition, the right level, and no secret."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.daemon import Sandbox, living, supervised
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
def sandbox() -> Iterator[Sandbox]:
    """Run a job that fails twice, and reload a text that is refused."""
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "own.py").write_text(OWN)
        with supervised(sandbox):
            assert sandbox.ask("run", "boom", "--wait").returncode == 1
            sandbox.config.write_text(BAD)
            assert sandbox.ask("reload").returncode == 2
            until(lambda: "refused" in (sandbox.root / "log").read_text())
            yield sandbox


def lines(sandbox: Sandbox, about: str = "") -> list[dict[str, Any]]:
    """Return the log lines, or only those about a job's run."""
    text = (sandbox.root / "log").read_text()
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return [
        line for line in found if not about or (line.get("job"), "run" in line) == (about, True)
    ]


def test_each_transition_of_a_run_is_one_line_with_job_run_and_attempt(sandbox: Sandbox) -> None:
    said = [
        (line["run"], line["attempt"], line["text"].split(":")[0])
        for line in lines(sandbox, "boom")
    ]

    assert said == [
        (1, 1, "starts"),
        (1, 1, "it says ***"),
        (1, 1, "retrying in 0s"),
        (1, 2, "starts"),
        (1, 2, "it says ***"),
        (1, 2, "failed"),
    ]


def test_no_secret_is_in_the_log_the_answers_or_the_ledger(sandbox: Sandbox) -> None:
    said = [sandbox.ask(*words) for words in (("status",), ("incidents",), ("history",))]
    said += [sandbox.ask("logs", "boom"), sandbox.ask("reload"), sandbox.ask("explain", "boom")]
    kept = (sandbox.state / "ledger.sqlite3").read_bytes()
    kept += (sandbox.state / "ledger.sqlite3-wal").read_bytes()

    everything = "".join(each.stdout + each.stderr for each in said)
    everything += (sandbox.root / "log").read_text()
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
    with Sandbox("jobs: {hello: {command: [/bin/echo, hi]}}") as sandbox:
        sandbox.environ["CRON_LOG_LEVEL"] = environ
        with supervised(sandbox, *words) as process:
            process.send_signal(signal.SIGTERM)
            until(lambda: process.poll() is not None)

        assert ("ready: 1 job, " in (sandbox.root / "log").read_text()) == is_said


def test_text_is_asked_for_by_a_flag() -> None:
    with living("jobs: {hello: {command: [/bin/echo, hi]}}", "--log-format", "text") as sandbox:
        sandbox.ask("run", "hello", "--wait")

        log = sandbox.root / "log"
        until(lambda: "info    job=hello run=1 attempt=1 success\n" in log.read_text())
