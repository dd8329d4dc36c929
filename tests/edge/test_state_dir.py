"""The state folder: private, used by one service, with clear errors."""

import os
import subprocess
import sys

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


def test_a_socket_path_that_no_socket_can_have_is_refused(tmp_path):
    with pytest.raises(StateDirError, match="at most 107"):
        check_socket_path(tmp_path / ("x" * 120))
