"""Find a worker's function and its Params class by name.

Standard library only, because this module also runs in other interpreters.
`module.function` is a built-in worker; `package.module:function` is a user's function.
Importing a module can have any effect; the caller must isolate it.
"""

import dataclasses
import functools
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable

import workers

_STARRED = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
# Names of a built-in worker's arguments; they distinguish a worker from a helper.
_ARGUMENTS = ["params", "report"]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A worker's function and its Params class; None if it takes the plain mapping."""

    function: Callable[..., object]
    params: type | None


class EntryNotFoundError(Exception):
    """The worker does not exist or cannot be called as a worker."""


def find(worker: str) -> Entry:
    """Import the module of a worker and return its entry.

    Raises:
        EntryNotFoundError: the module or function does not exist, or has another signature.
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
    """Return every worker as `module.function` that a module of this package lists in `__all__`.

    Modules that cannot be imported are left out.
    """
    import pkgutil  # late: a worker's process does not list the others

    found = []
    for module in pkgutil.iter_modules(workers.__path__):
        try:
            content = vars(importlib.import_module(f"workers.{module.name}"))
        except Exception:  # a dependency may be missing; such a module is not suggested
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


def _two_names(function: Callable[..., object]) -> list[str]:
    """Return the arguments of a plain function of two; [] for any other callable.

    `inspect` tells the same of every callable, and takes a third of a short run's time.
    """
    if type(function) is not types.FunctionType or function.__dict__:  # it may be a wrapper
        return []
    code = function.__code__
    takes_more = code.co_kwonlyargcount or code.co_flags & _STARRED
    return list(code.co_varnames[:2]) if code.co_argcount == 2 and not takes_more else []


def _takes_two(function: Callable[..., object]) -> bool:
    if _two_names(function):
        return True
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a C function without a signature
        return True
    return True


def _first_names(function: Callable[..., object]) -> list[str]:
    return _two_names(function) or list(inspect.signature(function).parameters)[:2]


def _params(function: Callable[..., object]) -> type | None:
    """Return the annotated class of the first argument, or else the module's `Params`."""
    kind = _first_annotation(function)
    if not _is_params(kind):
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        kind = getattr(module, "Params", None)
    return kind if _is_params(kind) else None


def _first_annotation(function: Callable[..., object]) -> object:
    """Return the annotation of the first argument; None if it has none that can be read."""
    if getattr(function, "__annotations__", None) == {}:
        return None
    try:
        first = _first_names(function)[0]
        if first not in getattr(function, "__annotations__", {first: ""}):
            return None
        return typing.get_type_hints(function).get(first)
    except (NameError, TypeError, ValueError, AttributeError, IndexError):
        return None  # for example a name known only to type checkers


def _is_params(kind: object) -> typing.TypeGuard[type]:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)
