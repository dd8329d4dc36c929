"""The first code in a worker's process: from an assignment to an exit status.

Forked by a keeper, or exec'd in another interpreter (`main`); hence standard
library only, and nothing of the supervisor. It speaks on one pipe, in the
words of `protocol`, and decides nothing but how an ending is called.

The law: whatever a worker does - raises, exits, returns nonsense - one `done`
or `failed` is said, unless there is nobody left to hear it.
"""

import contextlib
import ctypes
import dataclasses
import errno
import io
import json
import os
import signal
import sys
import time
import traceback
import typing
from datetime import datetime
from math import isfinite

from workers import entry, environment, params, protocol
from workers.report import Report, WorkerFailed

PROGRESS_EVERY_S = 0.1
# Python writes no longer number as text than one of 4,300 digits.
_MOST_BITS = 14_000
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """What a keeper tells a worker's process.

    worker: `module.function` among the built-in ones, `package.module:function`
        of a user's. params, set_json: JSON objects, the second laid over the
        first. slot: RFC 3339. message_fd: where to speak.
    """

    worker: str
    params: str
    set_json: str
    slot: str
    timezone: str
    dry_run: bool
    message_fd: int


class Failure(Exception):  # noqa: N818 - a worker's end, not a mistake of this file
    """An ending that is known before, or in spite of, the worker's own code."""


def main(assignment_fd: int, keeper: int) -> typing.NoReturn:
    """The way in for another interpreter: the assignment lies in a file without a name."""
    die_with(keeper)
    environment.restore()
    if sys.path[:1] == [""]:  # the `-c` of the command line; a user's function gets it back
        del sys.path[0]
    speak_by_the_line()
    with open(assignment_fd, "rb") as file:
        assignment = Assignment(**json.loads(file.read()))
    leave(run(assignment))


def die_with(keeper: int) -> None:
    """Be killed when the keeper dies, also if it has died already."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != keeper:
        os.kill(os.getpid(), signal.SIGKILL)


def speak_by_the_line() -> None:
    """Let each printed line stand in the log at once, in UTF-8, whatever characters it has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", line_buffering=True, errors="backslashreplace")


def leave(status: int) -> typing.NoReturn:
    """End this process without running what an importer left in atexit."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads
            stream.flush()
    os._exit(status)


def run(assignment: Assignment) -> int:
    """Do the work and say how it ended; 0 after done, 1 after failed."""
    sys.argv = [assignment.worker]
    voice = Voice(assignment.message_fd)
    report = Report(
        send=voice.say,
        slot=datetime.fromisoformat(assignment.slot),
        timezone=assignment.timezone,
        dry_run=assignment.dry_run,
    )

    def cancel(*_: object) -> None:
        report.cancelled = True

    signal.signal(signal.SIGTERM, cancel)
    try:
        voice.say(protocol.Started())
        ending = _ending(assignment, report)
        if report.cancelled and isinstance(ending, protocol.Failed):
            # Why the supervisor ends a run it knows better: its own words then stand.
            words = f"ended by SIGTERM from outside: {ending.error}"
            ending = dataclasses.replace(ending, error=words)
        voice.say(ending)
    except BrokenPipeError:  # the supervisor is gone, or has heard enough
        return 1
    return 0 if isinstance(ending, protocol.Done) else 1


class Voice:
    """Messages onto a pipe; of progress at most ten a second."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: protocol.Progress | None = None
        self._next_progress = 0.0

    def say(self, message: protocol.Message) -> None:
        """Write one message; progress that comes too fast waits for the next word.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        if isinstance(message, protocol.Progress):
            now = time.monotonic()
            if now < self._next_progress:
                self._held = message
                return
            self._next_progress = now + PROGRESS_EVERY_S
            self._held = None
        elif isinstance(message, protocol.Log):
            with contextlib.suppress(OSError, ValueError):  # the worker may have closed it
                print(message.text, file=sys.stderr)
        elif self._held is not None and isinstance(message, protocol.Done | protocol.Failed):
            held, self._held = self._held, None
            self._write(held)
        self._write(message)

    def _write(self, message: protocol.Message) -> None:
        rest = memoryview(protocol.encode(message))
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _ending(assignment: Assignment, report: Report) -> protocol.Done | protocol.Failed:
    try:
        worker = _found(assignment.worker)
        given = {**json.loads(assignment.params), **json.loads(assignment.set_json)}
        typed = given if worker.params is None else params.parse(worker.params, given)
        return protocol.Done(_flat(worker.function(typed, report)))
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as missing:
        _print_traceback()
        return protocol.Failed(_lacks(assignment.worker, missing.name or ""), permanent=True)
    except WorkerFailed as failed:
        # `fail(error)` instead of `fail(str(error))` is what many write.
        return protocol.Failed(_words(failed.error), bool(failed.permanent))
    except (Failure, params.BadParams) as failed:
        return protocol.Failed(str(failed), permanent=True)
    except MemoryError:
        return protocol.Failed("out of memory (limits.address_space?)", permanent=False)
    except SystemExit as leaving:
        return _exit(leaving.code)
    except BaseException as error:  # the outermost edge of this process
        _print_traceback()
        said = f"{type(error).__name__}: {_words(error)}{_limit_met(error)}"
        return protocol.Failed(said, permanent=False)


def _limit_met(error: BaseException) -> str:
    """Which limit of the job may be behind an error."""
    number = error.errno if isinstance(error, OSError) else None
    name = {errno.EFBIG: "file_size", errno.EMFILE: "open_files"}.get(number or 0)
    return f" (limits.{name}?)" if name else ""


def _found(name: str) -> entry.Entry:
    if ":" in name:
        sys.path.insert(0, os.getcwd())
    try:
        return entry.find(name)
    except entry.NoEntry as missing:
        where = f" (looked for in {os.getcwd()} and this interpreter)" if ":" in name else ""
        raise Failure(f"worker {name}: {missing}{where}") from missing


def _lacks(name: str, missing: str) -> str:
    package = missing.partition(".")[0]
    return f'worker {name} needs the package "{package}", which this interpreter does not have'


def _flat(result: object) -> dict[str, protocol.Scalar]:
    if result is None:
        return {}
    if not isinstance(result, dict):
        raise Failure(f"the worker returned {type(result).__name__}; expected a dict or None")
    for key, value in result.items():
        if not isinstance(key, str):
            raise Failure(f"result: the key {key!r} is no text")
        if not isinstance(value, protocol.Scalar):
            raise Failure(f"result.{key} is {type(value).__name__}; expected a number or text")
        if isinstance(value, float) and not isfinite(value):
            raise Failure(f"result.{key} is {value}; expected a finite number")
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise Failure(
                f"result.{key} is a number of {value.bit_length()} bits; expected at most "
                f"{_MOST_BITS}: return it as text"
            )
    return result


def _words(said: object) -> str:
    """Return the text of an error, also of one whose own `__str__` raises."""
    try:
        return str(said)
    except Exception as error:  # of the worker's own class; its ending must be said anyway
        return f"(its text cannot be made: {type(error).__name__})"


def _print_traceback() -> None:
    with contextlib.suppress(OSError, ValueError):  # the worker may have closed it
        traceback.print_exc()


def _exit(code: object) -> protocol.Done | protocol.Failed:
    if code is None or code == 0:
        return protocol.Done({})
    return protocol.Failed(
        f"exit status {code}" if isinstance(code, int) else _words(code), permanent=False
    )
