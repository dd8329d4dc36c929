"""Asks a child process whether the workers are there and their parameters fit.

This process never imports a worker. Jobs that would run in the same place
(interpreter, folder, environment) are asked about together; all together must
be answered within LIMIT_S. Whatever a module left running is killed, also what made
itself a daemon: each child carries a mark of its own, which is then swept for.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

import workers
from supervisor.config.outcome import WorkerUse
from supervisor.containment import marks, tree
from supervisor.core.model import Problem

LIMIT_S = 10.0
# A child that says more is not one of ours; nobody mends more mistakes at once.
_MOST_SAID_BYTES = 4 * 1024 * 1024
MOST_PROBLEMS = 100
SWEEP_S = 2.0

# Another environment has no `workers`; it is loaded from our folder, alone, so
# that nothing else of ours becomes importable there.
_BOOT = """
import sys, types
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])
package = sys.modules["workers"] = types.ModuleType("workers")
package.__path__ = [sys.argv[1]]
from workers.check import main
main()
"""


class Answer(msgspec.Struct, frozen=True):
    """A line of the child: it begins with a question, found a problem, or has done all."""

    begin: int | None = None
    key: str = ""
    text: str = ""
    hint: str = ""
    end: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is asked for; python None: our own interpreter."""

    python: str | None = None
    cwd: str = "/"
    env: tuple[tuple[str, str], ...] = ()
    inherit_env: bool = True


@dataclass(frozen=True, slots=True)
class Heard:
    """All that a child said, and how it ended."""

    answers: tuple[Answer, ...]
    ended: str
    in_time: bool = True
    error: str = ""


def check_workers(
    uses: Iterable[WorkerUse], environ: Mapping[str, str], limit_s: float = LIMIT_S
) -> tuple[Problem, ...]:
    """What is wrong with the workers and parameters of these jobs, in any order."""
    deadline = time.monotonic() + limit_s
    problems: list[Problem] = []
    for place, asked in _by_place(uses).items():
        rest = asked
        while rest:
            heard = _ask(place, rest, environ, deadline)
            found, answered = _problems(heard, rest, limit_s)
            problems += found
            rest = rest[answered:]
    return tuple(problems[:MOST_PROBLEMS])


def _by_place(uses: Iterable[WorkerUse]) -> dict[Place, list[WorkerUse]]:
    places: dict[Place, list[WorkerUse]] = {}
    for use in uses:
        own = use.is_own
        place = Place(use.python, use.cwd, use.env, use.inherit_env) if own else Place()
        places.setdefault(place, []).append(use)
    return places


def _ask(
    place: Place, uses: Sequence[WorkerUse], environ: Mapping[str, str], deadline: float
) -> Heard:
    instance = f"check-{os.getpid()}-{time.monotonic_ns()}"
    fields = ("worker", "params_json", "cwd")
    asked = [{field: getattr(use, field) for field in fields} for use in uses]
    # Files in memory, not pipes: a grandchild that keeps them open holds up
    # nobody, and parameters with secrets touch no disk.
    with _memory(msgspec.json.encode(asked)) as stdin, _memory() as out, _memory() as err:
        try:
            child = subprocess.Popen(
                _command(place.python),
                stdin=stdin,
                stdout=out,
                stderr=err,
                cwd="/",
                env={
                    **(environ if place.inherit_env else {}),
                    **dict(place.env),
                    marks.VARIABLE: instance,
                },
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Heard((), f"cannot be started: {getattr(error, 'strerror', None) or error}")
        marks.put_on(child.pid, instance)
        try:
            in_time = _wait(child, deadline)
        finally:
            tree.sweep(instance, SWEEP_S)
        status = child.returncode
        ended = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
        return Heard(_answers(_content(out)), ended, in_time, _last_line(_content(err)))


def _command(python: str | None) -> list[str]:
    if python is None:
        # -P: what lies in the current folder must not stand in for our modules.
        return [sys.executable, "-X", "utf8", "-P", "-m", "workers.check"]
    # UTF-8 whatever the locale, as the keeper will start it.
    return [python, "-X", "utf8", "-c", _BOOT, str(Path(workers.__file__).parent)]


def _wait(child: "subprocess.Popen[bytes]", deadline: float) -> bool:
    """Whether the child ended by itself in time; it and its group are gone after."""
    pidfd = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(pidfd)
        # Before it is reaped, so that the number cannot be another group's yet.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return in_time


def _problems(
    heard: Heard, uses: Sequence[WorkerUse], limit_s: float
) -> tuple[list[Problem], int]:
    """The problems that were heard of, and how many of the jobs are done with."""
    problems: list[Problem] = []
    current: WorkerUse | None = None
    begun = 0
    for answer in heard.answers:
        if answer.end:
            return problems, len(uses)
        if answer.begin is not None and 0 <= answer.begin < len(uses):
            current, begun = uses[answer.begin], answer.begin + 1
        elif current is not None:
            problems.append(current.problem(answer.key, answer.text, answer.hint))
    if current is None:
        why = heard.error or heard.ended if heard.in_time else f"no answer within {limit_s:g}s"
        problems += [_interpreter(use, why) for use in uses]
        return problems, len(uses)
    if not heard.in_time:
        text = f"import {current.worker}: not done within {limit_s:g}s"
        problems.append(current.problem("worker", text))
        return problems, len(uses)
    text = f"import {current.worker}: ended its process ({heard.ended})"
    problems.append(current.problem("worker", text))
    return problems, begun


def _interpreter(use: WorkerUse, why: str) -> Problem:
    if use.python is None:
        return use.problem("worker", f"cannot be checked: {why}")
    hint = "expected the path of a Python interpreter"
    return use.problem("python", f'interpreter "{use.python}": {why}', hint)


def _answers(content: bytes) -> tuple[Answer, ...]:
    answers = []
    for line in content.splitlines():
        try:
            answers.append(msgspec.json.decode(line, type=Answer))
        except msgspec.DecodeError:
            break  # half a line: it was killed while it wrote
    return tuple(answers)


def _memory(content: bytes = b"") -> BinaryIO:
    """A file in memory that begins with `content`, to be read from there."""
    file = os.fdopen(os.memfd_create("check"), "w+b")
    file.write(content)
    file.seek(0)
    return file


def _content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_MOST_SAID_BYTES)


def _last_line(content: bytes) -> str:
    lines = content[-4000:].decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
