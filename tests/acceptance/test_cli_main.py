"""The command line itself: verbs, help, exit statuses, unusual standard outputs."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from supervisor.cli.main import program
from tests.acceptance.daemon import NIGHTSHIFT, Sandbox

VERBS = program.list_commands(None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_help_lists_every_verb_without_importing_it(sandbox: Sandbox) -> None:
    said = sandbox.says("--help")

    assert all(f"\n  {verb} " in said for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb: str) -> None:
    found = program.get_command(None, verb)  # type: ignore[arg-type]

    assert found is not None
    assert found.name == verb
    assert found.help is not None
    assert f"nightshift {verb}" in found.help or verb == "healthcheck"


@pytest.mark.parametrize("verb", ["cluster", "import"])
def test_a_group_without_its_command_prints_its_help_in_lines(sandbox: Sandbox, verb: str) -> None:
    status, said = sandbox.refuses(verb)

    assert (status, "\nCommands:\n" in said) == (2, True)


def test_a_verb_that_is_not_there_is_answered_with_the_nearest(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("statsu")

    assert (status, 'did you mean "status"?' in said) == (2, True)


@pytest.mark.parametrize(
    "words",
    [("status",), ("run", "a"), ("logs", "7"), ("stop",), ("reload",), ("next",), ("incidents",)],
    ids=" ".join,
)
def test_without_a_supervisor_the_socket_is_named_and_the_status_is_3(
    sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    status, said = sandbox.refuses(*words)

    assert status == 3
    assert str(sandbox.socket) in said
    assert "nightshift start" in said


def test_a_closed_pipe_ends_a_command_silently(sandbox: Sandbox) -> None:
    writer = subprocess.Popen(
        [*NIGHTSHIFT, "next", "--cron", "* * * * *", "-n", "5000"],
        env=sandbox.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.read(10)
    writer.stdout.close()

    assert writer.wait(10) == 1
    assert writer.stderr is not None
    assert writer.stderr.read() == b""


def test_a_full_disk_under_standard_output_is_named(sandbox: Sandbox) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*NIGHTSHIFT, "schema"], env=sandbox.environ, stdout=full, stderr=subprocess.PIPE
        )

    assert done.returncode == 1
    assert b"standard output: No space left" in done.stderr
    assert b"Traceback" not in done.stderr


PRINTING = (
    "--help", "--version", "check --help", "check", "check --json", "schema", "simulate",
    "next --cron @daily", "completion bash", "import crontab table", "doctor", "run hello --local",
)  # fmt: skip


@pytest.fixture(scope="module")
def printing_sandbox() -> Iterator[Sandbox]:
    with Sandbox("jobs: {hello: {command: [echo, hi], cron: '@daily'}}\n") as sandbox:
        (sandbox.root / "table").write_text("0 2 * * * x &\n")
        yield sandbox


@pytest.mark.parametrize("words", PRINTING)
def test_output_that_cannot_be_written_is_a_failure_without_a_traceback(
    printing_sandbox: Sandbox, words: str
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open("/dev/full", "w") as full, os.fdopen(write_end, "w") as gone:
        for stdout in (full, gone):
            done = subprocess.run(
                [*NIGHTSHIFT, *words.split()],
                env=printing_sandbox.environ,
                cwd=printing_sandbox.root,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )

            assert done.returncode == 1
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("words", "status"),
    [("nosuch", 2), ("check nosuch", 2), ("show x", 3), ("import crontab nosuch", 2)],
)
def test_a_complaint_that_cannot_be_written_leaves_the_exit_status(
    printing_sandbox: Sandbox, words: str, status: int
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open("/dev/full", "w") as full, os.fdopen(write_end, "w") as gone:
        for stderr in (full, gone):
            done = subprocess.run(
                [*NIGHTSHIFT, *words.split()],
                env=printing_sandbox.environ,
                cwd=printing_sandbox.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

            assert done.returncode == status


def test_a_missing_home_does_not_matter_if_the_socket_is_named(
    sandbox: Sandbox,
) -> None:
    environ = {"PATH": sandbox.environ["PATH"], "NIGHTSHIFT_SOCKET": "/tmp/nowhere.sock"}

    done = subprocess.run(
        [*NIGHTSHIFT, "status"], env=environ, capture_output=True, text=True, cwd="/"
    )

    assert done.returncode == 3
    assert "/tmp/nowhere.sock" in done.stderr
