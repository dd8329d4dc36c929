"""docs/deployment.md, "What happens when": the service loses something it needs."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.daemon import NIGHTSHIFT, Sandbox, supervised
from tests.acceptance.ledger_reader import rows
from tests.waiting import until

JOBS = """
jobs:
  quick: {command: 'true'}
  long: {command: 'while sleep 0.1; do touch alive; done'}
"""


def log_of(sandbox: Sandbox) -> str:
    return Path(sandbox.root, "log").read_text()


def test_a_deleted_state_folder_stops_new_runs_and_nothing_else() -> None:
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox) as service:
            sandbox.says("run", "long")
            until((sandbox.root / "alive").exists)
            shutil.rmtree(sandbox.state)
            (sandbox.root / "alive").unlink()

            until((sandbox.root / "alive").exists)
            assert sandbox.refuses("status")[0] == 3
            assert sandbox.refuses("healthcheck")[0] == 1
            assert not sandbox.state.exists()
            service.send_signal(signal.SIGTERM)
            assert service.wait(20) == 0
        assert "Traceback" not in log_of(sandbox)

        with supervised(sandbox):
            assert sandbox.json("history")["runs"] == []
            sandbox.says("run", "quick", "--wait")

        assert rows(sandbox, "SELECT id, state FROM runs") == [(1, "success")]


def test_a_state_folder_deleted_between_two_starts_makes_a_first_start() -> None:
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.says("run", "quick", "--wait")
            sandbox.says("pause", "quick")
        shutil.rmtree(sandbox.state)

        with supervised(sandbox):
            sandbox.says("run", "quick", "--wait")

        assert rows(sandbox, "SELECT id, state FROM runs") == [(1, "success")]


def test_a_deleted_socket_is_made_again_by_the_next_start() -> None:
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.socket.unlink()
            assert sandbox.refuses("healthcheck")[0] == 1
            status, said = sandbox.refuses("start")
            assert (status, "is held by another supervisor" in said) == (1, True)

        with supervised(sandbox):
            sandbox.says("run", "quick", "--wait")


def test_what_lies_in_the_place_of_the_socket_is_never_deleted() -> None:
    with Sandbox(JOBS) as sandbox:
        with supervised(sandbox):
            sandbox.socket.unlink()
            sandbox.socket.write_text("foreign")
            assert "which is no socket" in sandbox.refuses("status")[1]

        assert sandbox.socket.read_text() == "foreign"
        assert sandbox.refuses("start")[0] == 2
        assert sandbox.socket.read_text() == "foreign"


@pytest.mark.parametrize("taken", ["deleted", "made a folder", "made wrong"])
def test_without_its_jobs_yaml_the_text_in_force_stays_also_over_a_start(taken: str) -> None:
    with Sandbox(JOBS) as sandbox:
        sandbox.environ["NIGHTSHIFT_CONFIG"] = str(sandbox.config)
        with supervised(sandbox):
            sandbox.config.unlink()
            if taken == "made a folder":
                sandbox.config.mkdir()
            elif taken == "made wrong":
                sandbox.config.write_text("jobs: 1\n")

            assert sandbox.refuses("reload")[0] == 2
            sandbox.says("run", "quick", "--wait")
            assert [each["kind"] for each in sandbox.json("status")["incidents"]] == ["reload"]

        with supervised(sandbox):
            assert "REFUSED 1 mistake in jobs.yaml" in sandbox.says("status")
            sandbox.says("run", "quick", "--wait")
        assert sandbox.refuses("start", "--strict")[0] == 2
        shutil.rmtree(sandbox.state)
        assert sandbox.refuses("start")[0] == 2


@pytest.mark.root
def test_no_room_in_dev_shm_makes_no_difference() -> None:
    if os.geteuid() != 0:
        pytest.skip("a private mount needs root")
    with Sandbox(JOBS) as sandbox:
        script = 'mount -t tmpfs -o ro none /dev/shm && exec "$@"'
        verb = [*NIGHTSHIFT, "run", "quick", "--local"]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *verb],
            cwd=sandbox.root,
            env=sandbox.environ,
            capture_output=True,
            text=True,
        )
        if "unshare" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"no private mount: {done.stderr.strip()}")

        assert done.returncode == 0, done.stderr
