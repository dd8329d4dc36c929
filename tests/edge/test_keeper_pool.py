"""The keeper pool: launches, a run's environment, its events, and what it leaves."""

import os
import resource
import signal
import stat
import sys
from pathlib import Path

import pytest

from supervisor.containment import run_log
from supervisor.core import events
from tests.edge.fixtures_keepers import Runner, emptied, exited, launch, lives
from workers.protocol import Log

WHOLE_LIFE = ["Started", "Exited", "TreeEmpty"]


def test_a_command_starts_exits_and_leaves_nothing(runner: Runner):
    happened = runner.run_to_end(argv=("/bin/sh", "-c", "echo hello; exit 3"))

    assert [type(event).__name__ for event in happened] == WHOLE_LIFE
    assert os.waitstatus_to_exitcode(exited(happened)) == 3
    assert runner.log(1) == "hello\n"


def test_a_shell_line_is_run_by_the_shell(runner: Runner):
    happened = runner.run_to_end(shell="echo $((6 * 7)) >&2 | cat")

    assert exited(happened) == 0
    assert runner.log(1) == "42\n"


def test_a_program_is_found_on_the_path_of_the_job(runner: Runner, tmp_path: Path):
    program = tmp_path / "my-program"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)

    runner.run_to_end(argv=("my-program",), env=(("PATH", f"/nonexistent:{tmp_path}"),))

    assert runner.log(1) == "mine\n"


def test_a_killed_command_tells_its_signal(runner: Runner):
    happened = runner.run_to_end(shell="kill -9 $$")

    assert os.WTERMSIG(exited(happened)) == signal.SIGKILL


def test_cpu_and_memory_of_the_whole_tree_are_reported(runner: Runner):
    spin = "import time\nwhile time.process_time() < 0.2: pass"

    end = emptied(runner.run_to_end(argv=("/bin/sh", "-c", f"{sys.executable} -c '{spin}'")))

    assert end.cpu_s is not None
    assert end.cpu_s >= 0.2
    assert end.max_rss_bytes is not None
    assert 5_000_000 < end.max_rss_bytes < 500_000_000


def test_a_run_finds_its_story_in_the_environment(runner: Runner):
    runner.run_to_end(shell="env", env=(("COLOUR", "blue"), ("NIGHTSHIFT_RUN", "forged")))

    found = dict(line.split("=", 1) for line in runner.log(1).splitlines())
    assert found["COLOUR"] == "blue"
    assert found.get("HOME") == os.environ.get("HOME")
    assert {key: value for key, value in found.items() if key.startswith("NIGHTSHIFT_")} == {
        "NIGHTSHIFT_JOB": "job-1",
        "NIGHTSHIFT_RUN": "1",
        "NIGHTSHIFT_SLOT": "2026-02-09T02:30:00Z",
        "NIGHTSHIFT_TRIGGER": "manual",
        "NIGHTSHIFT_ATTEMPT": "1",
        "NIGHTSHIFT_TIMEZONE": "UTC",
        "NIGHTSHIFT_INSTANCE": runner.instance,
    }


