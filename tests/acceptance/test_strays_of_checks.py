"""What a module starts when it is imported does not outlive the command that imported it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import House, supervised
from tests.waiting import until

# A module that leaves a daemon at each import: in a session of its own, twice forked, and
# with an environment that says nothing of where it comes from.
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
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    name = f"{request.param}_daemon"
    jobs = f"jobs:\n  a: {{worker: '{name}:work'}}\n"
    jobs += f"  b: {{worker: '{name}:work', python: {sys.executable}}}\n"
    with House(jobs) as house:
        Path(house.root, f"{name}.py").write_text(DAEMON)
        yield house


def daemons(house: House) -> list[int]:
    return [int(pid) for pid in Path(house.root, "pids").read_text().split()]


def living(house: House) -> list[int]:
    return [pid for pid in daemons(house) if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("verb", ["check", "doctor"])
def test_a_command_leaves_no_daemon_of_a_module(house: House, verb: str) -> None:
    house.ask(verb)

    assert daemons(house)
    assert living(house) == []


def test_a_start_and_a_reload_leave_no_daemon_of_a_module(house: House) -> None:
    with supervised(house):
        at_the_start = daemons(house)
        assert living(house) == []

        house.says("reload")

        until(lambda: len(daemons(house)) > len(at_the_start))
        until(lambda: living(house) == [])
        assert os.path.exists(house.socket)
