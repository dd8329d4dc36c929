"""A launch that fails says what is wrong: the program, its folder, its size, its limits."""

import os
import shutil
from pathlib import Path

import pytest

from supervisor.core import events
from tests.edge.fixtures_keepers import Runner, exited

MACHINE = os.uname().machine
FOREIGN = (
    b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0" + (b"\x3e" if MACHINE != "x86_64" else b"\xb7")
)
UNFIT = [
    ("CR LF", b"#!/bin/sh\r\necho\r\n", "no such file or directory: its first line ends in CR LF, "
     'so that its interpreter is "/bin/sh\\r": save it with UNIX line ends'),
    ("no interpreter", b"#!/no/such/perl -w\n",
     'no such file or directory: its interpreter "/no/such/perl" does not exist'),
    ("blanks before it", b"#! \t/no/such/perl\n",
     'no such file or directory: its interpreter "/no/such/perl" does not exist'),
    ("an interpreter that may not be run", b"#!/etc/passwd\n",
     'permission denied: its interpreter "/etc/passwd" is not executable (chmod +x)'),
    ("an interpreter that is a folder", b"#!/etc\n",
     'permission denied: its interpreter "/etc" is a directory'),
    ("empty", b"", "exec format error: it is empty"),
    ("no first line", b"echo hello\n", "exec format error: it is a text without a \"#!\" line: "
     'begin it with "#!/bin/sh", for example'),
    ("a byte order mark", b"\xef\xbb\xbf#!/bin/sh\n", "exec format error: it begins with a byte "
     'order mark, expected "#!" as its first two bytes'),
    ("another machine", FOREIGN + bytes(64), f"exec format error: it is built for "
     f"{'aarch64' if MACHINE == 'x86_64' else 'x86_64'}, and this machine is {MACHINE}"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("job", "error"),
    [
        ({"argv": ("/nope",)}, 'start "/nope": no such file or directory'),
        ({"argv": ("no-such-program",)}, 'start "no-such-program": no such file or directory'),
        ({"argv": ("/bin/true",), "cwd": "/nope"}, 'cwd "/nope": no such file or directory'),
        ({"argv": ("/bin/true",), "cwd": "/etc/passwd"}, 'cwd "/etc/passwd": not a directory'),
        ({"argv": ("/bin/true", "a\0b")}, 'start "/bin/true": embedded null byte'),
        ({"worker": "a:b", "cwd": "/nope"}, 'cwd "/nope": no such file or directory'),
        ({"worker": "a:b", "python": "/nope"}, 'start "/nope": no such file or directory'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_started_fails_by_name(runner: Runner, job, error):
    happened = runner.run_to_end(**job)

    assert [(type(event).__name__, event.error) for event in happened] == [("LaunchFailed", error)]
    assert runner.event_names(runner.begin(argv=("/bin/true",))) == []


def test_a_definition_too_large_for_a_packet_fails_with_its_size(runner: Runner):
    (failed,) = runner.run_to_end(argv=("/bin/true", "x" * 300_000))

    assert isinstance(failed, events.LaunchFailed)
    assert "300" in failed.error
    assert "bytes" in failed.error


def test_a_large_definition_that_fits_is_run(runner: Runner):
    happened = runner.run_to_end(argv=("/bin/sh", "-c", "echo $#", "sh", *["x" * 1000] * 150))

    assert exited(happened) == 0
    assert runner.log(1) == "150\n"


def script(folder: Path, content: bytes, mode: int = 0o755) -> str:
    path = folder / "job"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("way", ["command", "restrained", "python"])
@pytest.mark.parametrize(("content", "why"), [pytest.param(*row, id=name) for name, *row in UNFIT])
def test_a_file_that_cannot_be_executed_says_what_is_wrong_with_it(
    runner: Runner, tmp_path: Path, content, why, way
):
    path = script(tmp_path, content)
    job = {"worker": "a:b", "python": path} if way == "python" else {"argv": (path,)}

    (failed,) = runner.run_to_end(**job, nice=1 if way == "restrained" else 0)

    assert failed.error == f'start "{path}": {why}'


def test_a_program_that_is_a_folder_a_dead_link_busy_or_not_executable_says_so(
    runner: Runner, tmp_path: Path
):
    (tmp_path / "link").symlink_to("/no/such/target")
    shutil.copy("/bin/true", tmp_path / "busy")
    paths = [str(tmp_path), str(tmp_path / "link"), script(tmp_path, b"#!/bin/sh\n", 0o644)]
    reported = [runner.run_to_end(argv=(path,))[0].error for path in paths]
    with open(tmp_path / "busy", "ab"):
        reported.append(runner.run_to_end(argv=(str(tmp_path / "busy"),))[0].error)

    assert reported == [
        f'start "{tmp_path}": permission denied: it is a directory',
        f'start "{tmp_path}/link": no such file or directory: '
        'it is a symbolic link to "/no/such/target", which does not exist',
        f'start "{tmp_path}/job": permission denied: it is not executable (chmod +x)',
        f'start "{tmp_path}/busy": text file busy: a program still has it open for writing',
    ]


def test_an_argument_or_a_variable_that_is_too_long_is_named_with_its_size(runner: Runner):
    (argument,) = runner.run_to_end(argv=("/bin/true", "x" * 140_000))
    (variable,) = runner.run_to_end(argv=("/bin/true",), env=(("LONG", "x" * 140_000),))

    assert argument.error == (
        'start "/bin/true": argument list too long: one argument has 140000 bytes, '
        "and at most 131071 are possible"
    )
    assert variable.error == (
        'start "/bin/true": argument list too long: the variable LONG has 140005 bytes, '
        "and at most 131071 are possible"
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root may set any nice value")
def test_a_nice_that_is_not_permitted_fails_the_launch(runner: Runner):
    (failed,) = runner.run_to_end(argv=("/bin/sleep", "600"), nice=-5)

    assert isinstance(failed, events.LaunchFailed)
    assert "nice could not be set" in failed.error