def test_a_bare_run_inherits_nothing_but_a_plain_path(runner: Runner, monkeypatch):
    runner.run_to_end(argv=("env",), inherit_env=False)

    found = dict(line.split("=", 1) for line in runner.log(1).splitlines())
    assert found["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    assert found["NIGHTSHIFT_INSTANCE"] == runner.instance
    assert "HOME" not in found


def test_one_run_never_sees_the_environment_of_the_one_before(runner: Runner):
    runner.run_to_end("return_input", env=(("SECRET", "1"), ("HOME", "/elsewhere")))

    runner.run_to_end(shell="echo $HOME $SECRET")
    happened = runner.run_to_end(worker=None, shell="env | grep -c SECRET; true")

    assert runner.log(2) == f"{os.environ.get('HOME', '')}\n"
    assert exited(happened) == 0
    assert runner.log(3) == "0\n"


def test_a_run_has_only_its_three_descriptors(runner: Runner):
    runner.run_to_end(argv=("/bin/ls", "-l", "/proc/self/fd"))

    numbers = [line.split()[8] for line in runner.log(1).splitlines()[1:]]
    assert numbers == ["0", "1", "2", "3"]  # the last is ls's own
    assert "0 -> /dev/null" in runner.log(1)


def test_a_run_leads_a_session_with_default_signals_and_an_empty_mask(runner: Runner):
    runner.run_to_end(argv=("cut", "-d ", "-f1,6", "/proc/self/stat"))
    runner.run_to_end(argv=("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"))

    pid, session = runner.log(1).split()
    _, blocked, _, ignored = runner.log(2).split()
    assert pid == session
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & 0x7FFFFFFF == 0  # higher bits: glibc's own


def test_runs_get_the_mask_and_limits_that_the_supervisor_was_started_with(tmp_path: Path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    runner = Runner(tmp_path, umask=0o027, limits=[(resource.RLIMIT_NOFILE, 512, hard)])

    runner.run_to_end(shell="umask; ulimit -n")
    runner.close()

    assert runner.log(1).split() == ["0027", "512"]
    assert stat.S_IMODE((tmp_path / "1.log").stat().st_mode) == 0o600


def test_what_a_command_left_behind_is_killed_and_named(runner: Runner):
    end = emptied(runner.run_to_end(shell="sleep 600 & sleep 601 & sleep 0.2; exit 0"))

    assert sorted(stray.split(" ", 1)[1] for stray in end.strays) == ["sleep 600", "sleep 601"]
    assert not any(lives(int(stray.split()[0])) for stray in end.strays)
    assert runner.processes.strays_killed == 2


def test_the_exit_is_reported_before_the_tree_is_empty(runner: Runner):
    run = runner.begin(shell="sleep 600 & exit 4")
    runner.until_ended(run)

    assert runner.event_names(run) == WHOLE_LIFE
    assert os.waitstatus_to_exitcode(exited(runner.of(run))) == 4


def test_a_daemon_twice_forked_is_found(runner: Runner):
    end = emptied(runner.run_to_end("parent_of_orphans"))

    assert len(end.strays) == 1
    assert not lives(int(end.strays[0].split()[0]))


def test_a_fast_chain_of_forks_is_ended(runner: Runner):
    end = emptied(runner.run_to_end("fork_chain"))

    assert end.strays


def test_at_most_twenty_strays_are_named(runner: Runner):
    end = emptied(runner.run_to_end(shell="for i in $(seq 30); do sleep 600 & done"))

    assert len(end.strays) == 21
    assert end.strays[-1] == "and 10 more"


def test_a_long_stray_is_named_in_part(runner: Runner):
    end = emptied(runner.run_to_end(shell=f"sh -c 'sleep 600; : {'x' * 1000}' &"))

    assert max(len(stray) for stray in end.strays) < 220


def test_a_megabyte_of_output_is_kept_whole(runner: Runner):
    end = emptied(runner.run_to_end("print_megabyte"))

    text = run_log.join(runner.runs_dir, 1).decode()
    assert text == "".join(f"{number:063d}\n" for number in range(16_384))
    assert end.log_bytes == run_log.size(runner.runs_dir, 1)


def test_of_a_hundred_megabytes_the_ends_are_kept(runner: Runner):
    end = emptied(runner.run_to_end("print_hundred_megabytes"))

    kept = run_log.join(runner.runs_dir, 1)
    assert end.log_bytes < 2_000_000
    assert kept.endswith(b"the end\n")
    assert b" bytes dropped ---\n" in kept


def test_attempts_follow_each_other_in_one_log(runner: Runner):
    runner.run_to_end(shell="echo first")

    runner.happened.clear()
    again = launch(1, attempt=2, shell="echo second")
    runner.processes.launch(again, events.At(again.run.due, 0.0))
    runner.until_ended(1)

    assert runner.log(1) == "first\n--- attempt 2 ---\nsecond\n"


@pytest.mark.parametrize("number", [0, -3])
def test_an_internal_job_writes_no_file_and_says_its_last_output(runner: Runner, number: int):
    internal_job = launch(number, shell="seq 10000 >&2; echo the end")

    runner.processes.launch(internal_job, events.At(internal_job.run.due, 0.0))
    runner.until_ended(number)

    (tail,) = [m for m in runner.messages(number) if isinstance(m, Log)]
    assert tail.text.endswith("10000\nthe end\n")
    assert len(tail.text) == 4096
    assert list(runner.runs_dir.iterdir()) == []


def test_an_outsider_who_holds_the_output_open_delays_nothing(runner: Runner):
    run = runner.begin(shell="echo before; sleep 0.3")
    with open(f"/proc/{runner.pid(run)}/fd/1", "wb"):
        runner.until_ended(run)

    assert runner.log(run) == "before\n"
