"""Finds the file of a program, as execvp(3) or as the shell would.

Only keepers use this. Standard library only.
"""

import os
import re
import stat
import typing
from collections.abc import Collection, Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# bash takes options from these, and functions from variables whose names are none.
_OF_SHELLS = frozenset(("BASHOPTS", "SHELLOPTS"))


def candidates(program: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the files of this name along PATH, whatever they are."""
    if "/" in program:
        yield program
        return
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, program)
        if not _is_missing(path):
            yield path


def instead_of_shell(
    order: Mapping[str, typing.Any], environment: Mapping[str, str]
) -> str | None:
    """Return the file that the shell would execute for an order with `words`.

    None: the shell would do something else. It would report a missing program, correct
    PWD, search its own PATH, drop a variable or read it as a function or as options.
    """
    path = environment.get("PATH")
    # In PATH, a % is an operator of dash.
    if not path or "%" in path or order["env"].get("PWD") != order["cwd"]:
        return None
    if _concerns_shells(order["env"]) or (not order["bare"] and _inherits_odd_names):
        return None
    found = next(candidates(order["words"][0], environment), None)
    return found if found is not None and _is_regular(found) else None


def _concerns_shells(names: Collection[str]) -> bool:
    return any(name in _OF_SHELLS or not _NAME.fullmatch(name) for name in names)


_inherits_odd_names = _concerns_shells(os.environ)


def _is_missing(path: str) -> bool:
    """Return whether the path does not exist; a stat costs a hundredth of a failed process."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # the attempt to start it reports why
    return False


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
