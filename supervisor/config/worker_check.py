"""Checks in child processes that workers exist and that their parameters are valid.

This process never imports a worker. Jobs with the same interpreter, folder and
environment share one child; all children together must answer within LIMIT_S. Every
process that a module leaves running is killed, daemons included: each child carries a
mark of its own, and all processes with that mark are swept afterwards.
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
from typing import Any, BinaryIO

import msgspec

import workers
from supervisor.config.result import WorkerReference
from supervisor.containment import instance_mark, process_tree
from supervisor.core.config_model import Problem

LIMIT_S = 10.0
# A child that writes more is not `workers.validate`.
_MOST_SAID_BYTES = 4 * 1024 * 1024
MOST_PROBLEMS = 100
SWEEP_S = 2.0

# Another Python environment has no `workers` package. Only that package is loaded from
# our folder, so that nothing else of ours becomes importable there.
_BOOT = """
import sys, types
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])
package = sys.modules["workers"] = types.ModuleType("workers")
package.__path__ = [sys.argv[1]]
from workers.validate import main
main()
"""


class ParameterField(msgspec.Struct, frozen=True):
    """A parameter of a worker: `workers.describe.ParameterField`, from another process."""

    name: str
    kind: str
    form: str = ""
    doc: str = ""
    is_required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    may_be_none: bool = False
    is_secret: bool = False


class ChildAnswer(msgspec.Struct, frozen=True):
    """One line from the child: a check begins, found a problem, or all checks are done.

    described: `fields` says what the worker takes; None: any mapping.
    """

    begin: int | None = None
    key: str = ""
    text: str = ""
    hint: str = ""
    end: bool = False
    described: bool = False
    fields: tuple[ParameterField, ...] | None = None


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """Where a worker is checked; python None: our own interpreter."""

    python: str | None = None
    cwd: str = "/"
    env: tuple[tuple[str, str], ...] = ()
    inherit_env: bool = True


@dataclass(frozen=True, slots=True)
class ChildAnswers:
    """All answers of a child, and how it ended."""

    answers: tuple[ChildAnswer, ...]
    ended: str
    in_time: bool = True
    error: str = ""


def check_workers(
    uses: Iterable[WorkerReference], environ: Mapping[str, str], limit_s: float = LIMIT_S
) -> tuple[Problem, ...]:
    """Return the problems of these jobs' workers and parameters, in any order."""
    deadline = time.monotonic() + limit_s
    problems: list[Problem] = []
    for place, asked in _by_environment(uses).items():
        rest = asked
        while rest:
            replies = _ask(place, list(map(_question, rest)), environ, deadline)
            found, answered = _problems(replies, rest, limit_s)
            problems += found
            rest = rest[answered:]
    return tuple(problems[:MOST_PROBLEMS])


@dataclass(frozen=True, slots=True)
class Description:
    """What a worker takes, and the problems of its parameters.

    is_known: whether the worker could be read. fields: None: it takes any mapping.
    """

    is_known: bool
    fields: tuple[ParameterField, ...] | None
    problems: tuple[Problem, ...]


def describe_worker(
    use: WorkerReference, environ: Mapping[str, str], limit_s: float = LIMIT_S
) -> Description:
    """Return what a worker takes, as its child reads it, with the problems of a check."""
    deadline = time.monotonic() + limit_s
    place = next(iter(_by_environment([use])))
    replies = _ask(place, [{**_question(use), "describe": True}], environ, deadline)
    problems, _ = _problems(replies, [use], limit_s)
    found = next((answer for answer in replies.answers if answer.described), None)
    return Description(found is not None, found.fields if found else None, tuple(problems))


def _question(use: WorkerReference) -> dict[str, object]:
    return {"worker": use.worker, "params_json": use.params_json, "cwd": use.cwd}


def _by_environment(
    uses: Iterable[WorkerReference],
) -> dict[WorkerEnvironment, list[WorkerReference]]:
    places: dict[WorkerEnvironment, list[WorkerReference]] = {}
    for use in uses:
        own = use.is_own
        place = (
            WorkerEnvironment(use.python, use.cwd, use.env, use.inherit_env)
            if own
            else WorkerEnvironment()
        )
        places.setdefault(place, []).append(use)
    return places


def _ask(
    place: WorkerEnvironment,
    asked: Sequence[Mapping[str, object]],
    environ: Mapping[str, str],
    deadline: float,
) -> ChildAnswers:
    instance = f"check-{os.getpid()}-{time.monotonic_ns()}"
    # Memory files instead of pipes: a grandchild that keeps them open blocks
    # nothing, and parameters with secrets are not written to disk.
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
                    instance_mark.VARIABLE: instance,
                },
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return ChildAnswers(
                (), f"cannot be started: {getattr(error, 'strerror', None) or error}"
            )
        instance_mark.put_on(child.pid, instance)
        try:
            in_time = _wait(child, deadline)
        finally:
            process_tree.kill_stray_instance(instance, SWEEP_S)
        status = child.returncode
        ended = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
        return ChildAnswers(_answers(_content(out)), ended, in_time, _last_line(_content(err)))


def _command(python: str | None) -> list[str]:
    if python is None:
        # -P: files in the current folder must not shadow our modules.
        return [sys.executable, "-X", "utf8", "-P", "-m", "workers.validate"]
    # UTF-8 regardless of the locale, as in supervisor/containment/spawn.py.
    return [python, "-X", "utf8", "-c", _BOOT, str(Path(workers.__file__).parent)]


def _wait(child: "subprocess.Popen[bytes]", deadline: float) -> bool:
    """Wait for the child until the deadline, then kill its group and reap it.

    Returns whether it exited by itself in time.
    """
    pidfd = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(pidfd)
        # Kill before reaping, while the process group ID cannot have been reused.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return in_time


def _problems(
    replies: ChildAnswers, uses: Sequence[WorkerReference], limit_s: float
) -> tuple[list[Problem], int]:
    """Return the problems in the answers, and the number of jobs that are finished."""
    problems: list[Problem] = []
    current: WorkerReference | None = None
    begun = 0
    for answer in replies.answers:
        if answer.end:
            return problems, len(uses)
        if answer.begin is not None and 0 <= answer.begin < len(uses):
            current, begun = uses[answer.begin], answer.begin + 1
        elif current is not None and not answer.described:
            problems.append(current.problem(answer.key, answer.text, answer.hint))
    if current is None:
        why = (
            replies.error or replies.ended if replies.in_time else f"no answer within {limit_s:g}s"
        )
        problems += [_interpreter(use, why) for use in uses]
        return problems, len(uses)
    if not replies.in_time:
        text = f"import {current.worker}: not done within {limit_s:g}s"
        problems.append(current.problem("worker", text))
        return problems, len(uses)
    text = f"import {current.worker}: ended its process ({replies.ended})"
    problems.append(current.problem("worker", text))
    return problems, begun


def _interpreter(use: WorkerReference, why: str) -> Problem:
    if use.python is None:
        return use.problem("worker", f"cannot be checked: {why}")
    hint = "expected the path of a Python interpreter"
    return use.problem("python", f'interpreter "{use.python}": {why}', hint)


def _answers(content: bytes) -> tuple[ChildAnswer, ...]:
    answers = []
    for line in content.splitlines():
        try:
            answers.append(msgspec.json.decode(line, type=ChildAnswer))
        except msgspec.DecodeError:
            break  # a partial line: the child was killed while writing
    return tuple(answers)


def _memory(content: bytes = b"") -> BinaryIO:
    """Return a memory file that holds `content`, positioned at its start."""
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
