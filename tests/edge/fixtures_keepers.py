"""Fixtures for processes: launch runs by short names, and collect their events."""

import os
import selectors
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from supervisor.containment.processes import Processes
from supervisor.core import effects, events
from supervisor.core.config_model import Job
from supervisor.core.model import Run, State, Trigger
from workers import protocol

ROOT = Path(__file__).parents[2]
DUE = datetime(2026, 2, 9, 2, 30, tzinfo=UTC)


def at() -> events.At:
    return events.At(datetime.now(UTC), time.monotonic())


def launch(number: int, attempt: int = 1, run: dict[str, Any] | None = None, **job: Any):
    definition = Job(name=f"job-{number}", place=0, **{"cwd": str(ROOT), **job})
    said = {"attempt": attempt, **(run or {})}
    row = Run(number, definition.name, DUE, Trigger.MANUAL, State.RUNNING, **said)
    return effects.Launch(row, definition)


class Runner:
    """Runs real processes through a selector, and collects their events."""

    def __init__(self, runs_dir: Path, **options: Any) -> None:
        self.instance = f"test-{os.getpid()}-{time.monotonic_ns()}"
        self.runs_dir = runs_dir
        self.selector = selectors.DefaultSelector()
        self.processes = Processes(self.selector, runs_dir, self.instance, **options)
        self.processes.start()
        self.happened: list[events.AttemptEvent] = []
        self._last = 0

    def begin(self, worker: str | None = None, number: int = 0, **job: Any) -> int:
        """Launch a run (a sample worker, or what `job` says) and return its id."""
        self._last = number or self._last + 1
        if worker is not None:
            job["worker"] = worker if ":" in worker else f"tests.sample_workers:{worker}"
        self.happened += self.processes.launch(launch(self._last, **job), at())
        return self._last

    def turn(self) -> None:
        """Wait a hundredth of a second for events and collect them."""
        for key, _ in self.selector.select(0.01):
            self.happened += self.processes.ready(key, at())

    def until(self, condition: Callable[[], object], within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {within_s} s: {self.happened}"
            self.turn()

    def run_to_end(self, worker: str | None = None, **job: Any) -> list[events.AttemptEvent]:
        """Launch a run, wait for its end, and return its events."""
        run = self.begin(worker, **job)
        self.until_ended(run)
        return self.of(run)

    def close(self) -> None:
        self.processes.close()
        self.selector.close()

    def until_ended(self, *runs: int) -> None:
        self.until(lambda: all(self.has_ended(run) for run in runs))

    def has_ended(self, run: int) -> bool:
        ends = events.TreeEmpty | events.LaunchFailed
        return any(isinstance(event, ends) for event in self.of(run))

    def of(self, run: int) -> list[events.AttemptEvent]:
        return [event for event in self.happened if event.run == run]

    def event_names(self, run: int) -> list[str]:
        """Return the type names of a run's events, without messages."""
        return [
            type(e).__name__ for e in self.of(run) if not isinstance(e, events.MessageReceived)
        ]

    def messages(self, run: int) -> list[Any]:
        return [
            event.message for event in self.of(run) if isinstance(event, events.MessageReceived)
        ]

    def received(self, run: int, kind: type) -> bool:
        return any(isinstance(message, kind) for message in self.messages(run))

    def pid(self, run: int) -> int:
        """Return the pid of the run's process, once it has started."""
        self.until(lambda: "Started" in self.event_names(run))
        return next(e.pid for e in self.of(run) if isinstance(e, events.Started))

    def until_working(self, run: int) -> None:
        """Wait until the worker's own code has logged something."""
        self.until(lambda: self.received(run, protocol.Log))

    def force(self, run: int, force: effects.KillStep) -> None:
        self.processes.signal(run, 1, force)

    def log(self, run: int) -> str:
        return (self.runs_dir / f"{run}.log").read_text()

    def fork_server(self) -> int:
        """Return the pid of the fork server; 0 if there is none."""
        return next(
            (pid for pid in pids_of_instance(self.instance) if parent(pid) == os.getpid()), 0
        )

    def begun_fork_server(self) -> int:
        """Wait until the fork server shows its environment, and return its pid.

        Just after exec, a process has an empty environment for a moment.
        """
        self.until(self.fork_server)
        return self.fork_server()

    def keepers(self) -> set[int]:
        fork_server = self.fork_server()
        return {pid for pid in pids_of_instance(self.instance) if parent(pid) == fork_server}

    def jobs(self) -> set[int]:
        """Return the pids that belong to runs, without fork server and keepers."""
        fork_server = self.fork_server()
        return {
            pid
            for pid in pids_of_instance(self.instance)
            if pid != fork_server and parent(pid) not in (0, fork_server)
        }


def parent(pid: int) -> int:
    """Return the parent's pid; 0 if the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def state(pid: int) -> str:
    """Return the kernel's state letter of a process; "" if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(") ")[2][:1]


def lives(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    return state(pid) not in ("", "Z", "X")


def pids_of_instance(instance: str) -> list[int]:
    """Return the pids of all processes with this instance mark in their environment."""
    mark = f"NIGHTSHIFT_INSTANCE={instance}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def emptied(happened: list[events.AttemptEvent]) -> events.TreeEmpty:
    (found,) = [event for event in happened if isinstance(event, events.TreeEmpty)]
    return found


def exited(happened: list[events.AttemptEvent]) -> int:
    (found,) = [event for event in happened if isinstance(event, events.Exited)]
    return found.wait_status
