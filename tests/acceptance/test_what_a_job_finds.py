"""The environment of a job as jobs.yaml defines it, and the message for each kind of end."""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until

# More than the kernel allows any process to have open, root included.
TOO_MANY = int(Path("/proc/sys/fs/nr_open").read_text()) + 1
CPU_LIMIT = "limits.cpu_seconds: a process used more than 1 s of CPU time"
SIZE_LIMIT = "limits.file_size: a file would have become larger than 4000 bytes"
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
SPIN = """
import signal, sys
if sys.argv[1:]:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True:
    pass
"""
WORKERS = """
import os, sys
def glutton(params, report):
    return {"bytes": len(bytearray(1 << 40))}
def hoarder(params, report):
    files = [open(os.devnull) for _ in range(100)]
def scribe(params, report):
    open("large", "wb", 0).write(bytes(5000))
    open("large", "ab", 0).write(bytes(5000))
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
  spinner: {{command: [{sys.executable}, -S, spin.py], limits: {{cpu_seconds: 1}}}}
  spinner-in-shell: {{command: "{sys.executable} -S spin.py; exit $?", limits: {{cpu_seconds: 1}}}}
  deaf-spinner: {{command: [{sys.executable}, -S, spin.py, deaf], limits: {{cpu_seconds: 1}}}}
  writer: {{command: "head -c 5000 /dev/zero > large", limits: {{file_size: 4000}}}}
  writer-itself: {{command: [dd, if=/dev/zero, of=big, count=9], limits: {{file_size: 4000}}}}
  too-many-files: {{command: [./tell.py], limits: {{open_files: {TOO_MANY}}}}}
  segfault: {{command: [{sys.executable}, -S, -c, "import os; os.kill(os.getpid(), 11)"]}}
  windows: {{command: [./windows]}}
  patient: {{command: [sleep, "60"]}}
  hoarder: {{worker: "own:hoarder", limits: {{open_files: 64}}}}
  scribe: {{worker: "own:scribe", limits: {{file_size: 4000}}}}
  glutton: {{worker: "own:glutton", limits: {{address_space: 2GiB}}}}
  tell: {{worker: "own:tell"}}
  elsewhere: {{worker: "own:tell", python: other/bin/python}}
  gone: {{worker: "own:tell", python: gone/python}}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "folder").mkdir()
        (sandbox.root / "tell.py").write_text(TELL)
        (sandbox.root / "spin.py").write_text(SPIN)
        (sandbox.root / "own.py").write_text(WORKERS)
        (sandbox.root / "broken").write_bytes(b"\x7fELF nonsense")
        (sandbox.root / "broken").chmod(0o700)
        (sandbox.root / "windows").write_bytes(b"#!/bin/sh\r\necho hello\r\n")
        (sandbox.root / "windows").chmod(0o700)
        for folder in ("other/bin", "gone"):
            (sandbox.root / folder).mkdir(parents=True)
            (sandbox.root / folder / "python").symlink_to(sys.executable)
        sandbox.environ["ONE_OF_OURS"] = "inherited"
        with supervised(sandbox):
            (sandbox.root / "gone/python").unlink()
            yield sandbox


def ended(sandbox: Sandbox, job: str) -> dict[str, Any]:
    """Run a job, wait for its end, and return the run."""
    return dict(json.loads(sandbox.ask("run", job, "--wait", "--json").stdout))


def reported(sandbox: Sandbox, job: str) -> dict[str, Any]:
    """Return what a run of TELL printed."""
    assert ended(sandbox, job)["state"] == "success"
    return dict(json.loads(sandbox.says("logs", job)))


def test_a_plain_job_finds_what_the_parent_of_the_service_had(sandbox: Sandbox) -> None:
    found = reported(sandbox, "plain")

    assert found["env"]["ONE_OF_OURS"] == "inherited"
    assert found["env"]["NIGHTSHIFT_JOB"] == "plain"
    assert found["env"]["NIGHTSHIFT_TRIGGER"] == "manual"
    assert found["env"]["NIGHTSHIFT_ATTEMPT"] == "1"
    assert found["env"]["NIGHTSHIFT_TIMEZONE"] == "UTC"
    assert found["env"]["TMPDIR"] == str(sandbox.state / "tmp")
    assert found["cwd"] == str(sandbox.root)
    assert found["stdin"] == "/dev/null"
    assert (found["nice"], found["umask"]) == (os.nice(0), _umask())
    assert found["files"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # Python itself ignores these two in any case.
    assert set(found["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}


def test_env_cwd_nice_limits_and_inherit_env_take_effect(sandbox: Sandbox) -> None:
    found = reported(sandbox, "shaped")

    assert found["argv"][1:] == ["two words"]
    assert found["cwd"] == str(sandbox.root / "folder")
    assert found["env"]["MOON"] == "full"
    assert found["env"]["NIGHTSHIFT_JOB"] == "shaped"
    assert "ONE_OF_OURS" not in found["env"]
    assert found["env"]["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    assert found["nice"] == os.nice(0) + 5
    assert (found["files"], found["space"]) == (77, 1 << 30)


def test_python_names_the_interpreter_of_a_worker(sandbox: Sandbox) -> None:
    ours, theirs = ended(sandbox, "tell"), ended(sandbox, "elsewhere")

    assert ours["result"]["python"] == sys.executable
    assert theirs["result"]["python"] == str(sandbox.root / "other/bin/python")
    assert theirs["result"]["here"] == str(sandbox.root)


@pytest.mark.parametrize(
    ("job", "state", "cause"),
    [
        ("seven", "success", ""),
        ("eight", "failed", "exit status 8"),
        ("absent", "failed", 'start "/no/such/program": no such file or directory'),
        ("absent-name", "failed", 'start "no-such-program": no such file or directory'),
        ("absent-in-shell", "failed", "exit status 127 (command not found)"),
        (
            "not-executable",
            "failed",
            'start "./tell.py": permission denied: it is not executable (chmod +x)',
        ),
        (
            "broken-text",
            "failed",
            'start "./broken": exec format error: it is damaged, or built for another machine',
        ),
        ("no-folder", "failed", 'cwd "{root}/nowhere": no such file or directory'),
        ("killed", "failed", "killed by SIGKILL from outside (out of memory?)"),
        (
            "windows",
            "failed",
            'start "./windows": no such file or directory: its first line ends in CR LF, '
            'so that its interpreter is "/bin/sh\\r": save it with UNIX line ends',
        ),
        ("segfault", "failed", "killed by SIGSEGV (invalid memory access)"),
        ("spinner", "failed", f"{CPU_LIMIT} (SIGXCPU)"),
        ("spinner-in-shell", "failed", f"exit status 152 (SIGXCPU: {CPU_LIMIT})"),
        ("deaf-spinner", "failed", f"{CPU_LIMIT} (SIGKILL)"),
        ("writer", "failed", f"exit status 153 (SIGXFSZ: {SIZE_LIMIT})"),
        ("writer-itself", "failed", f"{SIZE_LIMIT} (SIGXFSZ)"),
        ("scribe", "failed", "OSError: [Errno 27] File too large (limits.file_size?)"),
        ("gone", "failed", 'start "{root}/gone/python": no such file or directory'),
    ],
)
def test_each_ending_says_what_it_is(sandbox: Sandbox, job: str, state: str, cause: str) -> None:
    run = ended(sandbox, job)

    assert (run["state"], run["cause"]) == (state, cause.format(root=sandbox.root))


def test_a_limit_that_cannot_be_set_fails_before_anything_has_run(sandbox: Sandbox) -> None:
    run = ended(sandbox, "too-many-files")

    assert (run["state"], run["reason"], run["log_bytes"]) == ("failed", "launch", 0)
    assert run["cause"].startswith(f"limits.open_files could not be set to {TOO_MANY}: not")


def test_a_worker_that_met_its_limit_of_files_says_so(sandbox: Sandbox) -> None:
    cause = ended(sandbox, "hoarder")["cause"]

    assert cause == "OSError: [Errno 24] Too many open files: '/dev/null' (limits.open_files?)"


def test_a_workers_memory_error_is_called_so(sandbox: Sandbox) -> None:
    run = ended(sandbox, "glutton")

    assert (run["state"], run["cause"]) == ("failed", "out of memory (limits.address_space?)")


def test_a_kill_from_outside_is_distinguished_from_our_own(sandbox: Sandbox) -> None:
    (number,) = sandbox.json("run", "patient")["runs"]
    until(lambda: raw_client.run(sandbox, number)["pid"])

    os.kill(raw_client.run(sandbox, number)["pid"], signal.SIGKILL)

    until(lambda: raw_client.run(sandbox, number)["state"] == "failed")
    assert (
        raw_client.run(sandbox, number)["cause"]
        == "killed by SIGKILL from outside (out of memory?)"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
