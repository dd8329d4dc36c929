"""The state folder: private, used by one service, with clear errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.state_dir import AlreadyRunningError, StateDir, StateDirError, check_socket_path


def test_a_folder_is_made_private(tmp_path):
    folder = StateDir(tmp_path / "a" / "state")

    folder.make()

    assert folder.root.stat().st_mode & 0o777 == 0o700


def test_an_open_folder_of_ours_is_tightened(tmp_path):
    folder = StateDir(tmp_path / "state")
    folder.root.mkdir(mode=0o755)
    folder.root.chmod(0o755)

    folder.make()

    assert folder.root.stat().st_mode & 0o777 == 0o700


def test_a_second_holder_reads_who_holds(tmp_path):
    folder = StateDir(tmp_path)
    held = folder.lock()

    with pytest.raises(AlreadyRunningError, match=rf"\(pid {os.getpid()} on .+, since 20"):
        folder.lock()

    os.close(held)
    os.close(folder.lock())


def test_the_lock_goes_with_its_process(tmp_path):
    take = f"from supervisor.state_dir import *; StateDir(Path({str(tmp_path)!r})).lock()"
    subprocess.run([sys.executable, "-c", take], check=True)

    os.close(StateDir(tmp_path).lock())


def test_what_jobs_left_in_their_tmpdir_is_removed_and_nothing_else(tmp_path):
    folder, elsewhere = StateDir(tmp_path / "state"), tmp_path / "elsewhere"
    folder.make()
    (elsewhere / "kept").mkdir(parents=True)
    (folder.tmp / "deep" / "er").mkdir(parents=True)
    (folder.tmp / "deep" / "file").write_text("left")
    (folder.tmp / "link").symlink_to(elsewhere)

    folder.empty_tmp()

    assert list(folder.tmp.iterdir()) == []
    assert (elsewhere / "kept").exists()


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    file = tmp_path / "state"
    file.write_text("")

    with pytest.raises(StateDirError, match="must be a folder that uid"):
        StateDir(file).make()


@pytest.mark.parametrize("name", ["tmp", "cache", "runs"])
def test_a_folder_of_others_is_refused_and_left_as_it_is(tmp_path, name):
    project = tmp_path / "project"
    (project / name).mkdir(parents=True)
    project.chmod(0o755)
    (project / name / "own.json").write_text("of the user")

    with pytest.raises(StateDirError, match=f"has no ledger, but a folder {name} with files"):
        StateDir(project).make()

    assert [entry.name for entry in project.iterdir()] == [name]
    assert (project / name / "own.json").read_text() == "of the user"
    assert project.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("path", ["/tmp", "/var/tmp", "/dev/shm"])
def test_a_folder_for_all_users_is_refused_and_stays_shared(path):
    mode = os.stat(path).st_mode

    with pytest.raises(StateDirError, match="is shared by all users"):
        StateDir(Path(path)).make()

    assert os.stat(path).st_mode == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own files of two users")
def test_a_folder_that_others_use_too_is_refused_and_stays_shared(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "of-another").touch()
    os.chown(shared / "of-another", 12345, 12345)

    with pytest.raises(StateDirError, match="is shared by all users"):
        StateDir(shared).make()

    assert shared.stat().st_mode & 0o7777 == 0o1777


def test_the_root_of_a_new_tmpfs_is_taken_and_made_private(tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    fresh.chmod(0o1777)
    (fresh / "filler").touch()

    StateDir(fresh).make()

    assert fresh.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("proof", ["lock", "ledger.sqlite3", "jobs.accepted.yaml"])
def test_a_folder_that_a_service_has_used_is_taken_whatever_is_in_it(tmp_path, proof):
    used = StateDir(tmp_path / "state")
    used.make()
    os.close(used.lock())
    if proof != "lock":
        (used.root / "lock").unlink()
        (used.root / proof).write_text("")
    (used.tmp / "left").write_text("by a job")
    (used.runs / "1.log").write_text("output")

    used.make()

    assert (used.runs / "1.log").exists()


def test_files_beside_the_own_folders_are_no_obstacle(tmp_path):
    (tmp_path / "jobs.yaml").write_text("jobs: {}")
    (tmp_path / "tmp").mkdir()

    StateDir(tmp_path).make()

    assert (tmp_path / "jobs.yaml").exists()


def test_a_socket_path_that_no_socket_can_have_is_refused(tmp_path):
    with pytest.raises(StateDirError, match="at most 107"):
        check_socket_path(tmp_path / ("x" * 120))
