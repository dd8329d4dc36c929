"""Who dies under whom, and that nothing outlives its reason to exist."""

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
from tests.edge.fixtures_keepers import ROOT, Stage, carriers, emptied, exited, lives, parent
from tests.signals import kill, send
from tests.waiting import until
from workers.protocol import Started

ORPHANS = "setsid sleep 600 & (setsid sh -c 'sleep 601 & sleep 602' &); sleep 603"
# A supervisor of its own: says its instance when everything runs, then waits to be killed.
SUPERVISOR = """
import sys
from pathlib import Path
from tests.edge.fixtures_keepers import Stage
stage = Stage(Path(sys.argv[1]))
deaf = stage.begin("deaf")
orphans = stage.begin(shell=sys.argv[2])
stage.until_working(deaf)
stage.until(lambda: len(stage.jobs()) >= 6)
print(stage.instance, flush=True)
while True:
    stage.turn()
"""


@pytest.fixture
def two_runs(stage: Stage) -> tuple[int, int]:
    """A deaf worker, and a command with orphans in sessions of their own."""
    runs = stage.begin("deaf"), stage.begin(shell=ORPHANS)
    stage.until_working(runs[0])
    stage.until(lambda: len(stage.jobs()) >= 6)
    stage.pid(runs[1])
    return runs


# --- one of them dies -------------------------------------------------------------


def test_a_worker_killed_from_outside_is_an_ordinary_exit(stage: Stage):
    run = stage.begin("deaf")
    stage.until_working(run)

    kill(stage.pid(run))
    stage.until_ended(run)

    assert stage.words(run) == ["Started", "Exited", "TreeEmpty"]
    assert os.WTERMSIG(exited(stage.of(run))) == signal.SIGKILL


def test_a_keeper_takes_its_run_along_and_no_other(stage: Stage, two_runs):
    deaf, orphans = two_runs

    kill(parent(stage.pid(orphans)))
    stage.until_ended(orphans)

    assert stage.words(orphans) == ["Started", "KeeperLost", "TreeEmpty"]
    assert stage.words(deaf) == ["Started"]
    assert stage.jobs() == {stage.pid(deaf)}
    assert stage.processes.keeper_deaths == 1


def test_a_keeper_takes_its_worker_along(stage: Stage, two_runs):
    deaf, orphans = two_runs

    kill(parent(stage.pid(deaf)))
    stage.until_ended(deaf)

    assert stage.words(deaf) == ["Started", "KeeperLost", "TreeEmpty"]
    assert not lives(stage.pid(deaf))
    assert stage.words(orphans) == ["Started"]


def test_a_free_keeper_that_dies_is_missed_by_nobody(stage: Stage):
    stage.play(argv=("/bin/true",))
    (keeper,) = stage.keepers()

    kill(keeper)
    stage.until(lambda: stage.processes.keeper_deaths == 1)

    assert exited(stage.play(argv=("/bin/true",))) == 0


def test_a_launch_onto_a_keeper_that_has_just_died_ends(stage: Stage):
    stage.play(argv=("/bin/true",))
    (keeper,) = stage.keepers()

    kill(keeper)
    happened = stage.play(argv=("/bin/true",))

    kinds = [type(event).__name__ for event in happened]
    assert kinds in (["Started", "Exited", "TreeEmpty"], ["KeeperLost", "TreeEmpty"])
    assert exited(stage.play(argv=("/bin/true",))) == 0


def test_the_fork_server_takes_every_run_along_and_another_takes_its_place(stage: Stage, two_runs):
    fork_server = stage.begun_fork_server()

    kill(fork_server)
    stage.until_ended(*two_runs)
    stage.until(lambda: stage.fork_server() not in (0, fork_server))

    assert [stage.words(run) for run in two_runs] == [["Started", "KeeperLost", "TreeEmpty"]] * 2
    assert stage.processes.living() == frozenset()
    assert exited(stage.play(argv=("/bin/true",))) == 0
    assert stage.fork_server() != fork_server
    assert stage.jobs() == set()


def test_fork_server_and_keepers_together_leave_nothing(stage: Stage, two_runs):
    fork_server = stage.begun_fork_server()
    kill(*stage.keepers(), fork_server)
    stage.until_ended(*two_runs)
    stage.until(lambda: stage.fork_server() not in (0, fork_server))

    assert [stage.words(run) for run in two_runs] == [["Started", "KeeperLost", "TreeEmpty"]] * 2
    assert exited(stage.play(argv=("/bin/true",))) == 0
    assert stage.jobs() == set()


def test_a_child_that_is_to_be_spared_survives_the_fork_server(tmp_path: Path):
    other = subprocess.Popen(["sleep", "600"])
    stage = Stage(tmp_path, spare=[other.pid])
    stage.play(argv=("/bin/true",))

    kill(stage.begun_fork_server())
    stage.until(lambda: stage.processes.keeper_deaths == 1)
    stage.close()

    assert lives(other.pid)
    other.kill()
    assert other.wait() == -signal.SIGKILL


