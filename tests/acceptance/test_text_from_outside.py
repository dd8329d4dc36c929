"""Text that is not UTF-8 is shown as `\\xe9`, whatever its source, and breaks nothing."""

import os
import subprocess

import pytest

from tests.acceptance.daemon import NIGHTSHIFT, Sandbox, supervised
from tests.waiting import until

JOBS = """
jobs:
  odd: {worker: "odd:run", run_on_startup: true}
  fails: {worker: "odd:fail", run_on_startup: true}
  raises: {worker: "odd:crash", run_on_startup: true}
  leaves:
    command: ["/bin/sh", "-c", 'exec -a x sh -c "sleep 77 \\"$ODD\\" & sleep 0"']
  fine: {worker: "odd:fine"}
"""
WORKERS = """
import os

NAME = os.fsdecode(b"caf\\xe9.csv")

def run(params, report):
    report.log(f"reads {NAME}")
    report.metric(NAME, 1)
    report.progress(1, 2, NAME)
    return {NAME: NAME}

def fail(params, report):
    report.fail(NAME)

def crash(params, report):
    raise OSError(f"no {NAME}")

def fine(params, report):
    return {}
"""
ODD = b"caf\xe9"


@pytest.fixture
def sandbox():
    with Sandbox(JOBS) as made:
        (made.root / "odd.py").write_text(WORKERS)
        made.environ["ODD_TOKEN"] = os.fsdecode(b"s\xe9cret-token")
        made.environ["ODD"] = os.fsdecode(ODD)
        yield made


def test_a_worker_may_say_any_text_by_every_way(sandbox):
    with supervised(sandbox):
        until(lambda: {"success", "failed"} == {run["state"] for run in _runs(sandbox)})
        runs = {run["job"]: run for run in sandbox.json("history")["runs"]}
        sandbox.says("run", "fine", "--wait")

    assert runs["odd"]["state"] == "success"
    assert runs["odd"]["result"] == {r"caf\xe9.csv": r"caf\xe9.csv"}
    assert runs["fails"]["cause"] == r"caf\xe9.csv"
    assert runs["raises"]["cause"] == r"OSError: no caf\xe9.csv"


def test_the_environment_of_a_job_may_hold_any_text(sandbox):
    with supervised(sandbox):
        environment = sandbox.json("show", "fine", "--env")["environment"]
        text = sandbox.says("show", "fine", "--env")

    assert environment["ODD"] == r"caf\xe9"
    assert environment["ODD_TOKEN"] == "***"
    assert r"caf\xe9" in text


def test_a_reason_may_be_any_text(sandbox):
    with supervised(sandbox):
        assert _bytes(sandbox, "pause", "--reason", ODD) == (0, "")
        said = sandbox.says("status")

    assert r"caf\xe9" in said


@pytest.mark.parametrize(
    "words",
    [
        ("run", "fine", "--set", b"name=caf\xe9"),
        ("run", "fine", "--local", "--set", b"name=caf\xe9"),
        ("run", ODD),
        ("logs", ODD),
        ("explain", ODD),
        ("history", ODD),
        ("backups", "restore", b"/tmp/caf\xe9", "--target", "/tmp/no"),
        ("--state", ODD, "status"),
        ("--state", ODD, "start"),
        ("--socket", ODD, "status"),
        ("--socket", ODD, "start"),
        ("--config", b"caf\xe9/jobs.yaml", "start"),
        ("--config", b"caf\xe9/jobs.yaml", "check"),
        ("--config", b"caf\xe9/jobs.yaml", "run", "fine", "--local"),
        ("--config", b"caf\xe9/jobs.yaml", "simulate"),
        (ODD,),
    ],
    ids=repr,
)
def test_what_cannot_be_said_is_one_clear_line(sandbox, words):
    (sandbox.root / os.fsdecode(ODD)).mkdir()
    (sandbox.root / os.fsdecode(ODD) / "jobs.yaml").write_text(JOBS)
    with supervised(sandbox):
        status, said = _bytes(sandbox, *words)

    assert "Traceback" not in said
    assert r"caf\xe9" in said
    assert status in (1, 2)


def test_a_folder_of_copies_may_hold_any_name(sandbox):
    copies = sandbox.root / "copies"
    copies.mkdir()
    (copies / os.fsdecode(b"caf\xe9-2026-02-09T02-00-00Z.sqlite3.db.gz")).write_bytes(b"x")

    for words in (("backups",), ("backups", "--json")):
        status, said = _bytes(sandbox, *words, "--directory", "copies")
        assert (status, said) == (0, "")


def _runs(sandbox: Sandbox) -> list[dict[str, str]]:
    return [run for run in sandbox.json("history")["runs"] if run["job"] != "leaves"]


def _bytes(sandbox: Sandbox, *words: "str | bytes") -> tuple[int, str]:
    """Run a verb whose arguments may be any bytes; return exit status and standard error."""
    done = subprocess.run(
        [*NIGHTSHIFT, *words],
        cwd=sandbox.root,
        env=sandbox.environ,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stderr.decode()
