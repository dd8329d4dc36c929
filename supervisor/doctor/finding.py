"""Definition of a check and of its findings. Values only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from supervisor.doctor.context import DoctorContext

M = TypeVar("M")


class State(StrEnum):
    """Severity of a finding; only `error` makes the command exit with status 1."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"  # not as it should be, but no run fails because of it
    ERROR = "error"


class Finding(Struct, frozen=True):
    """One finding of a check.

    check: its name in the table; the judging function leaves it empty. value: the
    measurement. expected: the required value, empty if there is no problem. fix: the
    command to run, or the line to put in the named file.
    """

    check: str
    state: State
    value: str
    expected: str = ""
    fix: str = ""


def ok(value: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding("", State.OK, value)


def info(value: str, fix: str = "") -> Finding:
    """Return a finding for information, with the command that may come next."""
    return Finding("", State.INFO, value, "", fix)


def warning(value: str, expected: str, fix: str = "") -> Finding:
    """Return a finding that is not as it should be, but lets no run fail."""
    return Finding("", State.WARNING, value, expected, fix)


def error(value: str, expected: str, fix: str) -> Finding:
    """Return a finding that needs action: runs fail, or are not safe."""
    return Finding("", State.ERROR, value, expected, fix)


@dataclass(frozen=True, slots=True)
class Check(Generic[M]):
    """One check: `measure` reads the system, `judge` turns the measurement into findings."""

    name: str
    measure: Callable[[DoctorContext], M]
    judge: Callable[[M], Iterable[Finding]]
