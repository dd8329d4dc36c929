"""The output of the verbs on a terminal of 60 columns."""

import os
import re
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.terminal import at_terminal, plain
from tests.waiting import until

JOBS = """
jobs:
  a-job-with-quite-a-long-name:
    description: "[red]not markup[/red]"
    command: "exit 3"
    cron: "0 4 29 2 *"
  hello: {command: [/bin/echo, hi]}
  packer: {worker: "packer:work"}
  painter: {command: ["/usr/bin/printf", '\\033[31mred\\033[0m \\033[2J\\033]0;title\\007 end\\n']}
"""
# It ends when the test opens the other end of the pipe.
PACKER = """
def work(params, report):
    report.progress(120e6, 380e6, "bytes")
    open("pipe").close()
"""
WIDTH = 60


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "packer.py").write_text(PACKER)
        os.mkfifo(sandbox.root / "pipe")
        with supervised(sandbox):
            sandbox.environ |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
            sandbox.ask("run", "a-job-with-quite-a-long-name", "--wait")
            yield sandbox


@pytest.mark.parametrize(
    "verb", ["status", "jobs", "history", "incidents", "next"], ids=lambda verb: verb
)
def test_a_table_is_folded_to_the_width_of_the_terminal(sandbox: Sandbox, verb: str) -> None:
    status, said = at_terminal(sandbox, verb)

    table = plain(said).split("\r\n\r\n")[-1]
    assert status == 0
    assert "\x1b[" in said
    assert max(len(line.rstrip()) for line in table.splitlines()) <= WIDTH


def test_the_coming_days_fit_a_narrow_terminal(sandbox: Sandbox) -> None:
    words = ("--from", "2028-02-28", "--fail", "a-job-with-quite-a-long-name=1")
    status, said = at_terminal(sandbox, "simulate", *words)

    _, jobs, losses, _ = plain(said).split("\r\n\r\n")
    assert status == 0
    assert ["a-job-with-quite-a-long-name", "1", "0", "1"] in [
        row.split()[:4] for row in jobs.splitlines()
    ]
    assert "exit status 1" in losses
    assert max(len(line.rstrip()) for line in f"{jobs}\n{losses}".splitlines()) <= WIDTH


def test_a_terminal_is_sent_the_colours_of_a_log_and_no_other_command(sandbox: Sandbox) -> None:
    sandbox.says("run", "painter", "--wait")

    _, shown = at_terminal(sandbox, "logs", "painter")
    _, raw = at_terminal(sandbox, "logs", "painter", "--raw")

    assert shown == "\x1b[31mred\x1b[0m  end\r\n"
    assert raw == "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07 end\r\n"
    assert sandbox.says("logs", "painter") == raw.replace("\r\n", "\n")


def test_no_color_is_obeyed(sandbox: Sandbox) -> None:
    sandbox.environ["NO_COLOR"] = "1"

    _, said = at_terminal(sandbox, "status")

    del sandbox.environ["NO_COLOR"]
    assert "\x1b[3" not in said
    assert "failed" in said


def test_waiting_shows_a_bar_and_ends_with_the_account(sandbox: Sandbox) -> None:
    status, said = at_terminal(sandbox, "run", "hello", "--wait")

    assert status == 0
    assert "━" in said
    assert plain(said).splitlines()[-1].split()[1:3] == ["hello", "success"]


def test_progress_in_bytes_is_reported_as_sizes_with_a_rate(sandbox: Sandbox) -> None:
    waiting = sandbox.begin("run", "packer", "--wait")
    reported = re.compile(r"120\.0 MB of 380\.0 MB \([0-9.]+ [kMGTP]B/s\)")

    until(lambda: reported.search(sandbox.ask("status", NO_COLOR="1", COLUMNS="200").stdout))
    (sandbox.root / "pipe").write_text("")

    assert waiting.wait(10) == 0


def test_a_bar_moves_while_its_run_goes_on(sandbox: Sandbox) -> None:
    ended = []

    def reads(said: bytes) -> None:
        if b"120.0 MB of 380.0 MB" in said and not ended:
            ended.append((sandbox.root / "pipe").write_text(""))

    status, said = at_terminal(sandbox, "run", "packer", "--wait", reads=reads)

    assert (status, len(ended)) == (0, 1), said


def test_all_jobs_are_run_only_after_a_yes(sandbox: Sandbox) -> None:
    refused = at_terminal(sandbox, "run", "--all", "--only", "hello", types="n\n")
    granted = at_terminal(sandbox, "run", "--all", "--only", "hello", types="y\n")

    assert (refused[0], "nothing is run" in refused[1]) == (1, True)
    assert (granted[0], "1 run opened" in granted[1]) == (0, True)
