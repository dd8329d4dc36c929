"""The cluster quickstart: three hosts, one of them killed; and the faults its report detects."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cluster_account import account, problems, read_lines
from tests.fix_postgres import needs_account

TRIAL = Path(__file__).parents[2] / "scripts" / "cluster_trial.py"
SLOT = "2026-03-01T02:00:00Z"


def run(number, job="long", state="success", attempt=1, slot=SLOT, cause="on a"):
    return {
        "id": number,
        "job": job,
        "state": state,
        "attempt": attempt,
        "slot": slot,
        "due": SLOT,
        "trigger": "schedule" if slot else "manual",
        "cause": cause,
    }


def lines(*reported):
    return read_lines("\n".join(reported))


BEGIN, END = "begin 10.0 long 1.1 a 7", "end 16.0 long 1.1 a 7"


def test_a_run_with_its_lines_is_no_problem():
    assert problems([run(1)], lines(BEGIN, END)) == []


def test_a_run_that_went_on_elsewhere_is_no_problem_and_is_reported():
    reported = lines(BEGIN, "begin 20.0 long 1.2 b 9", "end 26.0 long 1.2 b 9")
    runs = [run(1, attempt=2)]

    assert problems(runs, reported) == []
    assert "Taken over from a: run 1 (long)." in account(runs, reported, "a")
    assert "Taken over from b: none." in account(runs, reported, "b")


@pytest.mark.parametrize(
    ("runs", "reported", "expected"),
    [
        ([run(1), run(2)], [BEGIN, END], "long has 2 runs for its slot"),
        ([run(1, slot=None)], [BEGIN, END], "no slot was due"),
        ([run(1, state="running")], [BEGIN], "is still running"),
        ([run(1)], [BEGIN], "run 1 is called a success and did not end"),
        ([run(1)], [BEGIN, BEGIN, END], "attempt 1 of run 1 has 2 times the line begin"),
        ([run(1)], [BEGIN, END, "begin 30.0 long 2.1 a 8"], "run 2 was executed and is unknown"),
        (
            [run(1, attempt=2)],
            [BEGIN, "begin 15.0 long 1.2 b 9", END, "end 17.0 long 1.2 b 9"],
            "attempts 1 and 2 of run 1 overlap",
        ),
        (
            [run(1, attempt=2)],
            [BEGIN, "begin 20.0 long 1.2 b 7", "end 21.0 long 1.2 b 7"],
            "the fence of run 1 did not grow: 7, 7",
        ),
        (
            [run(1, "careful", attempt=2)],
            [BEGIN, "begin 20.0 careful 1.2 b 9", "end 21.0 careful 1.2 b 9"],
            "run 1 of careful began 2 times",
        ),
    ],
)
def test_what_was_doubled_lost_or_left_open_is_found(runs, reported, expected):
    assert expected in "\n".join(problems(runs, lines(*reported)))


def test_a_slot_that_only_other_jobs_have_is_lost():
    runs = [run(1), run(2, "short", slot=SLOT), run(3, "short", slot="2026-03-01T02:01:00Z")]

    assert any("long has 0 runs for its slot 2026-03-01T02:01" in each
               for each in problems(runs, lines(BEGIN, END)))  # fmt: skip


@needs_account
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_loses_a_host_and_nothing_else():
    reported = subprocess.run([sys.executable, TRIAL], capture_output=True, text=True)

    assert reported.returncode == 0, reported.stdout + reported.stderr
    assert re.search(r"host [abc] is killed", reported.stdout)
    assert re.search(r"\d+ short-1 +\S+ +schedule +[abc]", reported.stdout)
    assert re.search(r"\d+ asked +\S+ +manual +[abc]", reported.stdout)
    assert "Every slot has one outcome, and nothing ran twice." in reported.stdout
