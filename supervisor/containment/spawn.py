"""Starts a run's own process from its order; three ways, one result.

A command by posix_spawn, a Python function by fork, or by posix_spawn of another
interpreter. Only keepers use this. A text of plain words is a program, and a script for
the shell only if that cannot be started. With nice or limits, a fork replaces posix_spawn
and the child sets them first (`resource_limits.py`), so that they hold from the job's
first instruction on.

Invariant: a failure leaves no process and no descriptor behind, and a job cannot
see which way it was started.

No `subprocess` here: it needs `threading`, whose work after each fork costs as much as
the fork itself. posix_spawn cannot set the working folder, so the keeper, which has
only one thread, changes its own for a moment.
"""

import _signal  # the functions of `signal`, without its enums: half a fork's worth of pages
import errno
import json
import os
import resource
import signal
import traceback
import typing
from collections.abc import Callable, Mapping

from supervisor.containment import launch_errors, program_search, resource_limits, signal_fd
from supervisor.containment.launch_errors import StartError
from supervisor.containment.resource_limits import Gate, ResourceLimitError
from workers import bootstrap, environment

Order = Mapping[str, typing.Any]

environment.restore()
# An environment may have a variable without a name, which posix_spawn refuses.
_INHERITED = {name: value for name, value in os.environ.items() if name}
_current_environ = dict(_INHERITED)  # cached copy of os.environ, which is slow to read
_WORKERS_DIR = os.path.dirname(bootstrap.__file__)
# Use the `workers` package of our folder, whatever the other interpreter has installed.
_OTHER_PYTHON = """\
import sys, types
workers = types.ModuleType("workers")
workers.__path__ = [sys.argv[1]]
sys.modules["workers"] = workers
from workers import bootstrap
bootstrap.main(int(sys.argv[2]), int(sys.argv[3]))
"""
_BLOCKED_HERE = tuple(map(int, signal_fd.WATCHED))
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Spawned(typing.NamedTuple):
    """A run's own process, and the read end of its output pipe."""

    pid: int
    output: int


def spawn(order: Order, message_fd: int | None) -> Spawned:
    """Start the process of an order, as leader of a new session.

    message_fd: the worker's end of its pipe; it stays open here.

    Raises:
        StartError: no process was started; the text says why.
    """
    try:
        mine, theirs = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise launch_errors.of_process(error) from error
    try:
        os.set_blocking(mine, False)
        _enter(order["cwd"])
        pid = _start(order, theirs, message_fd)
    except BaseException:
        os.close(mine)
        raise
    finally:
        os.close(theirs)
        os.chdir("/")
    return Spawned(pid, mine)


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as error:
        raise launch_errors.of_folder(cwd, error) from error


def _start(order: Order, write_end: int, message_fd: int | None) -> int:
    environment = _environment(order)
    if "argv" in order:
        pid = _spawn_without_shell(order, environment, write_end) if "words" in order else None
        return pid or _execute(order["argv"], environment, write_end, order)
    if message_fd is None:
        raise StartError("a worker without a message pipe")
    assignment = bootstrap.Assignment(
        worker=order["worker"],
        params=order["params"],
        set_json=order["set"],
        slot=order["slot"],
        timezone=order["timezone"],
        dry_run=order["dry_run"],
        message_fd=message_fd,
    )
    if order["python"] is None:
        return _work(assignment, environment, write_end, order)
    return _spawn_other_python(order["python"], assignment, environment, write_end, order)


def _environment(order: Order) -> dict[str, str]:
    """Return the whole environment of the process; PWD names the folder without `..`."""
    variables = dict(order["env"])
    if variables.get("PWD") == order["cwd"] and "/../" in f"{order['cwd']}/":
        variables["PWD"] = os.getcwd()
    return variables if order["bare"] else {**_INHERITED, **variables}


# --- programs ---------------------------------------------------------------------


def _execute(argv: list[str], environment: Mapping[str, str], write_end: int, order: Order) -> int:
    """Start a program, with nice and limits if the order has them. Raises: StartError."""
    try:
        if resource_limits.has_limits(order):
            return _execute_restrained(argv, environment, write_end, order)
        return _spawn(argv, environment, write_end)
    except ResourceLimitError as error:
        raise StartError(str(error)) from error
    except MemoryError as error:
        raise launch_errors.of_process(error) from error
    except (OSError, ValueError) as error:
        raise launch_errors.of_program(argv, error, environment) from error


def _spawn_without_shell(
    order: Order, environment: Mapping[str, str], write_end: int
) -> int | None:
    """Start the program that the shell would execute; None: the shell shall try, and say why."""
    program = program_search.instead_of_shell(order, environment)
    if program is None or resource_limits.has_limits(order):
        return None
    try:
        return _posix_spawn(program, order["words"], environment, write_end)
    except (OSError, ValueError, MemoryError):
        return None


