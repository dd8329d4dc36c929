"""The supervisor as process 1 of a pid namespace: it reaps every orphan there."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import LIMIT_S, NIGHTSHIFT, Sandbox
from tests.acceptance.find_processes import children, zombies_of
from tests.waiting import until

INTO = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def missing_namespace() -> str:
    """Return why no pid namespace is available; "": one is."""
    if shutil.which("unshare") is None:
        return "there is no unshare(1)"
    done = subprocess.run([*INTO, "true"], capture_output=True, text=True)
    return done.stderr.strip()


pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        bool(missing_namespace()), reason=f"no pid namespace here: {missing_namespace()}"
    ),
]

# Two generations of a process that is no child of any run, as `docker exec` starts it.
INTRUDER = "for i in $(seq 50); do (setsid sh -c 'sleep 0.1 & sleep 0.05 &' &); done"
WORKERS = """
import subprocess, sys
def asker(params, report):
    codes = [subprocess.run([sys.executable, "-S", "-c", f"raise SystemExit({n})"]).returncode
             for n in range(20)]
    return {"codes": " ".join(map(str, codes))}
"""
JOBS = """
max_concurrent: 8
jobs:
  orphans: {command: "for i in $(seq 50); do (setsid sh -c 'sleep 60 &' &); done"}
  asker: {worker: "own:asker"}
  seven: {command: exit 7}
"""


class Init:
    """A supervisor that is process 1, observed from outside."""

    def __init__(self, sandbox: Sandbox, pid: int) -> None:
        self.sandbox = sandbox
        self.pid = pid

    def inside(self, shell: str) -> None:
        """Run a line in the namespace, as a process that belongs to no run."""
        argv = ["nsenter", "--pid", "--mount", "--target", str(self.pid), "sh", "-c", shell]
        subprocess.run(argv, check=True, timeout=LIMIT_S)

    def ended(self, job: str) -> dict[str, Any]:
        return dict(json.loads(self.sandbox.ask("run", job, "--wait", "--json").stdout))


@pytest.fixture
def init() -> Iterator[Init]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "own.py").write_text(WORKERS)
        with open(sandbox.root / "log", "w") as log:
            outer = subprocess.Popen(
                [*INTO, *NIGHTSHIFT, "start"],
                cwd=sandbox.root,
                env=sandbox.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            until(lambda: raw_client.is_healthy(sandbox))
            (pid,) = children(outer.pid)
            yield Init(sandbox, pid)
            assert sandbox.says("stop") == "stopped\n"
            assert outer.wait(LIMIT_S) == 0


def test_it_is_process_1(init: Init) -> None:
    assert raw_client.status(init.sandbox)["pid"] == 1


def test_orphans_by_the_dozen_leave_no_zombies(init: Init) -> None:
    assert init.ended("orphans")["state"] == "success"
    init.inside(INTRUDER)

    until(lambda: len(children(init.pid)) == 1)  # the fork server
    until(lambda: zombies_of(init.pid) == [])


def test_reaping_orphans_never_takes_the_status_of_a_child(init: Init) -> None:
    for _ in range(10):
        init.inside("(sleep 0.01 &); (sleep 0.02 &)")
        run = init.ended("seven")

        assert (run["state"], run["cause"]) == ("failed", "exit status 7")


def test_a_worker_that_uses_subprocess_gets_true_return_codes(init: Init) -> None:
    run = init.ended("asker")

    assert run["state"] == "success"
    assert run["result"]["codes"] == " ".join(str(number) for number in range(20))
