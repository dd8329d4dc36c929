"""Nice and limits apply before a job's first instruction; otherwise nothing starts."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core import events
from supervisor.core.config_model import Limits
from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import ROOT, Runner, exited

OF_OURS = min(19, os.nice(0) + 5)
MANY = 150
# A child that the job forks first, and the job itself, print their nice value and limit.
SHELL = "(nice; ulimit -n) & wait; nice; ulimit -n"


@pytest.mark.parametrize(
    "job",
    [
        {"shell": SHELL},
        {"argv": ("/bin/sh", "-c", SHELL)},
        {"worker": "print_limits"},
    ],
    ids=["shell", "command", "worker"],
)
def test_what_a_job_forks_at_once_is_bound_in_every_one_of_many_runs(runner: Runner, job):
    runs = []
    for _ in range(MANY // 10):
        some = [runner.begin(**job, nice=5, limits=Limits(open_files=77)) for _ in range(10)]
        runner.until_ended(*some)
        runs += some

    assert {tuple(runner.log(run).split()) for run in runs} == {(str(OF_OURS), "77") * 2}


def test_a_worker_of_another_interpreter_is_bound_from_its_start(runner: Runner):
    runs = [
        runner.begin("print_limits", python=sys.executable, nice=5, limits=Limits(open_files=77))
        for _ in range(8)
    ]
    runner.until_ended(*runs)

    assert {tuple(runner.log(run).split()) for run in runs} == {(str(OF_OURS), "77") * 2}


def test_each_limit_is_set_by_its_own_name(runner: Runner):
    limits = Limits(
        address_space=1 << 30, open_files=50, cpu_seconds=9, file_size=4096, processes=12345
    )
    ask = "import resource as r; print(*(r.getrlimit(k) for k in (9, 7, 0, 1, 6)), sep='\\n')"

    runner.run_to_end(argv=(sys.executable, "-S", "-c", ask), limits=limits)

    assert runner.log(1).splitlines() == [
        f"({1 << 30}, {1 << 30})",
        "(50, 50)",
        "(9, 11)",  # SIGXCPU arrives before SIGKILL and names the cause
        "(4096, 4096)",
        "(12345, 12345)",
    ]


def test_a_restrained_job_finds_what_any_other_finds(runner: Runner):
    look = (
        "ls -l /proc/self/fd; cut -d' ' -f1,6 /proc/$$/stat | tr ' ' '\\n' | sort -u | wc -l;"
        "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; env | grep -v '^NIGHTSHIFT' | sort; pwd"
    )
    runner.run_to_end(shell=look)
    runner.run_to_end(shell=look, nice=1)

    def reported(run: int) -> list[str]:
        lines = runner.log(run).splitlines()
        return [
            line.split(" ", 8)[-1].split(" -> pipe:")[0] for line in lines if "/fd" not in line
        ]

    # posix_spawn ignores two of glibc's own signals in its child.
    ours = [line.replace("180000000", "000000000") for line in reported(1)]
    assert ours == [line.replace("180000000", "000000000") for line in reported(2)]


def test_a_restrained_program_is_found_on_the_path_and_missed_by_name(
    runner: Runner, tmp_path: Path
):
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\nulimit -n\n")
    program.chmod(0o755)
    limits = Limits(open_files=64)

    runner.run_to_end(argv=("mine",), env=(("PATH", f"/nope:{tmp_path}"),), limits=limits)
    (missed,) = runner.run_to_end(argv=("not-mine",), limits=limits)
    (forbidden,) = runner.run_to_end(argv=("/etc/passwd",), limits=limits)
    (nul,) = runner.run_to_end(argv=("/bin/echo", "a\0b"), limits=limits)

    assert runner.log(1) == "64\n"
    assert missed.error == 'start "not-mine": no such file or directory'
    assert forbidden.error.startswith('start "/etc/passwd": permission denied')
    assert nul.error == 'start "/bin/echo": embedded null byte'


def test_term_in_the_first_moment_of_a_restrained_job_is_not_lost(runner: Runner):
    runs = [runner.begin(shell="sleep 600", nice=1) for _ in range(8)]

    for run in runs:
        runner.force(run, KillStep.TERM)
    runner.until_ended(*runs)

    assert {exited(runner.of(run)) for run in runs} == {signal.SIGTERM}


@pytest.mark.parametrize("kind", [{"argv": ("touch", "begun")}, {"worker": "touch_file"}])
@pytest.mark.parametrize("python", [None, sys.executable])
def test_a_limit_that_cannot_be_set_is_named_and_nothing_has_begun(
    runner: Runner, tmp_path: Path, kind, python
):
    too_many = 2**62  # more than the kernel allows any process to have open

    (failed,) = runner.run_to_end(
        **kind,
        python=python,
        cwd=str(tmp_path),
        limits=Limits(open_files=too_many),
        env=(("PYTHONPATH", str(ROOT)),),
    )

    assert isinstance(failed, events.LaunchFailed)
    assert failed.error.startswith(f"limits.open_files could not be set to {too_many}: not")
    assert not (tmp_path / "begun").exists()


def test_an_address_space_that_is_too_small_for_a_program_lets_nothing_begin(runner: Runner):
    happened = runner.run_to_end(shell="echo begun", limits=Limits(address_space=4096))

    if isinstance(happened[-1], events.TreeEmpty):
        assert os.WIFSIGNALED(exited(happened))
    else:
        (failed,) = happened
        assert failed.error == "limits.address_space leaves too little memory to start it"
    assert not (runner.runs_dir / "1.log").exists()


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Runner]:
    """Yield a runner whose jobs have a hard limit of 512 files and may not raise it."""
    if os.getuid() == 0:
        pytest.skip("root may raise any limit")
    runner = Runner(tmp_path, limits=[(resource.RLIMIT_NOFILE, 512, 512)])
    yield runner
    runner.close()


def test_a_limit_above_the_hard_one_is_refused_with_both_numbers(unprivileged: Runner):
    (failed,) = unprivileged.run_to_end(shell="echo begun", limits=Limits(open_files=513))

    assert failed.error == (
        "limits.open_files could not be set to 513: not permitted "
        "(the service itself has a hard limit of 512)"
    )
