"""Deaths of workers, keepers, fork server and supervisor: no orphan outlives its owner."""

import errno
import gc
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.containment import instance_mark, launch_errors, process_tree
from supervisor.core import events
from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import (
    ROOT,
    Runner,
    emptied,
    exited,
    lives,
    parent,
    pids_of_instance,
)
from tests.signals import kill, send
from tests.waiting import until
from workers.protocol import Started

ORPHANS = "setsid sleep 600 & (setsid sh -c 'sleep 601 & sleep 602' &); sleep 603"
# A separate supervisor: prints its instance when everything runs, then waits to be killed.
SUPERVISOR = """
import sys
from pathlib import Path
from tests.edge.fixtures_keepers import Runner
runner = Runner(Path(sys.argv[1]))
stubborn = runner.begin("ignore_sigterm")
orphans = runner.begin(shell=sys.argv[2])
runner.until_working(stubborn)
runner.until(lambda: len(runner.jobs()) >= 6)
print(runner.instance, flush=True)
while True:
    runner.turn()
"""


@pytest.fixture
def two_runs(runner: Runner) -> tuple[int, int]:
    """Start a worker that ignores SIGTERM, and a command with orphans in their own sessions."""
    runs = runner.begin("ignore_sigterm"), runner.begin(shell=ORPHANS)
    runner.until_working(runs[0])
    runner.until(lambda: len(runner.jobs()) >= 6)
    runner.pid(runs[1])
    return runs


# --- one of them dies -------------------------------------------------------------


def test_a_worker_killed_from_outside_is_an_ordinary_exit(runner: Runner):
    run = runner.begin("ignore_sigterm")
    runner.until_working(run)

    kill(runner.pid(run))
    runner.until_ended(run)

    assert runner.event_names(run) == ["Started", "Exited", "TreeEmpty"]
    assert os.WTERMSIG(exited(runner.of(run))) == signal.SIGKILL


def test_a_killed_keeper_ends_its_run_and_no_other(runner: Runner, two_runs):
    stubborn, orphans = two_runs

    kill(parent(runner.pid(orphans)))
    runner.until_ended(orphans)

    assert runner.event_names(orphans) == ["Started", "KeeperLost", "TreeEmpty"]
    assert runner.event_names(stubborn) == ["Started"]
    assert runner.jobs() == {runner.pid(stubborn)}
    assert runner.processes.keeper_deaths == 1


def test_a_killed_keeper_ends_its_worker(runner: Runner, two_runs):
    stubborn, orphans = two_runs

    kill(parent(runner.pid(stubborn)))
    runner.until_ended(stubborn)

    assert runner.event_names(stubborn) == ["Started", "KeeperLost", "TreeEmpty"]
    assert not lives(runner.pid(stubborn))
    assert runner.event_names(orphans) == ["Started"]


def test_a_free_keeper_that_dies_is_replaced(runner: Runner):
    runner.run_to_end(argv=("/bin/true",))
    (keeper,) = runner.keepers()

    kill(keeper)
    runner.until(lambda: runner.processes.keeper_deaths == 1)

    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0


def test_a_launch_onto_a_keeper_that_has_just_died_ends(runner: Runner):
    runner.run_to_end(argv=("/bin/true",))
    (keeper,) = runner.keepers()

    kill(keeper)
    happened = runner.run_to_end(argv=("/bin/true",))

    kinds = [type(event).__name__ for event in happened]
    assert kinds in (["Started", "Exited", "TreeEmpty"], ["KeeperLost", "TreeEmpty"])
    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0


def test_a_killed_fork_server_ends_every_run_and_is_replaced(runner: Runner, two_runs):
    fork_server = runner.begun_fork_server()

    kill(fork_server)
    runner.until_ended(*two_runs)
    runner.until(lambda: runner.fork_server() not in (0, fork_server))

    assert [runner.event_names(run) for run in two_runs] == [
        ["Started", "KeeperLost", "TreeEmpty"]
    ] * 2
    assert runner.processes.living() == frozenset()
    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0
    assert runner.fork_server() != fork_server
    assert runner.jobs() == set()


