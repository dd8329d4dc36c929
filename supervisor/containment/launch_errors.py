"""Explains why a program could not be started, in words that name the cause.

execve returns one number: ENOENT also means a script whose interpreter is missing.
After a failure this module inspects the file for the actual cause. It changes nothing
and imports nothing before it is needed.
"""

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Literal

_HEAD_BYTES = 4096
_CHAIN = 4  # maximum number of interpreters that are scripts themselves
_LONGEST_TEXT_BYTES = 128 * 1024 - 1  # MAX_ARG_STRLEN, without its NUL
_MACHINES = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 62: "x86_64",
             183: "aarch64", 243: "riscv", 258: "loongarch"}  # fmt: skip
_NEW_PROCESS = (errno.EAGAIN, errno.ENOMEM)


class StartError(Exception):
    """Failure to start a process for an order; the text is meant for users."""


def of_folder(cwd: str, error: OSError) -> StartError:
    """Return the error for a working folder that cannot be entered."""
    return StartError(f'cwd "{cwd}": {_reason(error)}')


def of_program(
    argv: Sequence[str], error: OSError | ValueError, environment: Mapping[str, str]
) -> StartError:
    """Return the error for a program, or a worker's interpreter, that was not executed."""
    if is_process_refused(error):
        return of_process(error)
    path = str(getattr(error, "filename", None) or argv[0])
    if not isinstance(error, OSError):
        return StartError(f'start "{path}": {error}')
    if error.errno == errno.E2BIG:
        more = _too_long(argv, environment)
    else:
        more = _more(path, error.errno or 0)
    return StartError(f'start "{path}": {_reason(error)}{more and f": {more}"}')


def of_process(error: BaseException) -> StartError:
    """Return the error for a shortage of processes, memory or descriptors."""
    return StartError(process_refused(error))


def process_refused(error: BaseException) -> str:
    """Return the message for a process that the system refused."""
    why = _reason(error) if isinstance(error, OSError) else "cannot allocate memory"
    return f"the system refused a new process: {why}"


def is_process_refused(error: BaseException) -> bool:
    """Return whether the system was short of processes or memory."""
    return isinstance(error, OSError) and error.errno in _NEW_PROCESS


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _more(path: str, number: int) -> str:
    try:
        if number == errno.ENOENT:
            return _missing(path)
        if number == errno.EACCES:
            return _forbidden(path)
        if number == errno.ENOEXEC:
            return _no_program(path)
    except OSError:
        return ""
    return "a program still has it open for writing" if number == errno.ETXTBSY else ""


def _missing(path: str, depth: int = 0) -> str:
    """Return what is missing if the file exists but the system reports that it does not."""
    if not os.path.lexists(path):
        return ""
    if not os.path.exists(path):
        return f'it is a symbolic link to "{os.readlink(path)}", which does not exist'
    kind, needed = _interpreter(path)
    if not needed:
        return ""
    if needed.endswith("\r"):
        return (
            f'its first line ends in CR LF, so that its interpreter is "{_shown(needed)}": '
            "save it with UNIX line ends"
        )
    if not os.path.exists(needed):
        return f'its {kind} "{_shown(needed)}" does not exist'
    return _missing(needed, depth + 1) if depth < _CHAIN else ""


def _forbidden(path: str, depth: int = 0) -> str:
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        return "it is a directory" if not depth else f'its interpreter "{path}" is a directory'
    which = "it" if not depth else f'its interpreter "{path}"'
    if not stat.S_ISREG(found.st_mode):
        return f"{which} is no regular file"
    if not os.access(path, os.X_OK):
        return f"{which} is not executable (chmod +x)"
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        return f"{which} lies on a file system that is mounted noexec"
    needed = _interpreter(path)[1]
    return _forbidden(needed, depth + 1) if needed and depth < _CHAIN else ""


def _no_program(path: str) -> str:
    head = _head(path)
    if not head:
        return "it is empty"
    if head.startswith(b"\x7fELF"):
        built = _MACHINES.get(int.from_bytes(head[18:20], _byte_order(head)))
        here = os.uname().machine
        if built is None:
            return "it is damaged, or built for another machine"
        return f"it is built for {built}, and this machine is {here}" if built != here else ""
    if head.startswith((b"\xef\xbb\xbf#!", b"\xff\xfe", b"\xfe\xff")):
        return 'it begins with a byte order mark, expected "#!" as its first two bytes'
    if head.startswith(b"#!"):
        return 'its "#!" line names no interpreter'
    if b"\0" not in head:
        return 'it is a text without a "#!" line: begin it with "#!/bin/sh", for example'
    return ""


def _interpreter(path: str) -> tuple[str, str]:
    """Return ("interpreter" or "loader", its path), or empty strings if the file names none."""
    head = _head(path)
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].strip(b" \t").split(b" ")[0].split(b"\t")[0]
        return "interpreter", os.fsdecode(words)
    if head.startswith(b"\x7fELF"):
        return "loader", _loader(head)
    return "", ""


def _loader(head: bytes) -> str:
    """Return the path in PT_INTERP of an ELF file, "" if its head does not contain it."""
    order, is_64 = _byte_order(head), head[4:5] == b"\x02"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], order)

    table, entry_bytes, count = (
        (number(32, 8), number(54, 2), number(56, 2))
        if is_64
        else (number(28, 4), number(42, 2), number(44, 2))
    )
    for at in range(table, min(table + entry_bytes * count, len(head)), entry_bytes or 1):
        if number(at, 4) == 3:  # PT_INTERP
            start, size = (
                (number(at + 8, 8), number(at + 32, 8))
                if is_64
                else (number(at + 4, 4), number(at + 16, 4))
            )
            return os.fsdecode(head[start : start + size].partition(b"\0")[0])
    return ""


def _byte_order(head: bytes) -> Literal["little", "big"]:
    return "big" if head[5:6] == b"\x02" else "little"


def _head(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(fd, _HEAD_BYTES)
    finally:
        os.close(fd)


def _too_long(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    arguments = [len(os.fsencode(text)) for text in argv]
    if max(arguments) > _LONGEST_TEXT_BYTES:
        return (
            f"one argument has {max(arguments)} bytes, "
            f"and at most {_LONGEST_TEXT_BYTES} are possible"
        )
    variables = {name: len(os.fsencode(f"{name}={text}")) for name, text in environment.items()}
    largest = max(variables, key=variables.__getitem__, default="")
    if variables and variables[largest] > _LONGEST_TEXT_BYTES:
        return (
            f"the variable {largest} has {variables[largest]} bytes, "
            f"and at most {_LONGEST_TEXT_BYTES} are possible"
        )
    return (
        f"{sum(arguments)} bytes of arguments and {sum(variables.values())} of environment "
        "are too many together"
    )


def _shown(text: str) -> str:
    return text.encode("unicode_escape").decode() if not text.isprintable() else text
