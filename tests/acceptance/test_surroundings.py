"""docs/deployment.md, "What happens when": what the service needs is taken away."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.daemon import NIGHTSHIFT, House, supervised
from tests.acceptance.ledger_reader import rows
from tests.waiting import until

JOBS = """
jobs:
  quick: {command: 'true'}
  long: {command: 'while sleep 0.1; do touch alive; done'}
"""


def log_of(house: House) -> str:
    return Path(house.root, "log").read_text()


def test_a_deleted_state_folder_stops_new_runs_and_nothing_else() -> None:
    with House(JOBS) as house:
        with supervised(house) as service:
            house.says("run", "long")
            until((house.root / "alive").exists)
            shutil.rmtree(house.state)
            (house.root / "alive").unlink()

            until((house.root / "alive").exists)
            assert house.refuses("status")[0] == 3
            assert house.refuses("healthcheck")[0] == 1
            assert not house.state.exists()
            service.send_signal(signal.SIGTERM)
            assert service.wait(20) == 0
        assert "Traceback" not in log_of(house)

        with supervised(house):
            assert house.json("history")["runs"] == []
            house.says("run", "quick", "--wait")

        assert rows(house, "SELECT id, state FROM runs") == [(1, "success")]


def test_a_state_folder_deleted_between_two_starts_makes_a_first_start() -> None:
    with House(JOBS) as house:
        with supervised(house):
            house.says("run", "quick", "--wait")
            house.says("pause", "quick")
        shutil.rmtree(house.state)

        with supervised(house):
            house.says("run", "quick", "--wait")

        assert rows(house, "SELECT id, state FROM runs") == [(1, "success")]


def test_a_deleted_socket_is_made_again_by_the_next_start() -> None:
    with House(JOBS) as house:
        with supervised(house):
            house.socket.unlink()
            assert house.refuses("healthcheck")[0] == 1
            status, said = house.refuses("start")
            assert (status, "is held by another supervisor" in said) == (1, True)

        with supervised(house):
            house.says("run", "quick", "--wait")


def test_what_lies_in_the_place_of_the_socket_is_never_deleted() -> None:
    with House(JOBS) as house:
        with supervised(house):
            house.socket.unlink()
            house.socket.write_text("foreign")
            assert "which is no socket" in house.refuses("status")[1]

        assert house.socket.read_text() == "foreign"
        assert house.refuses("start")[0] == 2
        assert house.socket.read_text() == "foreign"


@pytest.mark.parametrize("taken", ["deleted", "made a folder", "made wrong"])
def test_without_its_jobs_yaml_the_text_in_force_stays_also_over_a_start(taken: str) -> None:
    with House(JOBS) as house:
        house.environ["NIGHTSHIFT_CONFIG"] = str(house.config)
        with supervised(house):
            house.config.unlink()
            if taken == "made a folder":
                house.config.mkdir()
            elif taken == "made wrong":
                house.config.write_text("jobs: 1\n")

            assert house.refuses("reload")[0] == 2
            house.says("run", "quick", "--wait")
            assert [each["kind"] for each in house.json("status")["incidents"]] == ["reload"]

        with supervised(house):
            assert "REFUSED 1 mistake in jobs.yaml" in house.says("status")
            house.says("run", "quick", "--wait")
        assert house.refuses("start", "--strict")[0] == 2
        shutil.rmtree(house.state)
        assert house.refuses("start")[0] == 2


@pytest.mark.root
def test_no_room_in_dev_shm_makes_no_difference() -> None:
    if os.geteuid() != 0:
        pytest.skip("a mount of one's own needs root")
    with House(JOBS) as house:
        script = 'mount -t tmpfs -o ro none /dev/shm && exec "$@"'
        verb = [*NIGHTSHIFT, "run", "quick", "--local"]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *verb],
            cwd=house.root,
            env=house.environ,
            capture_output=True,
            text=True,
        )
        if "unshare" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"no mount of one's own: {done.stderr.strip()}")

        assert done.returncode == 0, done.stderr
