"""From the text of a worker to its function and what it takes.

Standard library only: this also runs in the interpreter of another
environment. `module.function` is one of ours, `package.module:function` the
user's own. Importing may do anything; the caller contains it.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable

import workers

# What the arguments of our own workers are called; by it they are known.
_ARGUMENTS = ["params", "report"]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A worker: its function, and its Params; None: it takes the mapping as it is."""

    function: Callable[..., object]
    params: type | None


class EntryNotFoundError(Exception):
    """There is no such worker, or it cannot be called as one."""


def find(worker: str) -> Entry:
    """The worker of this name; its module is imported.

    Raises:
        NoEntry: there is no such module or function.
        BaseException: whatever the module raises at import.
    """
    module_name, function_name = _split(worker)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise EntryNotFoundError(
                f"no module {module_name.removeprefix('workers.')}"
            ) from error
        raise
    function = getattr(module, function_name, None)
    if not callable(function):
        missing = "is no function" if hasattr(module, function_name) else "is not there"
        raise EntryNotFoundError(f"{function_name} {missing} in {module_name}")
    if not _takes_two(function) or (":" not in worker and _first_names(function) != _ARGUMENTS):
        raise EntryNotFoundError(f"{function_name} does not take (params, report)")
    return Entry(function, _params(function))


@functools.cache
def built_in() -> tuple[str, ...]:
    """All `module.function` that the modules of this package offer in their `__all__`.

    Modules that do not import are left out.
    """
    found = []
    for module in pkgutil.iter_modules(workers.__path__):
        try:
            content = vars(importlib.import_module(f"workers.{module.name}"))
        except Exception:  # what a module needs may not be installed; it is then no suggestion
            continue
        found += [
            f"{module.name}.{name}"
            for name in sorted(content.get("__all__", ()))
            if inspect.isfunction(content[name]) and _first_names(content[name]) == _ARGUMENTS
        ]
    return tuple(found)


def _split(worker: str) -> tuple[str, str]:
    module, colon, function = worker.partition(":")
    if colon:
        return module, function
    module, _, function = worker.rpartition(".")
    return f"workers.{module}", function


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a function in C that does not say what it takes
        return True
    return True


def _first_names(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)[:2]


def _params(function: Callable[..., object]) -> type | None:
    """The first argument's class if it is annotated with one, else its module's `Params`."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    try:
        hints = typing.get_type_hints(function)
        names = _first_names(function)
    except (NameError, TypeError, ValueError, AttributeError):  # names known to checkers only
        hints, names = {}, []
    kinds = [hints.get(names[0]) if names else None, getattr(module, "Params", None)]
    return next((kind for kind in kinds if _is_params(kind)), None)


def _is_params(kind: object) -> typing.TypeGuard[type]:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)
