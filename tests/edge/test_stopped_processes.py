"""Keepers and fork server that a job stops or traces: runs end, and the next one starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.containment import instance_mark, process_tree
from supervisor.core import events
from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import ROOT, Runner, at, exited, lives, parent, state
from tests.signals import kill, send
from tests.waiting import until

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
# Finds the processes above a job: its keeper, and the keeper's parent.
ABOVE = """
import os, signal, sys, time
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(") ")[2].split()[1])
keeper = os.getppid()
above = [keeper, parent(keeper)]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
STOPPER = ABOVE + "for pid in above: os.kill(pid, signal.SIGSTOP)\nprint('done', flush=True)\n"
# The pids are read at the start: later its parent would be the test process.
ENDLESS_STOPPER = """
print("done", flush=True)
while True:
    for pid in above:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass
"""
TRACER = ABOVE + (
    "import ctypes\nptrace = ctypes.CDLL(None).ptrace\n"
    "for pid in above[:int(sys.argv[1])]:\n"
    "    assert ptrace(0x4206, pid, None, None) == 0, pid\n"
    "    assert ptrace(0x4207, pid, None, None) == 0, pid\n"
    "print('done', flush=True)\n"
)
REST = "time.sleep(600)\n"


class Guarded(Runner):
    """A runner that reaps and shrinks the pool each turn, as the loop does."""

    def turn(self) -> None:
        super().turn()
        self.processes.reap()
        self.processes.shrink_idle(at())


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Guarded]:
    runner = Guarded(tmp_path)
    yield runner
    runner.close()
    assert process_tree.kill_stray_instance(runner.instance) == ([], [])


def begin(runner: Guarded, script: str, *words: str) -> int:
    run = runner.begin(argv=(sys.executable, "-S", "-c", script, *words))
    log = runner.runs_dir / f"{run}.log"
    # Its keeper may have been abandoned before the first line arrived.
    runner.until(
        lambda: runner.has_ended(run) or (log.exists() and "done" in log.read_text()),
        within_s=30.0,
    )
    return run


def can_run(runner: Guarded) -> bool:
    return exited(runner.run_to_end(argv=("/bin/true",))) == 0


@pytest.mark.parametrize(
    "script", [STOPPER + REST, ABOVE + ENDLESS_STOPPER], ids=["once", "again and again"]
)
def test_a_job_that_stops_keeper_and_fork_server_can_be_killed(runner: Guarded, script):
    run = begin(runner, script)

    runner.force(run, KillStep.KILL)
    runner.until_ended(run)

    assert runner.event_names(run)[-1] == "TreeEmpty"
    assert can_run(runner)


def test_other_jobs_start_and_end_beside_a_job_that_stops_what_contains_it(runner: Guarded):
    begin(runner, STOPPER + REST)

    assert all(can_run(runner) for _ in range(3))


def test_a_keeper_that_was_stopped_once_goes_on_and_keeps_its_run(runner: Guarded):
    run = runner.begin(shell="sleep 600")
    keeper = parent(runner.pid(run))

    send(signal.SIGSTOP, keeper, runner.begun_fork_server())
    runner.until(lambda: state(keeper) == state(runner.fork_server()) == "S")

    assert runner.event_names(run) == ["Started"]
    assert runner.processes.keeper_deaths == 0


@pytest.mark.parametrize("levels", ["1", "2"])
def test_a_job_that_traces_what_contains_it_is_ended_and_all_is_replaced(runner: Guarded, levels):
    probe = begin(runner, ABOVE + "print('done', flush=True)\n")
    runner.until_ended(probe)
    run = runner.begin(argv=(sys.executable, "-S", "-c", TRACER + REST, levels))
    runner.until(lambda: runner.has_ended(run) or _is_refused(runner, run))
    if _is_refused(runner, run):
        pytest.skip("a process may not trace its parent here")

    # The job may stop its keeper before the keeper has reported the start.
    assert runner.event_names(run)[-2:] == ["KeeperLost", "TreeEmpty"]
    assert can_run(runner)


def _is_refused(runner: Guarded, run: int) -> bool:
    log = runner.runs_dir / f"{run}.log"
    return log.exists() and "AssertionError" in log.read_text()


# --- what SIGKILL does not end ------------------------------------------------------

