"""Processes that a module starts at import do not outlive the command that imported it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until

# A module that starts a daemon at each import: in its own session, forked twice, and with
# an environment that does not name its origin.
DAEMON = """
import os, subprocess, sys
def written():
    return open("pids").read() if os.path.exists("pids") else ""
before = written()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        environment = {} if "bare" in sys.modules[__name__].__file__ else None
        daemon = subprocess.Popen(["sleep", "600"], env=environment)
        with open("pids", "a") as file:
            print(daemon.pid, os.getpid(), file=file)
        daemon.wait()
    os._exit(0)
os.wait()
while written() == before or not written().endswith("\\n"):
    pass
def work(params, report):
    return {}
"""


@pytest.fixture(params=["plain", "bare"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    name = f"{request.param}_daemon"
    jobs = f"jobs:\n  a: {{worker: '{name}:work'}}\n"
    jobs += f"  b: {{worker: '{name}:work', python: {sys.executable}}}\n"
    with Sandbox(jobs) as sandbox:
        Path(sandbox.root, f"{name}.py").write_text(DAEMON)
        yield sandbox


def daemons(sandbox: Sandbox) -> list[int]:
    return [int(pid) for pid in Path(sandbox.root, "pids").read_text().split()]


def living(sandbox: Sandbox) -> list[int]:
    return [pid for pid in daemons(sandbox) if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("verb", ["check", "doctor"])
def test_a_command_leaves_no_daemon_of_a_module(sandbox: Sandbox, verb: str) -> None:
    sandbox.ask(verb)

    assert daemons(sandbox)
    assert living(sandbox) == []


def test_a_start_and_a_reload_leave_no_daemon_of_a_module(sandbox: Sandbox) -> None:
    with supervised(sandbox):
        at_the_start = daemons(sandbox)
        assert living(sandbox) == []

        sandbox.says("reload")

        until(lambda: len(daemons(sandbox)) > len(at_the_start))
        until(lambda: living(sandbox) == [])
        assert os.path.exists(sandbox.socket)
