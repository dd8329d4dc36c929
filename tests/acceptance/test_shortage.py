"""Resource shortage: open files, processes, and the supervisor's own socket."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import NIGHTSHIFT, Sandbox, living
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    shutil.which("prlimit") is None, reason="prlimit (util-linux) is not installed"
)
# Belongs to no account, so that no other process counts against its limit.
UNUSED_UID = 54321
MANY = "max_concurrent: 40\njobs:\n" + "".join(
    f"  job-{number}: {{command: 'until [ -e end ]; do sleep 0.2; done'}}\n"
    for number in range(40)
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("jobs:\n  a: {command: 'true'}\n") as sandbox:
        yield sandbox


def refused(sandbox: Sandbox, limit: str) -> tuple[int, str]:
    """Return status and standard error of a start under a limit, such as `--nofile=16:16`."""
    done = subprocess.run(
        ["prlimit", limit, *NIGHTSHIFT, "start"],
        cwd=sandbox.root,
        env=sandbox.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def refused_without_processes(sandbox: Sandbox) -> tuple[int, str]:
    """Return the same for a start that may create no process and no thread."""
    if os.geteuid() != 0:
        return refused(sandbox, "--nproc=0:0")
    # The kernel does not enforce the limit for root.
    for path in (sandbox.root, sandbox.config):
        os.chown(path, UNUSED_UID, UNUSED_UID)
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
    try:
        done = sandbox.ask("start", uid=UNUSED_UID)
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
    return done.returncode, done.stderr


def test_a_start_with_too_few_open_files_is_refused(sandbox: Sandbox) -> None:
    status, said = refused(sandbox, "--nofile=16:16")

    assert status == 2
    assert "at most 16 files may be open, expected 32 or more" in said
    assert "hint: raise ulimit -n" in said


def test_a_start_that_may_not_start_a_process_says_so_in_one_line(sandbox: Sandbox) -> None:
    status, said = refused_without_processes(sandbox)

    assert status == 1
    assert f"start over {sandbox.state}: " in said
    assert "raise ulimit -u" in said


@pytest.mark.timeout(180)
def test_with_few_open_files_runs_fail_by_name_and_requests_are_answered_again() -> None:
    with Sandbox(MANY) as sandbox:
        limits = ("prlimit", "--nofile=32:32")
        log = sandbox.root / "log"
        with open(log, "w") as written:
            service = subprocess.Popen(
                [*limits, *NIGHTSHIFT, "start"],
                cwd=sandbox.root,
                env=sandbox.environ,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
            )
        try:
            until(lambda: sandbox.ask("healthcheck").returncode == 0, within_s=30)
            for number in range(40):
                if "Too many open files" in log.read_text():
                    break
                sandbox.ask("run", f"job-{number}")
            (sandbox.root / "end").touch()

            until(lambda: "Too many open files" in log.read_text(), within_s=30)
            until(lambda: sandbox.json("status")["runs"] == [], within_s=30)
        finally:
            service.terminate()
            service.wait(30)

        assert service.returncode == 0
        assert "Traceback" not in log.read_text()


def test_an_answer_while_the_socket_is_gone_says_who_holds_the_folder() -> None:
    with living("jobs:\n  a: {command: 'true'}\n") as sandbox:
        sandbox.socket.unlink()

        status, said = sandbox.refuses("status")

    assert status == 3
    assert "though one holds its folder (pid " in " ".join(said.split())
    assert "its socket was removed" in said
