"""The first code in a worker process: run an assignment and return an exit status.

The process is forked by the keeper, or started in another interpreter (`main`), so this
module uses the standard library only and does not import the supervisor. It writes
`protocol` messages to one pipe.

Invariant: whatever a worker does (raise, exit, return a wrong type), exactly one `done`
or `failed` message is sent, unless the reader of the pipe is gone.
"""

import _signal  # the functions of `signal`, without its enums: a tenth of a short run's pages
import contextlib
import ctypes
import dataclasses
import errno
import io
import json
import os
import select
import sys
import time
import traceback
import typing
from collections.abc import Callable
from datetime import datetime
from math import isfinite

from workers import environment, loader, params, protocol
from workers.report import Report, WorkerError

PROGRESS_EVERY_S = 0.1
# Python's default limit for int to str conversion is 4,300 digits.
_MOST_BITS = 14_000
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl
# Encoded before the fork: each page that a child is the first to use costs it microseconds.
_STARTED = protocol.encode(protocol.Started())


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """What the keeper passes to a worker process.

    worker: `module.function` for a built-in worker, `package.module:function` for a
        user's function. params, set_json: JSON objects; the second overrides the
        first. slot: RFC 3339. message_fd: descriptor to write messages to.
    """

    worker: str
    params: str
    set_json: str
    slot: str
    timezone: str
    dry_run: bool
    message_fd: int


class BootstrapError(Exception):
    """A failure detected by this module rather than raised by the worker."""


def main(assignment_fd: int, keeper: int) -> typing.NoReturn:
    """Run the assignment read from an anonymous file; entry point of another interpreter."""
    die_with_parent(keeper)
    environment.restore()
    if sys.path[:1] == [""]:  # added by `python -c`; _find_entry() adds the working directory
        del sys.path[0]
    line_buffer_stdio()
    with open(assignment_fd, "rb") as file:
        assignment = Assignment(**json.loads(file.read()))
    leave(prepared(assignment)())


