"""Turn limits of the operating system, met when a service starts, into one-line errors.

Each of them is set from outside: a traceback would show a place in this code instead of
the limit.
"""

import contextlib
import errno
import resource
from collections.abc import Iterator

from supervisor.cli.errors import CliError, ExitCode

# The service itself holds up to 16 descriptors; the rest is for runs and requests.
FEWEST_FILES = 32
_FILES = "raise ulimit -n (LimitNOFILE= in the unit)"
_PROCESSES = "raise ulimit -u, or the limit of processes of the container or unit (TasksMax=)"
_MEMORY = "raise ulimit -v, or the memory of the container or unit (MemoryMax=)"
_WAYS_OUT = {
    errno.EMFILE: _FILES,
    errno.ENFILE: "close files elsewhere, or raise fs.file-max",
    errno.EAGAIN: _PROCESSES,
    errno.ENOMEM: _MEMORY,
    errno.ENOSPC: "make room on that disk, or use another --state",
    errno.EDQUOT: "raise the user's quota of that disk, or use another --state",
    errno.EROFS: "mount it writable, or use another --state",
    errno.EIO: "look at the disk (dmesg)",
}


@contextlib.contextmanager
def as_start_failure(what: str) -> Iterator[None]:
    """Turn an error of the operating system into a CliError with exit status 1.

    what: the attempted action, such as "start over /var/lib/nightshift".

    Raises:
        CliError: the block ran into a limit.
    """
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        said = f"{what}: {where}{error.strerror or error}"
        raise CliError(ExitCode.NO, said, _WAYS_OUT.get(error.errno or 0, "")) from error
    except (MemoryError, ImportError) as error:
        # The dynamic loader reports lack of memory as a failed import.
        if isinstance(error, ImportError) and "failed to map segment" not in str(error):
            raise
        raise CliError(ExitCode.NO, f"{what}: not enough memory", _MEMORY) from error
    except RuntimeError as error:
        # Python has no own exception type for a thread that cannot be created.
        if "start new thread" not in str(error):
            raise
        raise CliError(ExitCode.NO, f"{what}: no thread can be made", _PROCESSES) from error


def check_open_files() -> None:
    """Check the limit of open files before the service starts.

    Raises:
        CliError: it is too low to serve requests.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= hard < FEWEST_FILES:
        said = f"at most {hard} files may be open, expected {FEWEST_FILES} or more"
        raise CliError(ExitCode.USAGE, said, _FILES)
