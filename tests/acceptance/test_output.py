"""Endless output of a job, and a blocked reader of our own log: neither delays a tick."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.containment import run_log
from tests.acceptance import raw_client
from tests.acceptance.daemon import LIMIT_S, Sandbox, supervised
from tests.acceptance.find_processes import children, pss_bytes
from tests.waiting import until

MIB = 1 << 20
MOST_MEMORY = 64 * MIB
PRINT = r"""
import os, sys
for _ in range(int(sys.argv[1])):
    os.write(1, b"x" * 1048575 + b"\n")
"""
SPEAKER = """
def speaker(params, report):
    for number in range(20_000):
        report.log(f"line {number}")
def rambler(params, report):
    for number in range(200):
        report.log("x" * 60_000)
"""
JOBS = f"""
max_concurrent: 8
jobs:
  small: {{command: [{sys.executable}, -S, print.py, "64"]}}
  large: {{command: [{sys.executable}, -S, print.py, "1024"], timeout: 2m}}
  other: {{command: ["true"]}}
  speaker: {{worker: "own:speaker"}}
  rambler: {{worker: "own:rambler", overlap: queue}}
"""


def ours(supervisor: int) -> list[int]:
    """Return the supervisor, its fork server and the keepers."""
    fork_servers = children(supervisor)
    return [supervisor, *fork_servers, *(pid for each in fork_servers for pid in children(each))]


def print_endlessly(sandbox: Sandbox, job: str, printed: int) -> None:
    """Let one run print endlessly while others start; bound memory, delays and log size."""
    supervisor = raw_client.status(sandbox)["pid"]
    sandbox.says("run", "other", "--wait")
    before = pss_bytes(*ours(supervisor))
    most, delays_s = 0, []
    (number,) = sandbox.json("run", job)["runs"]

    while raw_client.run(sandbox, number)["state"] == "running":
        most = max(most, pss_bytes(*ours(supervisor)))
        other = raw_client.run(sandbox, sandbox.json("run", "other")["runs"][0])
        until(lambda other=other: raw_client.run(sandbox, other["id"])["state"] == "success")
        delays_s.append(raw_client.run(sandbox, other["id"])["duration_seconds"])

    assert raw_client.run(sandbox, number)["state"] == "success"
    assert most - before <= MOST_MEMORY
    assert delays_s
    assert max(delays_s) < 1
    limit = run_log.HEAD_BYTES + 2 * run_log.SEGMENT_BYTES + 1024
    until(lambda: run_log.HEAD_BYTES < raw_client.run(sandbox, number)["log_bytes"] <= limit)
    assert run_log.size(sandbox.state / "runs", number) <= limit
    (dropped,) = re.findall(r"--- (\d+) bytes dropped ---", sandbox.says("logs", str(number)))
    assert int(dropped) >= printed - limit


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "print.py").write_text(PRINT)
        Path(sandbox.root, "own.py").write_text(SPEAKER)
        with supervised(sandbox):
            yield sandbox


def test_64_megabytes_of_output_cost_no_memory_and_delay_no_job(sandbox: Sandbox) -> None:
    print_endlessly(sandbox, "small", 64 * MIB)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_gigabyte_of_output_costs_no_memory_and_delays_no_job(sandbox: Sandbox) -> None:
    print_endlessly(sandbox, "large", 1024 * MIB)


# --- our own log ------------------------------------------------------------------------


@pytest.fixture
def unread() -> Iterator[Sandbox]:
    """Start a service whose standard error is a pipe that nothing reads."""
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "own.py").write_text(SPEAKER)
        mine, theirs = os.pipe()
        process = sandbox.begin("start", "--log-level", "debug", stdout=theirs, stderr=theirs)
        os.close(theirs)
        until(lambda: raw_client.is_healthy(sandbox))
        yield sandbox
        sandbox.says("stop")
        assert process.wait(LIMIT_S) == 0
        os.close(mine)


def test_lines_that_nobody_reads_are_dropped_and_counted_and_everything_goes_on(
    unread: Sandbox,
) -> None:
    unread.says("run", "speaker", "--wait")

    until(lambda: unread.json("status")["log_lines_dropped"] > 5_000)
    assert unread.json("status")["log_lines_dropped"] < 20_000
    unread.says("run", "other", "--wait")
    unread.says("healthcheck")


def test_long_lines_that_nobody_reads_cost_little_memory(unread: Sandbox) -> None:
    supervisor = unread.json("status")["pid"]
    before = pss_bytes(supervisor)

    for _ in range(10):  # 12 MB each
        unread.says("run", "rambler", "--wait")

    assert pss_bytes(supervisor) - before <= MOST_MEMORY / 2
    assert unread.json("status")["log_lines_dropped"] > 0