def die_with_parent(keeper: int) -> None:
    """Arrange to be killed when the keeper dies, including when it has died already."""
    _prctl(_PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        os.kill(os.getpid(), _signal.SIGKILL)


def line_buffer_stdio() -> None:
    """Make stdout and stderr line-buffered UTF-8 that escapes unencodable characters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", line_buffering=True, errors="backslashreplace")


def leave(status: int) -> typing.NoReturn:
    """Exit without running atexit handlers that imported modules registered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # closed, or no reader
            continue
    os._exit(status)


def prepared(assignment: Assignment) -> Callable[[], int]:
    """Return a function that runs the worker and reports the outcome, once, in its process.

    It returns 0 after done, 1 after failed. What does not depend on the process is done
    here, so that a keeper does it before the fork.
    """
    voice = MessageWriter(assignment.message_fd)
    report = Report(
        send=voice.send,
        slot=datetime.fromisoformat(assignment.slot),
        timezone=assignment.timezone,
        dry_run=assignment.dry_run,
    )

    def cancel(*_: object) -> None:
        report.cancelled = True

    def run() -> int:
        sys.argv = [assignment.worker]
        _signal.signal(_signal.SIGTERM, cancel)
        return _run(assignment, voice, report)

    return run


def _run(assignment: Assignment, voice: "MessageWriter", report: Report) -> int:
    try:
        voice.write(_STARTED)
        ending = _ending(assignment, report)
        if report.cancelled and isinstance(ending, protocol.Failed):
            # A stop by the supervisor has its own reason there, which replaces this text.
            words = f"ended by SIGTERM from outside: {ending.error}"
            ending = dataclasses.replace(ending, error=words)
        voice.send(ending)
    except BrokenPipeError:  # the supervisor is gone or has closed the pipe
        return 1
    return 0 if isinstance(ending, protocol.Done) else 1


class MessageWriter:
    """Writer of messages to a pipe; sends at most ten progress messages a second."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: protocol.Progress | None = None
        self._next_progress = 0.0

    def send(self, message: protocol.Message) -> None:
        """Write one message; hold back a progress message that follows too soon.

        The last held progress message is sent before `done` or `failed`.

        Raises:
            BrokenPipeError: the pipe has no reader.
        """
        if isinstance(message, protocol.Progress):
            now = time.monotonic()
            if now < self._next_progress:
                self._held = message
                return
            self._next_progress = now + PROGRESS_EVERY_S
            self._held = None
        elif isinstance(message, protocol.Log):
            with contextlib.suppress(OSError, ValueError):  # the worker may have closed stderr
                print(message.text, file=sys.stderr)
        elif self._held is not None and isinstance(message, protocol.Done | protocol.Failed):
            held, self._held = self._held, None
            self.write(protocol.encode(held))
        self.write(protocol.encode(message))

    def write(self, line: bytes) -> None:
        """Write one encoded message.

        Raises:
            BrokenPipeError: the pipe has no reader.
        """
        if len(line) <= select.PIPE_BUF:  # written as a whole
            os.write(self._fd, line)
            return
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _ending(assignment: Assignment, report: Report) -> protocol.Done | protocol.Failed:
    try:
        worker = _find_entry(assignment.worker)
        given = {**_object(assignment.params), **_object(assignment.set_json)}
        typed = given if worker.params is None else params.parse(worker.params, given)
        return protocol.Done(_flat(worker.function(typed, report)))
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as missing:
        _print_traceback()
        return protocol.Failed(_missing(assignment.worker, missing.name or ""), permanent=True)
    except WorkerError as failed:
        # Workers often pass an exception to `fail` instead of its text.
        said, permanent = _words(failed.error), bool(failed.permanent)
        return protocol.Failed(said, permanent, str(failed.incident))
    except (BootstrapError, params.ParamsError) as failed:
        return protocol.Failed(str(failed), permanent=True)
    except MemoryError:
        return protocol.Failed("out of memory (limits.address_space?)", permanent=False)
    except SystemExit as leaving:
        return _exit(leaving.code)
    except BaseException as error:  # last handler of this process
        _print_traceback()
        said = f"{type(error).__name__}: {_words(error)}{_limit_met(error)}"
        return protocol.Failed(said, permanent=False)


def _object(text: str) -> dict[str, typing.Any]:
    return json.loads(text) if text != "{}" else {}


def _limit_met(error: BaseException) -> str:
    """Return a hint at the job limit that may have caused an error, or an empty string."""
    number = error.errno if isinstance(error, OSError) else None
    name = {errno.EFBIG: "file_size", errno.EMFILE: "open_files"}.get(number or 0)
    return f" (limits.{name}?)" if name else ""


def _find_entry(name: str) -> loader.Entry:
    if ":" in name:
        sys.path.insert(0, os.getcwd())
    try:
        return loader.find(name)
    except loader.EntryNotFoundError as missing:
        where = f" (looked for in {os.getcwd()} and this interpreter)" if ":" in name else ""
        raise BootstrapError(f"worker {name}: {missing}{where}") from missing


def _missing(name: str, missing: str) -> str:
    package = missing.partition(".")[0]
    return f'worker {name} needs the package "{package}", which this interpreter does not have'


def _flat(result: object) -> dict[str, protocol.Scalar]:
    if result is None:
        return {}
    if not isinstance(result, dict):
        raise BootstrapError(
            f"the worker returned {type(result).__name__}; expected a dict or None"
        )
    for key, value in result.items():
        if not isinstance(key, str):
            raise BootstrapError(f"result: the key {key!r} is no text")
        if not isinstance(value, protocol.Scalar):
            raise BootstrapError(
                f"result.{key} is {type(value).__name__}; expected a number or text"
            )
        if isinstance(value, float) and not isfinite(value):
            raise BootstrapError(f"result.{key} is {value}; expected a finite number")
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise BootstrapError(
                f"result.{key} is a number of {value.bit_length()} bits; expected at most "
                f"{_MOST_BITS}: return it as text"
            )
    return result


def _words(said: object) -> str:
    """Return the text of an error, even if its `__str__` raises."""
    try:
        return str(said)
    except Exception as error:  # raised by the worker's own class; the outcome must be sent anyway
        return f"(its text cannot be made: {type(error).__name__})"


def _print_traceback() -> None:
    with contextlib.suppress(OSError, ValueError):  # the worker may have closed stderr
        traceback.print_exc()


def _exit(code: object) -> protocol.Done | protocol.Failed:
    if code is None or code == 0:
        return protocol.Done({})
    return protocol.Failed(
        f"exit status {code}" if isinstance(code, int) else _words(code), permanent=False
    )
