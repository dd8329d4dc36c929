"""Parallel child processes: killed at any time, and none is left."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.waiting import until
from workers import parallel
from workers.parallel import ChildError, Lost

PARENT = """
import os, signal, sys, time
from workers import parallel

signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored where tests run

def work(item, tell):
    os.write(1, f"{os.getpid()}{os.linesep}".encode())
    time.sleep(600)

try:
    with parallel.children(2, work) as group:
        list(parallel.answers(group, [1, 2]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def square(item, tell):
    tell(1)
    return item * item


def pid_and_death(item, tell):
    if item == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "leaves":
        os._exit(3)
    if item == "raises":
        raise LookupError("not foreseen")
    return os.getpid()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_answers_come_in_the_order_of_the_items_with_their_progress():
    reported = []
    with parallel.children(2, square) as group:
        found = list(parallel.answers(group, range(50), progress=reported.append))

    assert found == [number * number for number in range(50)]
    assert sum(reported) == 50


def test_nothing_to_do_is_no_answer():
    with parallel.children(1, square) as group:
        assert list(parallel.answers(group, [])) == []


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("dies", "its process was killed by SIGKILL"),
        ("leaves", "its process ended with status 3"),
    ],
)
def test_a_child_that_dies_loses_its_item_and_no_other(item, reason):
    items = ["a", item, "b", "c", "d"]
    with parallel.children(2, pid_and_death) as group:
        found = list(parallel.answers(group, items))

    assert found[1] == Lost(reason)
    assert all(isinstance(pid, int) for pid in (found[0], *found[2:]))
    assert not any(is_alive(pid) for pid in found if isinstance(pid, int))


def test_when_every_child_is_dead_the_rest_is_lost_and_nothing_hangs():
    with parallel.children(2, pid_and_death) as group:
        found = list(parallel.answers(group, ["dies"] * 5))

    assert all(isinstance(each, Lost) for each in found)
    assert found[4] == Lost("no process is left to do it")


def test_a_child_that_was_dead_before_it_was_asked_is_lost():
    with parallel.children(1, square) as group:
        group[0].kill()
        assert parallel.each(group, 3, lambda: None) == [Lost("its process was killed by SIGKILL")]


def test_an_exception_that_is_not_foreseen_is_raised_here():
    with (
        pytest.raises(ChildError, match="LookupError: not foreseen"),
        parallel.children(2, pid_and_death) as group,
    ):
        list(parallel.answers(group, ["raises"]))


def test_a_check_that_raises_ends_the_children():
    class CancelledError(Exception):
        pass

    def check():
        raise CancelledError

    with parallel.children(2, pid_and_death) as group:
        pids = parallel.each(group, "a", lambda: None)
        with pytest.raises(CancelledError):
            list(parallel.answers(group, ["a"], check))

    assert len(set(pids)) == 2
    assert not any(is_alive(pid) for pid in pids)


def keep_a_file(path, tell):
    try:
        path.touch()
        tell(1)
        signal.pause()
    finally:
        path.unlink(missing_ok=True)


def test_work_that_is_ended_removes_its_files(tmp_path):
    class EnoughError(Exception):
        pass

    def progress(_count):
        assert list(tmp_path.iterdir())
        raise EnoughError

    with pytest.raises(EnoughError), parallel.children(2, keep_a_file) as group:
        list(parallel.answers(group, [tmp_path / "a", tmp_path / "b"], progress=progress))

    assert list(tmp_path.iterdir()) == []


def ignore_the_request(item, tell):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    tell(os.getpid())
    signal.pause()


def test_work_that_does_not_end_is_killed():
    pids = []

    def progress(pid):
        pids.append(pid)
        raise InterruptedError

    with pytest.raises(InterruptedError), parallel.children(1, ignore_the_request) as group:
        list(parallel.answers(group, ["x"], progress=progress))

    assert not is_alive(*pids)


def started():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    return parent, [int(parent.stdout.readline()) for _ in range(2)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_die_with_their_parent(number):
    parent, pids = started()
    with parent:
        assert all(is_alive(pid) for pid in pids)
        parent.send_signal(number)

        until(lambda: not any(is_alive(pid) for pid in pids))


def test_ctrl_c_ends_all_and_only_the_parent_prints():
    parent, pids = started()
    with parent:
        os.killpg(parent.pid, signal.SIGINT)
        said, _ = parent.communicate(timeout=30)

    assert said == "interrupted\n"
    assert not any(is_alive(pid) for pid in pids)


def test_no_thread_and_no_descriptor_is_left():
    before, threads = set(os.listdir("/proc/self/fd")), threading.active_count()
    with parallel.children(2, square) as group:
        list(parallel.answers(group, range(3)))

    assert set(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads


def test_limits_that_allow_no_child_are_no_error():
    script = (
        "import os, resource, multiprocess; from workers import parallel\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')), hard))\n"
        "with parallel.children(2, print) as group: print(len(group))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert found.stdout == "0\n"


def test_the_import_is_left_to_the_first_child():
    script = (
        "import sys, workers.parallel, workers.backup.verify_all, workers.replication,"
        " supervisor.cli.main; print('multiprocess' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert found.stdout == "False\n"