HOLD = """
import ctypes, sys
ptrace = ctypes.CDLL(None).ptrace
assert ptrace(0x4206, int(sys.argv[1]), None, None) == 0
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """A process outside of all trees that traces another, which then cannot be reaped."""

    def __init__(self, pid: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.holds = self._process.stdout.readline() == "held\n"

    def detach(self) -> None:
        self._process.communicate()


@pytest.fixture
def spared(tmp_path: Path) -> Iterator[Guarded]:
    """Yield a runner that does not kill the listed children of the test at its end."""
    spare: list[int] = []
    runner = Guarded(tmp_path, spare=spare)
    runner.spare = spare
    yield runner
    runner.close()


def hold(runner: Guarded, pid: int) -> Holder:
    before = set(process_tree.children())
    holder = Holder(pid)
    runner.spare += set(process_tree.children()) - before
    if not holder.holds:
        holder.detach()
        pytest.skip("a process may not trace another here")
    return holder


def test_what_survives_sigkill_is_named_after_its_keeper_was_killed(spared: Guarded):
    run = spared.begin(shell="sleep 600 & sleep 601")
    spared.until(lambda: len(spared.jobs()) >= 3)
    pid = spared.pid(run)
    keeper = parent(pid)
    holder = hold(spared, pid)

    spared.force(run, KillStep.KILL)
    spared.until(lambda: state(pid) == "Z")
    spared.force(run, KillStep.ABANDON)
    spared.until(lambda: any(isinstance(e, events.Survived) for e in spared.of(run)))

    survived = spared.of(run)[-1]
    assert survived.left == (f"{pid} [sh] (it has ended, but a process that traces it holds it)",)
    assert not lives(keeper)
    assert spared.processes.living() == frozenset()
    assert can_run(spared)
    other = spared.begin(shell="sleep 600")
    kill(parent(spared.pid(other)))
    spared.until_ended(other)  # the process that cannot be reaped blocks no other run
    holder.detach()


def test_the_end_names_what_it_leaves_behind(spared: Guarded):
    run = spared.begin(shell="sleep 600")
    pid = spared.pid(run)
    holder = hold(spared, pid)

    left = spared.processes.close()
    holder.detach()

    assert [name.split(" (")[0] for name in left] == [f"{pid} [sleep]"]


# --- the sweep ----------------------------------------------------------------------

# Overwrites its environment in /proc, or ends its main thread; then prints a line.
HIDDEN = """
import ctypes, os, sys, threading, time
what = sys.argv[1]
if what == "overwritten":
    for line in open("/proc/self/maps"):
        if "[stack]" in line:
            begin, end = (int(n, 16) for n in line.split()[0].split("-"))
    fields = open("/proc/self/stat").read().rpartition(") ")[2].split()
    start, stop = int(fields[47]), int(fields[48])
    ctypes.memset(start, 0, stop - start)
    assert b"NIGHTSHIFT" not in open("/proc/self/environ", "rb").read()
with open("begun", "w") as file:
    file.write(str(os.getpid()))
os.rename("begun", "ready")
if what == "threaded":
    threading.Thread(target=time.sleep, args=(600,)).start()
    ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)
time.sleep(600)
"""
SUPERVISOR = """
import sys
from pathlib import Path
from tests.edge.fixtures_keepers import Runner
runner = Runner(Path(sys.argv[1]))
runner.begin(shell=sys.argv[2], cwd=sys.argv[1], inherit_env=True)
runner.until(lambda: Path(sys.argv[1], "ready").exists())
print(runner.instance, flush=True)
while True:
    runner.turn()
"""


@pytest.mark.parametrize("what", ["plain", "overwritten", "threaded", "cleared"])
def test_what_hides_from_a_sweep_is_found_and_called_killed_when_it_is_dead(tmp_path: Path, what):
    (tmp_path / "hidden.py").write_text(HIDDEN)
    bare = "env -i" if what == "cleared" else ""
    command = f"setsid {bare} {sys.executable} -S hidden.py {what} & sleep 600"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), command],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert supervisor.stdout is not None
    instance = supervisor.stdout.readline().strip()
    until(lambda: (tmp_path / "ready").read_text().strip())
    hidden = int((tmp_path / "ready").read_text())
    if what == "threaded":
        until(lambda: state(hidden) == "Z")
    above = [supervisor.pid, *(pid for pid in _all() if parent(pid) == supervisor.pid)]
    above += [pid for pid in _all() if parent(pid) in above[1:]]
    send(signal.SIGSTOP, *above)
    kill(*above)
    supervisor.wait()
    supervisor.stdout.close()

    killed, left = process_tree.kill_stray_instance(instance)

    assert left == []
    assert hidden in {int(name.split()[0]) for name in killed}
    assert state(hidden) in ("", "Z")
    assert not any(instance_mark.is_on(pid, instance) and lives(pid) for pid in _all())


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
