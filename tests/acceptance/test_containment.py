"""No process outlives its run: six kinds of escape, four ways to end, and a leftover child."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import escape_attempts, raw_client
from tests.acceptance.daemon import LIMIT_S, NIGHTSHIFT, Sandbox, living, supervised
from tests.acceptance.find_processes import children, is_in_no_process, pids_of_instance
from tests.acceptance.ledger_reader import instance
from tests.waiting import until

ESCAPES = ("immune", "daemon", "forking", "stopped", "closed", "unmarked")
GRACE_S = 0.3
# After the end is requested, by DESIGN: kill_grace + 2 s.
WITHIN_S = GRACE_S + 2


def command(escape: str) -> str:
    """Return a string command, so that the shell gives each run its own token."""
    script = f"{sys.executable} -S {escape_attempts.__file__}"
    return f"exec {script} {escape} {escape}-$NIGHTSHIFT_RUN"


def jobs() -> str:
    lines = [f"defaults: {{kill_grace: {GRACE_S}s}}", "max_concurrent: 9"]
    lines += [f"shutdown_grace: {GRACE_S}s", "jobs:"]
    for name in ESCAPES:
        said = f"command: {command(name)!r}"
        lines.append(f"  {name}: {{{said}}}")
        lines.append(f"  {name}-late: {{{said}, timeout: 600ms}}")
        lines.append(f"  {name}-replaced: {{{said}, overlap: replace}}")
    lines.append("  parent: {command: 'sleep 600 & echo done'}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with living(jobs()) as sandbox:
        yield sandbox


def begin(sandbox: Sandbox, job: str, escape: str) -> int:
    """Request a run, wait until its command is running, and return its number."""
    (run,) = sandbox.json("run", job)["runs"]
    until(lambda: Path(sandbox.root, f"{escape}-{run}").exists())
    return int(run)


def timed_out(sandbox: Sandbox, escape: str) -> tuple[int, str]:
    run = begin(sandbox, f"{escape}-late", escape)
    until(lambda: raw_client.run(sandbox, run)["state"] != "running")
    return run, "failed"


def cancelled(sandbox: Sandbox, escape: str) -> tuple[int, str]:
    run = begin(sandbox, escape, escape)
    sandbox.says("cancel", str(run))
    return run, "cancelled"


def replaced(sandbox: Sandbox, escape: str) -> tuple[int, str]:
    job = f"{escape}-replaced"
    run = begin(sandbox, job, escape)
    sandbox.says("run", job)
    return run, "cancelled"


Ending = Callable[[Sandbox, str], tuple[int, str]]


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("end", [timed_out, cancelled, replaced])
def test_not_one_process_is_left(sandbox: Sandbox, end: Ending, escape: str) -> None:
    run, state = end(sandbox, escape)

    until(lambda: is_in_no_process(f"{escape}-{run}"), within_s=WITHIN_S)

    until(lambda: raw_client.run(sandbox, run)["state"] == state)
    if end is replaced:
        until(lambda: Path(sandbox.root, f"{escape}-{run + 1}").exists())
        sandbox.says("cancel", str(run + 1))
        until(lambda: is_in_no_process(f"{escape}-{run + 1}"), within_s=WITHIN_S)


def test_not_one_process_is_left_after_a_shutdown() -> None:
    with Sandbox(jobs()) as sandbox:
        with supervised(sandbox) as supervisor:
            tokens = [f"{name}-{begin(sandbox, name, name)}" for name in ESCAPES]

            sandbox.says("stop")

            assert supervisor.wait(WITHIN_S) == 0
        assert [token for token in tokens if not is_in_no_process(token)] == []


HOLD = """
import ctypes, sys
assert ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0
print("held", flush=True)
sys.stdin.read()
"""


def test_a_stop_names_what_sigkill_does_not_end_and_is_over_in_time() -> None:
    """A process traced by another process outside the run cannot be reaped."""
    jobs = f"shutdown_grace: {GRACE_S}s\njobs:\n  held: {{command: 'sleep 600'}}\n"
    with Sandbox(jobs) as sandbox, supervised(sandbox, "--log-format", "text") as supervisor:
        (number,) = sandbox.json("run", "held")["runs"]
        until(lambda: raw_client.run(sandbox, number)["pid"])
        pid = raw_client.run(sandbox, number)["pid"]
        ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([sys.executable, "-c", HOLD, str(pid)], text=True, **ends) as holder:
            if holder.stdout.readline() != "held\n":
                pytest.skip("a process may not trace another here")

            supervisor.send_signal(signal.SIGTERM)

            assert supervisor.wait(WITHIN_S) == 0
            log = Path(sandbox.root, "log").read_text()
            holder.communicate()
    assert f"run {number} of held has not exited by the end of the stop" in log
    assert f"left behind, SIGKILL does not end them: {pid} [sleep] (it has ended" in log


@pytest.mark.root
def test_without_proc_a_start_refuses_with_the_way_out() -> None:
    if os.getuid() != 0:
        pytest.skip("a mount needs root")
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    with Sandbox("jobs:\n  a: {command: 'true'}\n") as sandbox:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", hide, "sh", *NIGHTSHIFT, "start"],
            cwd=sandbox.root,
            env=sandbox.environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")

    assert done.returncode == 1
    assert done.stderr.startswith("nightshift: /proc does not show the processes of this PID")
    assert "mount -t proc proc /proc" in done.stderr


def test_when_it_is_quiet_only_one_idle_keeper_is_left() -> None:
    jobs = "max_concurrent: 4\njobs:\n" + "".join(
        f"  nap-{n}: {{command: 'sleep 0.5', run_on_startup: true}}\n" for n in range(4)
    )
    with Sandbox(jobs) as sandbox, supervised(sandbox) as supervisor:
        until(lambda: len(pids_of_instance(instance(sandbox))) > 5)

        (fork_server,) = children(supervisor.pid)

        until(lambda: len(children(fork_server)) == 1)


def test_a_job_that_leaves_a_child_has_succeeded_and_the_child_is_named(sandbox: Sandbox) -> None:
    for _ in range(2):  # the job is free for the second run
        (number,) = sandbox.json("run", "parent")["runs"]
        until(lambda number=number: raw_client.run(sandbox, number)["strays"])

        newest = raw_client.run(sandbox, number)

        assert newest["state"] == "success"
        assert newest["duration_seconds"] < 600  # the child sleeps so long
        (stray,) = newest["strays"]
        pid, argv = stray.split(" ", 1)
        # Its listing may show the state before it became `sleep`.
        assert argv in ("sleep 600", "[sleep]", "/bin/sh -c sleep 600 & echo done")
        assert not Path("/proc", pid).exists()
        assert f"It left behind {stray}, which was killed." in sandbox.says("explain", "parent")
