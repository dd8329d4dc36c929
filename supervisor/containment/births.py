"""How a run's own process is started from its order; three ways, one result.

A command by posix_spawn, a Python function by fork, or by posix_spawn of another
interpreter. Used by keepers only. Limits and nice are set from outside, so that
a job cannot undo them and a failure has a name before the job is said to live.

The law: whatever goes wrong here leaves no process and no descriptor behind;
and nothing that a job could see differs from one birth to the next.

No `subprocess` here: it needs `threading`, whose work after each fork costs as
much as the fork itself. posix_spawn knows no folder to start in, so the keeper
goes there for the moment: it has one thread, and nobody else to mislead.
"""

import _signal  # the functions of `signal`, without its enums: half a fork's worth of pages
import json
import os
import resource
import signal
import traceback
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from supervisor.containment import tree
from workers import child

Order = Mapping[str, typing.Any]

_INHERITED = dict(os.environ)
_worn = dict(_INHERITED)  # what os.environ holds now, without its price for asking
_WORKERS_DIR = str(Path(child.__file__).parent)
# A `workers` package of that one folder, whatever else is called so over there.
_ELSEWHERE = """\
import sys, types
workers = types.ModuleType("workers")
workers.__path__ = [sys.argv[1]]
sys.modules["workers"] = workers
from workers import child
child.main(int(sys.argv[2]), int(sys.argv[3]))
"""
_OWN_SIGNALS = (int(signal.SIGTERM), int(signal.SIGCHLD))
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Birth(typing.NamedTuple):
    """A run's own process, and the end of the pipe its output comes from."""

    pid: int
    output: int


def begin(order: Order, message_fd: int | None) -> Birth:
    """Start what the order says; it leads a session of its own.

    message_fd: the worker's end of its pipe; stays open here.

    Raises:
        OSError, ValueError: no process came of it.
    """
    mine, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        os.set_blocking(mine, False)
        os.chdir(order["cwd"])
        pid = _start(order, theirs, message_fd)
        _restrain(pid, order)
    except BaseException:
        os.close(mine)
        raise
    finally:
        os.close(theirs)
        os.chdir("/")
    return Birth(pid, mine)


def _start(order: Order, write_end: int, message_fd: int | None) -> int:
    environment = order["env"] if order["bare"] else {**_INHERITED, **order["env"]}
    if "argv" in order:
        return _spawn(order["argv"], environment, write_end)
    if message_fd is None:
        raise ValueError("a worker without a pipe to speak on")
    assignment = child.Assignment(
        worker=order["worker"],
        params=order["params"],
        set_json=order["set"],
        slot=order["slot"],
        timezone=order["timezone"],
        dry_run=order["dry_run"],
        message_fd=message_fd,
    )
    if order["python"] is None:
        return _fork(assignment, environment, write_end)
    return _elsewhere(order["python"], assignment, environment, write_end)


def _spawn(argv: list[str], environment: Mapping[str, str], write_end: int) -> int:
    output = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_DUP2, write_end, 2)]
    failure: OSError | None = None
    for path in _candidates(argv[0], environment):
        try:
            return os.posix_spawn(
                path,
                argv,
                environment,
                file_actions=output,
                setsid=True,
                setsigdef=_IGNORED_BY_PYTHON,
            )
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # found, but not to be executed: so says execvp, too
            failure = error
    if failure is not None:
        raise failure
    raise FileNotFoundError(2, "no such file or directory", argv[0])


def _candidates(program: str, environment: Mapping[str, str]) -> Iterator[str]:
    if "/" in program:
        yield program
        return
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, program)
        if not _is_missing(path):
            yield path


def _is_missing(path: str) -> bool:
    """Whether there is nothing; to find that out by a process costs a hundred times as much."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # the attempt to start it says why
    return False


def _elsewhere(
    python: str, assignment: child.Assignment, environment: Mapping[str, str], write_end: int
) -> int:
    # Not on the command line, where every user could read the parameters.
    fd = os.memfd_create("assignment", 0)
    try:
        fields = {name: getattr(assignment, name) for name in assignment.__slots__}
        os.write(fd, json.dumps(fields).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        os.set_inheritable(assignment.message_fd, True)
        argv = [python, "-c", _ELSEWHERE, _WORKERS_DIR, str(fd), str(os.getpid())]
        return _spawn(argv, environment, write_end)
    finally:
        os.close(fd)


def _fork(assignment: child.Assignment, environment: Mapping[str, str], write_end: int) -> int:
    # All that can be done before the fork is done before: each page that the child
    # is the first to write costs it microseconds, and its code is many pages.
    _wear(environment)
    keeper = os.getpid()
    # A TERM that comes before the child has dropped the keeper's handlers would be lost.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _OWN_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _become(assignment, write_end, keeper)
        return pid
    finally:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _OWN_SIGNALS)


def _wear(environment: Mapping[str, str]) -> None:
    """Make this very process' environment that of the child to be."""
    for name in _worn.keys() - environment.keys():
        del os.environ[name], _worn[name]
    for name, value in environment.items():
        if _worn.get(name) != value:
            os.environ[name] = _worn[name] = value


def _become(assignment: child.Assignment, write_end: int, keeper: int) -> typing.NoReturn:
    status = 1
    try:
        child.die_with(keeper)
        _signal.set_wakeup_fd(-1)
        for number in _OWN_SIGNALS:
            _signal.signal(number, _signal.SIG_DFL)
        os.setsid()
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        os.closerange(3, assignment.message_fd)
        os.closerange(assignment.message_fd + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _OWN_SIGNALS)
        status = child.run(assignment)
    except BaseException:  # the outermost edge of this process
        traceback.print_exc()
    finally:
        child.leave(status)


def _restrain(pid: int, order: Order) -> None:
    """Set nice and limits on a process that has just begun, or end it."""
    kind = "nice"
    try:
        if order["nice"]:
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, pid, own + order["nice"])
        for limit, value in order["limits"]:
            kind = "limits"
            resource.prlimit(pid, limit, (value, value))
    except (OSError, ValueError) as error:
        tree.end_children()
        raise ValueError(f"{kind} could not be set: {error}") from error
