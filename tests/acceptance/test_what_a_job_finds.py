"""What jobs.yaml says about a job's surroundings takes effect; and each ending has its words."""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import line
from tests.acceptance.daemon import House, supervised
from tests.waiting import until

TELL = """
import json, os, resource, signal, sys
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ), "nice": os.nice(0),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "space": resource.getrlimit(resource.RLIMIT_AS)[0],
    "stdin": os.readlink("/proc/self/fd/0"), "umask": os.umask(0),
    "ignored": [int(s) for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN],
}))
"""
WORKERS = """
import os, sys
def glutton(params, report):
    return {"bytes": len(bytearray(1 << 40))}
def tell(params, report):
    return {"python": sys.executable, "here": os.getcwd()}
"""
JOBS = f"""
jobs:
  plain: {{command: [{sys.executable}, -S, tell.py]}}
  shaped:
    command: [{sys.executable}, -S, ../tell.py, "two words"]
    cwd: folder
    env: {{MOON: full}}
    inherit_env: false
    nice: 5
    limits: {{open_files: 77, address_space: 1GiB}}
  seven: {{command: exit 7, success_exit_status: [0, 7]}}
  eight: {{command: exit 8, success_exit_status: [0, 7]}}
  absent: {{command: [/no/such/program]}}
  absent-name: {{command: [no-such-program]}}
  absent-in-shell: {{command: no-such-program}}
  not-executable: {{command: [./tell.py]}}
  no-folder: {{command: ["true"], cwd: nowhere}}
  broken-text: {{command: [./broken]}}
  killed: {{command: kill -KILL $$}}
  patient: {{command: [sleep, "60"]}}
  glutton: {{worker: "house:glutton", limits: {{address_space: 2GiB}}}}
  tell: {{worker: "house:tell"}}
  elsewhere: {{worker: "house:tell", python: other/bin/python}}
  gone: {{worker: "house:tell", python: gone/python}}
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House(JOBS) as house:
        (house.root / "folder").mkdir()
        (house.root / "tell.py").write_text(TELL)
        (house.root / "house.py").write_text(WORKERS)
        (house.root / "broken").write_bytes(b"\x7fELF nonsense")
        (house.root / "broken").chmod(0o700)
        for folder in ("other/bin", "gone"):
            (house.root / folder).mkdir(parents=True)
            (house.root / folder / "python").symlink_to(sys.executable)
        house.environ["ONE_OF_OURS"] = "inherited"
        with supervised(house):
            (house.root / "gone/python").unlink()
            yield house


def ended(house: House, job: str) -> dict[str, Any]:
    """The run of a job, asked for and waited for."""
    return dict(json.loads(house.ask("run", job, "--wait", "--json").stdout))


def told(house: House, job: str) -> dict[str, Any]:
    """What a run of TELL printed."""
    assert ended(house, job)["state"] == "success"
    return dict(json.loads(house.says("logs", job)))


def test_a_plain_job_finds_what_the_parent_of_the_service_had(house: House) -> None:
    found = told(house, "plain")

    assert found["env"]["ONE_OF_OURS"] == "inherited"
    assert found["env"]["NIGHTSHIFT_JOB"] == "plain"
    assert found["env"]["NIGHTSHIFT_TRIGGER"] == "manual"
    assert found["env"]["NIGHTSHIFT_ATTEMPT"] == "1"
    assert found["env"]["NIGHTSHIFT_TIMEZONE"] == "UTC"
    assert found["env"]["TMPDIR"] == str(house.state / "tmp")
    assert found["cwd"] == str(house.root)
    assert found["stdin"] == "/dev/null"
    assert (found["nice"], found["umask"]) == (os.nice(0), _umask())
    assert found["files"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # Python itself ignores these two, whatever it finds.
    assert set(found["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}


def test_env_cwd_nice_limits_and_inherit_env_take_effect(house: House) -> None:
    found = told(house, "shaped")

    assert found["argv"][1:] == ["two words"]
    assert found["cwd"] == str(house.root / "folder")
    assert found["env"]["MOON"] == "full"
    assert found["env"]["NIGHTSHIFT_JOB"] == "shaped"
    assert "ONE_OF_OURS" not in found["env"]
    assert found["env"]["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    assert found["nice"] == os.nice(0) + 5
    assert (found["files"], found["space"]) == (77, 1 << 30)


def test_python_names_the_interpreter_of_a_worker(house: House) -> None:
    ours, theirs = ended(house, "tell"), ended(house, "elsewhere")

    assert ours["result"]["python"] == sys.executable
    assert theirs["result"]["python"] == str(house.root / "other/bin/python")
    assert theirs["result"]["here"] == str(house.root)


@pytest.mark.parametrize(
    ("job", "state", "cause"),
    [
        ("seven", "success", ""),
        ("eight", "failed", "exit status 8"),
        ("absent", "failed", 'start "/no/such/program": no such file or directory'),
        ("absent-name", "failed", 'start "no-such-program": no such file or directory'),
        ("absent-in-shell", "failed", "exit status 127 (command not found)"),
        ("not-executable", "failed", 'start "./tell.py": permission denied'),
        ("broken-text", "failed", 'start "./broken": exec format error'),
        ("no-folder", "failed", 'start "{root}/nowhere": no such file or directory'),
        ("killed", "failed", "killed by SIGKILL from outside (out of memory?)"),
        ("gone", "failed", 'start "{root}/gone/python": no such file or directory'),
    ],
)
def test_each_ending_says_what_it_is(house: House, job: str, state: str, cause: str) -> None:
    run = ended(house, job)

    assert (run["state"], run["cause"]) == (state, cause.format(root=house.root))


def test_a_workers_memory_error_is_called_so(house: House) -> None:
    run = ended(house, "glutton")

    assert (run["state"], run["cause"]) == ("failed", "out of memory (limits.address_space?)")


def test_a_kill_from_outside_is_told_from_our_own(house: House) -> None:
    (number,) = house.json("run", "patient")["runs"]
    until(lambda: line.run(house, number)["pid"])

    os.kill(line.run(house, number)["pid"], signal.SIGKILL)

    until(lambda: line.run(house, number)["state"] == "failed")
    assert line.run(house, number)["cause"] == "killed by SIGKILL from outside (out of memory?)"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