def test_a_fork_server_that_cannot_begin_is_not_begun_again_and_again(stage: Stage, monkeypatch):
    begun: list[str] = []

    class Counted(subprocess.Popen):
        def __init__(self, argv, **options):
            begun.append(argv[0])
            super().__init__(argv, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    kill(stage.begun_fork_server())
    for _ in range(50):
        stage.turn()
    idle = len(begun)

    happened = stage.play(argv=("/bin/true",))
    monkeypatch.undo()

    assert idle <= 2
    (failed,) = happened
    assert failed.error.startswith("the process that starts runs ended at once")
    for _ in range(50):
        stage.turn()
    assert exited(stage.play(argv=("/bin/true",))) == 0


def test_a_refused_process_has_one_verdict_wherever_it_is_refused(stage: Stage):
    runs = [stage.begin(shell="sleep 600") for _ in range(2)]
    stage.until(lambda: all(stage.words(run) == ["Started"] for run in runs))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Neither a socket to a new keeper nor a pipe to a worker can be had: the lowest
    # descriptor that is free is over the limit.
    gc.collect()
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        refused = stage.play(argv=("/bin/true",)) + stage.play("greeter")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    said = "the system refused a new process: too many open files"
    assert [(type(event), event.error) for event in refused] == [(events.LaunchFailed, said)] * 2
    assert exited(stage.play(argv=("/bin/true",))) == 0


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
    """Another supervisor with two runs: (its process, its instance)."""
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
    assert len(carriers(instance)) >= 9

    supervisor.kill()

    until(lambda: carriers(instance) == [])


def test_what_outlives_all_three_is_swept_at_the_next_start(foreign):
    supervisor, instance = foreign
    (fork_server,) = [pid for pid in carriers(instance) if parent(pid) == supervisor.pid]
    keepers = [pid for pid in carriers(instance) if parent(pid) == fork_server]
    send(signal.SIGSTOP, supervisor.pid, fork_server, *keepers)
    kill(supervisor.pid, fork_server, *keepers)
    supervisor.wait()

    swept, left = process_tree.kill_stray_instance(instance)

    assert left == []
    assert {"sleep 600", "sleep 601", "sleep 602"} <= {name.split(" ", 1)[1] for name in swept}
    assert carriers(instance) == []


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


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
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


def test_kill_reaches_the_tree_of_a_keeper_that_was_stopped(stage: Stage, two_runs):
    deaf, _ = two_runs
    send(signal.SIGSTOP, parent(stage.pid(deaf)))

    stage.force(deaf, KillStep.KILL)
    stage.until_ended(deaf)

    assert stage.words(deaf) == ["Started", "Exited", "TreeEmpty"]


def test_abandon_reaches_the_tree_of_a_keeper_that_was_stopped(stage: Stage, two_runs):
    deaf, _ = two_runs
    send(signal.SIGSTOP, parent(stage.pid(deaf)))

    stage.force(deaf, KillStep.ABANDON)

    stage.until(lambda: not lives(stage.pid(deaf)))


def test_a_term_to_a_whole_control_group_leaves_runs_to_the_supervisor(stage: Stage, two_runs):
    keepers, fork_server = stage.keepers(), stage.begun_fork_server()
    send(signal.SIGTERM, *keepers, fork_server)
    for _ in range(20):
        stage.turn()

    assert (stage.keepers(), stage.fork_server()) == (keepers, fork_server)
    assert all(stage.words(run) == ["Started"] for run in two_runs)


def test_what_falls_to_the_supervisor_is_reaped(stage: Stage):
    command = "import os\nif os.fork() == 0: os._exit(0)\nos.read(0, 1)"
    outsider = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    outsider.communicate(b"x")  # its zombie falls to us, the subreaper

    stage.processes.reap()

    assert set(process_tree.children()) == {stage.fork_server()}


@pytest.mark.root
def test_a_pid_given_away_again_is_never_hit(stage: Stage):
    run = stage.begin(shell="exit 0")
    stage.until_ended(run)
    pid = stage.pid(run)
    last = Path("/proc/sys/kernel/ns_last_pid")
    try:
        last.write_text(str(pid - 1))
    except OSError as error:
        pytest.skip(f"the next pid cannot be chosen here: {error}")
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)

    stage.force(run, KillStep.TERM)
    stage.force(run, KillStep.KILL)
    stage.play(argv=("/bin/true",))

    if bystander.pid != pid:
        bystander.kill()
        bystander.wait()
        pytest.skip("another process was faster")
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_close_ends_what_lives_within_its_limit(tmp_path: Path):
    stage = Stage(tmp_path)
    runs = [stage.begin("deaf"), stage.begin(shell=ORPHANS)]
    stage.until(lambda: stage.received(runs[0], Started) and len(stage.jobs()) >= 6)

    stage.close()

    assert carriers(stage.instance) == []
    assert process_tree.children() == []


def test_lost_is_not_said_of_what_had_exited(stage: Stage):
    run = stage.begin(shell="exit 5")
    stage.until_ended(run)
    (keeper,) = stage.keepers()

    kill(keeper)
    stage.until(lambda: stage.processes.keeper_deaths == 1)

    assert stage.words(run) == ["Started", "Exited", "TreeEmpty"]
    assert isinstance(emptied(stage.of(run)), events.TreeEmpty)
