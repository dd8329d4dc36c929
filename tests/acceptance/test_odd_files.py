"""Odd files: whatever a file is or holds, and if it is missing, the service starts and runs."""

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.daemon import NIGHTSHIFT, Sandbox, living, supervised
from tests.acceptance.dead_mount import dead_mount
from tests.waiting import until

JOBS = "jobs:\n  a: {command: [echo, hello]}\n"
EDITED = f"{JOBS}  b: {{command: [echo, hello]}}\n"


def works(sandbox: Sandbox) -> bool:
    return sandbox.ask("run", "a", "--wait").returncode == 0


def a_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket path may not be long
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def a_sparse_file(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 * 1024**3)


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_full_folder(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()


ODD = [os.mkfifo, a_full_folder, a_socket, a_loop, a_device, a_sparse_file]


def named(make: object) -> str:
    return getattr(make, "__name__", str(make))


@pytest.mark.parametrize("make", ODD, ids=named)
def test_anything_in_the_place_of_jobs_yaml_is_refused_and_the_service_goes_on(make):
    with living(JOBS) as sandbox:
        sandbox.config.unlink()
        make(sandbox.config)

        status, said = sandbox.refuses("reload")

        assert status == 2
        assert "jobs.yaml:1:1: " in said
        assert works(sandbox)
        _removed(sandbox.config)
        sandbox.config.write_text(EDITED)
        assert "b" in sandbox.says("reload")


@pytest.mark.parametrize("make", ODD, ids=named)
def test_a_start_with_anything_in_the_place_of_jobs_yaml_says_so_or_runs_the_last_good_text(make):
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            pass
        sandbox.config.unlink()
        make(sandbox.config)

        status, said = sandbox.refuses("start", "--strict")
        with supervised(sandbox):
            assert works(sandbox)

    assert status == 2
    assert "jobs.yaml is refused" in said


def test_a_mount_that_does_not_answer_holds_up_neither_loop_nor_stop_nor_start():
    with Sandbox() as sandbox:
        folder = sandbox.root / "mount"
        folder.mkdir()
        sandbox.config = folder / "jobs.yaml"
        # Its working folder, too, is that of jobs.yaml by default.
        sandbox.config.write_text(JOBS.replace("hello]", "hello], cwd: /"))
        sandbox.environ["NIGHTSHIFT_CONFIG"] = str(sandbox.config)
        with supervised(sandbox) as process, dead_mount(folder):
            _, said = sandbox.refuses("reload")
            assert "no answer within 10 s" in said
            assert works(sandbox)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

            with supervised_slowly(sandbox):
                assert works(sandbox)
                assert "no answer within 10 s" in sandbox.says("incidents")


NAMES = [
    "runs", "tmp", "cache", "lock", "ledger.sqlite3", "ledger.sqlite3-wal", "ballast",
    "jobs.accepted.yaml", "jobs.previous.yaml", "reload.json", "heartbeats.pipe",
]  # fmt: skip


@pytest.mark.parametrize("make", [*ODD[:-1], Path.touch], ids=named)
def test_whatever_lies_in_the_state_folder_a_start_goes_on(make):
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            assert works(sandbox)
        shutil.rmtree(sandbox.state)
        sandbox.state.mkdir()
        for name in NAMES:
            make(sandbox.state / name)

        with supervised(sandbox):
            assert works(sandbox)
            sandbox.config.write_text(EDITED)
            assert "b" in sandbox.says("reload")
            kinds = [each["kind"] for each in sandbox.json("incidents")["incidents"]]
        with supervised(sandbox):
            assert works(sandbox)

    assert kinds == ["damage"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"jobs: [", b""], ids=repr)
def test_a_damaged_kept_text_stops_nothing(content):
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            pass
        for name in ("jobs.accepted.yaml", "jobs.previous.yaml", "reload.json"):
            (sandbox.state / name).write_bytes(content)
        for entry in (sandbox.state / "cache").iterdir():
            entry.write_bytes(content)

        with supervised(sandbox):
            sandbox.config.write_text(EDITED)
            assert "b" in sandbox.says("reload")
            assert works(sandbox)


def test_a_working_folder_that_is_gone_is_no_reason_to_stop():
    with Sandbox(JOBS) as sandbox:
        here = sandbox.root / "here"
        here.mkdir()
        with open(sandbox.root / "log", "w") as log:
            process = subprocess.Popen(
                [*NIGHTSHIFT, "start", "--config", str(sandbox.config)],
                cwd=here, env=sandbox.environ, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            until(lambda: sandbox.ask("healthcheck").returncode == 0, within_s=10)
            here.rmdir()
            sandbox.config.write_text(EDITED)
            assert "b" in sandbox.says("reload")
            assert works(sandbox)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def test_a_state_folder_out_of_reach_for_a_moment_is_a_problem_and_no_end():
    with living(JOBS) as sandbox:
        away = sandbox.root / "away"
        sandbox.state.rename(away)
        socket_away = ("--socket", str(away / "nightshift.sock"))
        refused = sandbox.ask(*socket_away, "run", "a", "--wait")
        history = sandbox.ask(*socket_away, "history")
        away.rename(sandbox.state)

        until(lambda: works(sandbox), within_s=15)

    assert refused.returncode == 1
    assert "Traceback" not in history.stderr


def test_an_outcome_that_is_a_folder_is_moved_aside():
    with living(JOBS) as sandbox:
        a_full_folder(sandbox.state / "reload.json")
        sandbox.config.write_text(EDITED)

        assert "b" in sandbox.says("reload")

        assert (sandbox.state / "reload.json.aside-1" / "x").exists()


@contextmanager
def supervised_slowly(sandbox):
    process = sandbox.begin("start", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: sandbox.ask("healthcheck").returncode == 0, within_s=40)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _removed(path: Path) -> None:
    """Remove it. Opening a pipe, as `rmtree` does, would block for ever."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
