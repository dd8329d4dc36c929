"""Nice value and limits of a run, set by its own process before its first instruction.

The keeper forks; the child limits itself and then executes the program or calls the
worker. A limit set from outside would come too late for what the job forks at once. The
child reports a refusal through a `Gate`, so a job whose limits cannot be set never begins.

A fork costs more than posix_spawn. Only jobs with nice or limits pay for it.
"""

import errno
import json
import os
import resource
import typing
from collections.abc import Callable, Mapping

# The keys of `limits` in jobs.yaml.
KINDS = {
    "address_space": resource.RLIMIT_AS,
    "open_files": resource.RLIMIT_NOFILE,
    "cpu_seconds": resource.RLIMIT_CPU,
    "file_size": resource.RLIMIT_FSIZE,
    "processes": resource.RLIMIT_NPROC,
}
# SIGXCPU comes at the soft limit and names the cause; SIGKILL follows at the hard one.
CPU_GRACE_S = 2
_NO_MEMORY = b"""{"restraint": true,
"text": "limits.address_space leaves too little memory to start it"}"""


class ResourceLimitError(ValueError):
    """Failure to set nice or a limit; the text names it."""


def has_limits(order: Mapping[str, typing.Any]) -> bool:
    """Return whether the order asks for nice or limits."""
    return bool(order["nice"] or order["limits"])


def apply_limits(order: Mapping[str, typing.Any]) -> None:
    """Set nice and limits of this process.

    Raises:
        ResourceLimitError: the system refuses one of them.
    """
    if order["nice"]:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + order["nice"])
        except OSError as error:
            said = f"nice could not be set to {order['nice']}: {_why(error)}"
            raise ResourceLimitError(said) from error
    for name, value in order["limits"]:
        kind = KINDS[name]
        hard = resource.getrlimit(kind)[1]
        try:
            resource.setrlimit(kind, _soft_and_hard(kind, value, hard))
        except (OSError, ValueError, OverflowError) as error:
            said = f"limits.{name} could not be set to {value}: {_why(error)}"
            if hard != resource.RLIM_INFINITY:
                said += f" (the service itself has a hard limit of {hard})"
            raise ResourceLimitError(said) from error


class Gate:
    """Pipe through which a forked child reports why it could not begin its own code."""

    def __init__(self) -> None:
        self._mine, self._theirs = os.pipe2(os.O_CLOEXEC)

    def open(self) -> None:
        """Report, in the child, that its own code begins. An exec reports that by itself."""
        os.close(self._mine)
        os.close(self._theirs)

    def refuse(self, error: Exception) -> None:
        """Report, in the child, why it ends here."""
        try:
            said = json.dumps(_packed(error)).encode()
        except MemoryError:
            said = _NO_MEMORY
        os.write(self._theirs, said)

    def passed(self, fork: Callable[[], int]) -> int:
        """Fork a child, wait until its own code begins and return its pid.

        Raises:
            OSError, ValueError: what prevented it; the child is reaped.
        """
        try:
            pid = fork()
        finally:
            os.close(self._theirs)
            with open(self._mine, "rb", buffering=0) as mine:
                said = mine.readall()
        if said:
            os.waitpid(pid, 0)
            raise _unpacked(json.loads(said))
        return pid


def _soft_and_hard(kind: int, value: int, hard: int) -> tuple[int, int]:
    if kind != resource.RLIMIT_CPU:
        return value, value
    later = value + CPU_GRACE_S
    return value, later if hard == resource.RLIM_INFINITY else max(value, min(later, hard))


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno not in (errno.EPERM, errno.EACCES):
        return (error.strerror or str(error)).lower()
    if isinstance(error, OverflowError):
        return "the number is too large"
    return "not permitted"


def _packed(error: Exception) -> dict[str, object]:
    if isinstance(error, OSError):
        return {"errno": error.errno, "filename": error.filename}
    if isinstance(error, MemoryError):
        raise error
    return {"text": str(error), "restraint": isinstance(error, ResourceLimitError)}


def _unpacked(packed: Mapping[str, typing.Any]) -> OSError | ValueError:
    if "errno" in packed:
        return OSError(packed["errno"], os.strerror(packed["errno"]), packed["filename"])
    kind = ResourceLimitError if packed["restraint"] else ValueError
    return kind(packed["text"])