def _spawn(argv: list[str], environment: Mapping[str, str], write_end: int) -> int:
    return _first(
        lambda path: _posix_spawn(path, argv, environment, write_end), argv[0], environment
    )


def _posix_spawn(
    path: str, argv: list[str], environment: Mapping[str, str], write_end: int
) -> int:
    return os.posix_spawn(
        path,
        argv,
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, fd) for fd in (1, 2)],
        setsid=True,
        setsigmask=(),
        setsigdef=_IGNORED_BY_PYTHON,
    )


def _execute_restrained(
    argv: list[str], environment: Mapping[str, str], write_end: int, order: Order
) -> int:
    gate = Gate()

    def become(path: str) -> int:
        os.execve(path, argv, environment)

    def live() -> int:
        _step_out(write_end)
        for number in _IGNORED_BY_PYTHON:
            _signal.signal(number, _signal.SIG_DFL)
        try:
            resource_limits.apply_limits(order)
            return _first(become, argv[0], environment)
        except (OSError, ValueError, MemoryError) as error:
            gate.refuse(error)
            return 1

    return gate.passed(lambda: _fork(live))


def _first(attempt: Callable[[str], int], program: str, environment: Mapping[str, str]) -> int:
    """Return the result for the first path that can be executed. Raises: OSError."""
    failure: OSError | None = None
    for path in program_search.candidates(program, environment):
        try:
            return attempt(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            failure = failure or error  # possibly a script whose interpreter is missing
        except OSError as error:  # found, but not executable: execvp reports the same
            failure = error
    raise failure or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)


def _spawn_other_python(
    python: str,
    assignment: bootstrap.Assignment,
    environment: Mapping[str, str],
    write_end: int,
    order: Order,
) -> int:
    # Not on the command line, where every user could read the parameters.
    try:
        fd = os.memfd_create("assignment", 0)
    except OSError as error:
        raise launch_errors.of_process(error) from error
    try:
        fields = {name: getattr(assignment, name) for name in assignment.__slots__}
        os.write(fd, json.dumps(fields).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        os.set_inheritable(assignment.message_fd, True)
        # UTF-8 whatever the locale, as for workers of our own interpreter.
        argv = [python, "-X", "utf8", "-c", _OTHER_PYTHON]
        argv += [_WORKERS_DIR, str(fd), str(os.getpid())]
        return _execute(argv, environment, write_end, order)
    finally:
        os.close(fd)


# --- forks ------------------------------------------------------------------------


def _work(
    assignment: bootstrap.Assignment, environment: Mapping[str, str], write_end: int, order: Order
) -> int:
    """Fork a worker of this interpreter. Raises: StartError."""
    # Do as much as possible before the fork: each page that the child is the first
    # to write costs it microseconds, and its code is many pages.
    _set_environ(environment)
    run = bootstrap.prepared(assignment)
    keeper = os.getpid()
    message_fd = assignment.message_fd
    most_descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def live() -> int:
        bootstrap.die_with_parent(keeper)
        _step_out(write_end)
        os.closerange(3, message_fd)
        os.closerange(message_fd + 1, most_descriptors)
        return run()

    try:
        if resource_limits.has_limits(order):
            return _restrained(live, order)
        return _fork(live)
    except ResourceLimitError as error:
        raise StartError(str(error)) from error
    except (OSError, MemoryError) as error:
        raise launch_errors.of_process(error) from error


def _restrained(live: Callable[[], int], order: Order) -> int:
    gate = Gate()

    def begin() -> int:
        try:
            resource_limits.apply_limits(order)
        except (ResourceLimitError, MemoryError) as error:
            gate.refuse(error)
            return 1
        gate.open()
        return live()

    return gate.passed(lambda: _fork(begin))


def _fork(live: Callable[[], int]) -> int:
    """Fork; the child calls `live` and exits with the status that it returns."""
    pid = os.fork()
    if pid == 0:
        _live(live)
    return pid


def _live(live: Callable[[], int]) -> typing.NoReturn:
    status = 1
    try:
        status = live()
    except BaseException:  # the outermost edge of this process
        traceback.print_exc()
    finally:
        bootstrap.leave(status)


def _step_out(write_end: int) -> None:
    """Give a forked child its own session, output and signal mask."""
    os.setsid()
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _BLOCKED_HERE)


def _set_environ(environment: Mapping[str, str]) -> None:
    """Set os.environ to the child's environment before the fork."""
    for name in _current_environ.keys() - environment.keys():
        del os.environ[name], _current_environ[name]
    for name, value in environment.items():
        if _current_environ.get(name) != value:
            os.environ[name] = _current_environ[name] = value
