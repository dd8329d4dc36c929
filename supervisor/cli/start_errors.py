"""What the operating system lacks or refuses when a service is to begin, in one line.

Each of these is a limit that was set from outside. A traceback would name the
place in our code, and not the limit.
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
def told_as_failure(what: str) -> Iterator[None]:
    """Turn a refusal of the operating system into one line and exit status 1.

    what: what was to be done, such as "start over /var/lib/nightshift".

    Raises: CliError.
    """
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        said = f"{what}: {where}{error.strerror or error}"
        raise CliError(ExitCode.NO, said, _WAYS_OUT.get(error.errno or 0, "")) from error
    except (MemoryError, ImportError) as error:
        # The dynamic loader reports lacking memory as an import that failed.
        if isinstance(error, ImportError) and "failed to map segment" not in str(error):
            raise
        raise CliError(ExitCode.NO, f"{what}: not enough memory", _MEMORY) from error
    except RuntimeError as error:
        # Python has no type of its own for a thread that could not be made.
        if "start new thread" not in str(error):
            raise
        raise CliError(ExitCode.NO, f"{what}: no thread can be made", _PROCESSES) from error


def check_open_files() -> None:
    """Refuse a limit under which requests would not be answered. Raises: CliError."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= hard < FEWEST_FILES:
        said = f"at most {hard} files may be open, expected {FEWEST_FILES} or more"
        raise CliError(ExitCode.USAGE, said, _FILES)
