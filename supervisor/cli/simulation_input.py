"""Input of a simulation: the state in the ledger, and each job's past durations.

The ledger is only read, with or without a running supervisor. A missing or unreadable
ledger is no error: durations are then assumed, and `source` says so.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from supervisor.cli.errors import CliError
from supervisor.cli.paths import Paths
from supervisor.core.events import Memory
from supervisor.core.model import JobRecord, replace
from supervisor.core.simulation.sampling import DurationProfile, profile_of
from supervisor.ledger.queries import History
from supervisor.ledger.unattended import connect

# Assumed duration of an attempt for a job that has never succeeded.
ASSUMED_S = 10.0
_HOW = (
    "an attempt takes the median of those that succeeded, one in ten what the slowest tenth took"
)


@dataclass(frozen=True, slots=True)
class SimulationInput:
    """Start state and duration profiles; source: their origin, as text."""

    memory: Memory
    habits: Mapping[str, DurationProfile]
    source: str


def read_input(
    here: Paths, jobs: Iterable[str], at: datetime, failures: Mapping[str, float]
) -> SimulationInput:
    """Return the state and duration profiles at an instant.

    failures: job -> probability of a random failure.
    """
    names = list(jobs)
    try:
        path = here.state / "ledger.sqlite3"
        if not path.exists():
            return _assumed(names, failures, f"there is no ledger in {here.state}")
        with closing(History(here.state, connect=connect)) as history:
            habits = {name: _habit(history, name, failures.get(name, 0.0)) for name in names}
            return SimulationInput(
                _memory(history, at), habits, f"the ledger in {here.state}: {_HOW}"
            )
    except (CliError, OSError, sqlite3.Error, ValueError) as error:
        return _assumed(names, failures, f"the ledger cannot be read ({error})")


def _assumed(names: list[str], failures: Mapping[str, float], why: str) -> SimulationInput:
    habits = {
        name: DurationProfile(ASSUMED_S, ASSUMED_S, failures.get(name, 0.0)) for name in names
    }
    return SimulationInput(Memory(), habits, why)


def _habit(history: History, job: str, failure: float) -> DurationProfile:
    durations_s = history.durations_s(job)
    return (
        profile_of(durations_s, failure)
        if durations_s
        else DurationProfile(ASSUMED_S, ASSUMED_S, failure)
    )


def _memory(history: History, at: datetime) -> Memory:
    """Return ended runs and pauses, with no open runs, and all slots up to `at` handled."""
    runs = [run for run in history.remembered() if run.due <= at and not run.state.is_open]
    marks: list[JobRecord] = [replace(mark, seen_until=at) for mark in history.marks()]
    return Memory(
        runs=tuple(runs),
        marks=tuple(marks),
        paused=history.paused(),
        next_run=max((run.id for run in runs), default=0) + 1,
    )
