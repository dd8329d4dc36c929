"""Run the real supervisor in a temporary folder, driven by its command line.

The folder is directly under /tmp, because a socket path may not be long. The tester's
environment is not inherited, except PATH.

A supervisor is a new Python process. A command is a fork of this process that runs
`nightshift`: two hundred new interpreters would take half a minute, and another user may
not be able to read the files of this interpreter.
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from supervisor.cli.main import COMMANDS, main
from tests.waiting import until

NIGHTSHIFT = (sys.executable, "-m", "supervisor")
LIMIT_S = 40
CRASHED = 99

# Imported here, so that no fork has to import them.
importlib.import_module("supervisor.cli.run_local")
for name, _, _ in COMMANDS.values():
    importlib.import_module(f"supervisor.cli.commands.{name}")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit status and output of a command."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Forked:
    """A long-running command in a fork of this process. stdout: a pipe of what it prints."""

    pid: int
    stdout: IO[str]

    def end(self) -> int:
        """Send SIGTERM and return the exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        ended: list[int] = []

        def has_ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ended.extend([status] if pid else [])
            return bool(ended)

        until(has_ended, within_s=LIMIT_S)
        self.stdout.close()
        return os.waitstatus_to_exitcode(ended[0])


class Sandbox:
    """A folder with jobs.yaml, state folder and socket; no supervisor runs in it yet."""

    def __init__(self, jobs: str = "") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="nightshift-", dir="/tmp"))
        self.config = self.root / "jobs.yaml"
        self.state = self.root / "state"
        self.socket = self.state / "nightshift.sock"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "NIGHTSHIFT_STATE_DIR": str(self.state),
            "TZ": "UTC",
        }
        if jobs:
            self.config.write_text(jobs)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *ended: object) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def ask(self, *words: str, uid: int | None = None, **environ: str) -> CommandResult:
        """Run `nightshift words…` and return its exit status and output."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                os.chdir(self.root)
                _become(words, (out.fileno(), err.fileno()), {**self.environ, **environ}, uid)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            return CommandResult(status, _content(out), _content(err))

    def fork(self, *words: str, stderr: IO[Any]) -> Forked:
        """Start a long-running command as a fork; a new interpreter would cost half a second."""
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            os.chdir(self.root)
            _become(words, (theirs, stderr.fileno()), self.environ, None)
        os.close(theirs)
        return Forked(pid, os.fdopen(ours))

    def says(self, *words: str) -> str:
        """Return the standard output of a command that must succeed."""
        done = self.ask(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *words: str) -> Any:
        """Return the decoded JSON output of a command that must succeed."""
        return json.loads(self.says(*words, "--json"))

    def refuses(self, *words: str) -> tuple[int, str]:
        """Return exit status and standard error of a command that must fail."""
        done = self.ask(*words)
        assert "Traceback" not in done.stderr
        assert done.returncode != 0
        return done.returncode, done.stderr

    def begin(self, *words: str, **pipes: IO[Any] | int) -> "subprocess.Popen[str]":
        """Start a long-running command in a new Python process."""
        ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*NIGHTSHIFT, *words],
            cwd=self.root,
            env=self.environ,
            text=True,
            **{**ends, **pipes},  # type: ignore[call-overload]
        )


def _become(
    words: tuple[str, ...], outputs: tuple[int, int], environ: Mapping[str, str], uid: int | None
) -> NoReturn:
    """Replace this forked process by `nightshift words…`."""
    status = CRASHED
    try:
        for place, fd in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
            os.dup2(fd, place)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        if uid is not None:
            os.setgroups([])
            os.setuid(uid)
        sys.argv = ["nightshift", *words]
        status = main()
        sys.stdout.flush()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@contextmanager
def supervised(sandbox: Sandbox, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a supervisor until it answers, and stop it at the end unless it has exited."""
    with open(sandbox.root / "log", "w+") as log:
        process = sandbox.begin("start", *words, stdout=log, stderr=log)
        try:
            until(lambda: process.poll() is not None or sandbox.socket.exists(), within_s=30)
            until(lambda: sandbox.ask("healthcheck").returncode == 0, within_s=30)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


@contextmanager
def living(jobs: str, *words: str) -> Iterator[Sandbox]:
    """Yield a sandbox with a running supervisor."""
    with Sandbox(jobs) as sandbox, supervised(sandbox, *words):
        yield sandbox
