"""Definition of a check and of its findings. Values only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from supervisor.doctor.context import DoctorContext

M = TypeVar("M")


class State(StrEnum):
    """Severity of a finding; only `mend` makes the command exit with status 1."""

    WELL = "well"
    NOTE = "note"  # for information: no run fails because of it
    MEND = "mend"


class Finding(Struct, frozen=True):
    """One finding of a check.

    check: its name in the table; the judging function leaves it empty. value: the
    measurement. expected: the required value, empty if there is no problem. mend: the
    command that fixes it, or the line to put in the named file.
    """

    check: str
    state: State
    value: str
    expected: str = ""
    mend: str = ""


def ok(value: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding("", State.WELL, value)


def info(value: str, expected: str = "", mend: str = "") -> Finding:
    """Return a finding for information: no run fails because of it."""
    return Finding("", State.NOTE, value, expected, mend)


def problem(value: str, expected: str, mend: str) -> Finding:
    """Return a finding that needs action."""
    return Finding("", State.MEND, value, expected, mend)


@dataclass(frozen=True, slots=True)
class Check(Generic[M]):
    """One check: `measure` reads the system, `judge` turns the measurement into findings."""

    name: str
    measure: Callable[[DoctorContext], M]
    judge: Callable[[M], Iterable[Finding]]