def test_fork_server_and_keepers_together_leave_nothing(runner: Runner, two_runs):
    fork_server = runner.begun_fork_server()
    kill(*runner.keepers(), fork_server)
    runner.until_ended(*two_runs)
    runner.until(lambda: runner.fork_server() not in (0, fork_server))

    assert [runner.event_names(run) for run in two_runs] == [
        ["Started", "KeeperLost", "TreeEmpty"]
    ] * 2
    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0
    assert runner.jobs() == set()


def test_a_child_that_is_to_be_spared_survives_the_fork_server(tmp_path: Path):
    other = subprocess.Popen(["sleep", "600"])
    runner = Runner(tmp_path, spare=[other.pid])
    runner.run_to_end(argv=("/bin/true",))

    kill(runner.begun_fork_server())
    runner.until(lambda: runner.processes.keeper_deaths == 1)
    runner.close()

    assert lives(other.pid)
    other.kill()
    assert other.wait() == -signal.SIGKILL


def test_a_fork_server_that_cannot_begin_is_not_begun_again_and_again(runner: Runner, monkeypatch):
    begun: list[str] = []

    class Counted(subprocess.Popen):
        def __init__(self, argv, **options):
            begun.append(argv[0])
            super().__init__(argv, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    kill(runner.begun_fork_server())
    for _ in range(50):
        runner.turn()
    idle = len(begun)

    happened = runner.run_to_end(argv=("/bin/true",))
    monkeypatch.undo()

    assert idle <= 2
    (failed,) = happened
    assert failed.error.startswith("the process that starts runs ended at once")
    for _ in range(50):
        runner.turn()
    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0


def test_a_refused_process_has_one_verdict_wherever_it_is_refused(runner: Runner):
    runs = [runner.begin(shell="sleep 600") for _ in range(2)]
    runner.until(lambda: all(runner.event_names(run) == ["Started"] for run in runs))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Neither a socket to a new keeper nor a pipe to a worker can be opened: the lowest
    # free descriptor is over the limit.
    gc.collect()
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        refused = runner.run_to_end(argv=("/bin/true",)) + runner.run_to_end("return_input")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    said = "the system refused a new process: too many open files"
    assert [(type(event), event.error) for event in refused] == [(events.LaunchFailed, said)] * 2
    assert exited(runner.run_to_end(argv=("/bin/true",))) == 0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_a_fork_and_an_exec_that_are_refused_say_the_same(number: int):
    error = OSError(number, os.strerror(number), "/bin/true")
    said = f"the system refused a new process: {os.strerror(number).lower()}"

    assert launch_errors.process_refused(error) == said
    assert str(launch_errors.of_process(error)) == said
    assert str(launch_errors.of_program(["/bin/true"], error, {})) == said


# --- the supervisor dies ------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path: Path):
    """Start another supervisor with two runs; yield (its process, its instance)."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), ORPHANS],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdout is not None
    instance = process.stdout.readline().strip()
    yield process, instance
    process.kill()
    process.wait()
    process.stdout.close()
    assert process_tree.kill_stray_instance(instance) == ([], [])


def test_nothing_outlives_the_supervisor(foreign):
    supervisor, instance = foreign
    assert len(pids_of_instance(instance)) >= 9

    supervisor.kill()

    until(lambda: pids_of_instance(instance) == [])


def test_what_outlives_all_three_is_swept_at_the_next_start(foreign):
    supervisor, instance = foreign
    (fork_server,) = [pid for pid in pids_of_instance(instance) if parent(pid) == supervisor.pid]
    keepers = [pid for pid in pids_of_instance(instance) if parent(pid) == fork_server]
    send(signal.SIGSTOP, supervisor.pid, fork_server, *keepers)
    kill(supervisor.pid, fork_server, *keepers)
    supervisor.wait()

    swept, left = process_tree.kill_stray_instance(instance)

    assert left == []
    assert {"sleep 600", "sleep 601", "sleep 602"} <= {name.split(" ", 1)[1] for name in swept}
    assert pids_of_instance(instance) == []


def test_a_sweep_spares_itself_and_its_ancestors(tmp_path: Path):
    ask = (
        "import subprocess, sys; from supervisor.containment import process_tree;"
        "stray = subprocess.Popen(['sleep', '600']);"
        "print(process_tree.kill_stray_instance('mine').killed, stray.wait())"
    )
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ask!r}], check=True)"
    environment = {**os.environ, "NIGHTSHIFT_INSTANCE": "mine"}

    said = subprocess.run(
        [sys.executable, "-c", outer], env=environment, cwd=ROOT, capture_output=True, text=True
    )

    assert said.returncode == 0, said.stderr
    assert "sleep 600'] -9" in said.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to run as another user")
def test_the_mark_of_another_users_process_is_seen():
    ask = (
        "import os, sys; from supervisor.containment import instance_mark as mark;"
        "os.setgid(65534); os.setuid(65534);"
        "print([mark.is_on(int(sys.argv[1]), name) for name in ('a', 'b')])"
    )
    with subprocess.Popen(["sleep", "600"]) as marked:
        instance_mark.put_on(marked.pid, "a")

        said = subprocess.run(
            [sys.executable, "-c", ask, str(marked.pid)], cwd=ROOT, capture_output=True, text=True
        )
        marked.kill()

    assert said.stdout.strip() == "[True, False]", said.stderr


# --- signals from outside -------------------------------------------------------------


def test_kill_reaches_the_tree_of_a_keeper_that_was_stopped(runner: Runner, two_runs):
    stubborn, _ = two_runs
    send(signal.SIGSTOP, parent(runner.pid(stubborn)))

    runner.force(stubborn, KillStep.KILL)
    runner.until_ended(stubborn)

    assert runner.event_names(stubborn) == ["Started", "Exited", "TreeEmpty"]


def test_abandon_reaches_the_tree_of_a_keeper_that_was_stopped(runner: Runner, two_runs):
    stubborn, _ = two_runs
    send(signal.SIGSTOP, parent(runner.pid(stubborn)))

    runner.force(stubborn, KillStep.ABANDON)

    runner.until(lambda: not lives(runner.pid(stubborn)))


def test_a_sigterm_to_the_control_group_does_not_end_runs(runner: Runner, two_runs):
    keepers, fork_server = runner.keepers(), runner.begun_fork_server()
    send(signal.SIGTERM, *keepers, fork_server)
    for _ in range(20):
        runner.turn()

    assert (runner.keepers(), runner.fork_server()) == (keepers, fork_server)
    assert all(runner.event_names(run) == ["Started"] for run in two_runs)


def test_what_falls_to_the_supervisor_is_reaped(runner: Runner):
    command = "import os\nif os.fork() == 0: os._exit(0)\nos.read(0, 1)"
    outsider = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    outsider.communicate(b"x")  # its zombie is ours to reap, as we are the subreaper

    runner.processes.reap()

    assert set(process_tree.children()) == {runner.fork_server()}


@pytest.mark.root
def test_a_pid_given_away_again_is_never_hit(runner: Runner):
    run = runner.begin(shell="exit 0")
    runner.until_ended(run)
    pid = runner.pid(run)
    last = Path("/proc/sys/kernel/ns_last_pid")
    try:
        last.write_text(str(pid - 1))
    except OSError as error:
        pytest.skip(f"the next pid cannot be chosen here: {error}")
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)

    runner.force(run, KillStep.TERM)
    runner.force(run, KillStep.KILL)
    runner.run_to_end(argv=("/bin/true",))

    if bystander.pid != pid:
        bystander.kill()
        bystander.wait()
        pytest.skip("another process was faster")
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_close_ends_what_lives_within_its_limit(tmp_path: Path):
    runner = Runner(tmp_path)
    runs = [runner.begin("ignore_sigterm"), runner.begin(shell=ORPHANS)]
    runner.until(lambda: runner.received(runs[0], Started) and len(runner.jobs()) >= 6)

    runner.close()

    assert pids_of_instance(runner.instance) == []
    assert process_tree.children() == []


def test_lost_is_not_said_of_what_had_exited(runner: Runner):
    run = runner.begin(shell="exit 5")
    runner.until_ended(run)
    (keeper,) = runner.keepers()

    kill(keeper)
    runner.until(lambda: runner.processes.keeper_deaths == 1)

    assert runner.event_names(run) == ["Started", "Exited", "TreeEmpty"]
    assert isinstance(emptied(runner.of(run)), events.TreeEmpty)
