"""Watch runs until they end: show progress meanwhile, then print the outcomes.

A display receives the same runs repeatedly and shows what is new: bars on a terminal, a
line per change in a pipe, nothing with JSON.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from supervisor.cli.decode import decode
from supervisor.cli.event_listener import EventListener
from supervisor.cli.output import Table, clean, echo, format_seconds, print_json
from supervisor.cli.run_text import detail, outcome
from supervisor.core.views import RunView

if TYPE_CHECKING:
    from rich.progress import TaskID

    from supervisor.cli.client import Client

# Interval of redrawing bars while runs report only progress.
REDRAW_S = 0.2
# Changes wake the wait; this interval covers a missed event.
GIVE_UP_S = 5.0
# Of a hundred pending runs only the first few can change soon.
MOST_ASKED = 20


class Display(Protocol):
    """Output of running runs; look_s: poll interval in seconds."""

    look_s: float

    def show(self, runs: Sequence[RunView]) -> None:
        """Show the current state of the runs."""

    def close(self) -> None:
        """Finish the output."""


class Silence:
    """Display that shows nothing."""

    look_s = GIVE_UP_S

    def show(self, runs: Sequence[RunView]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """Display that prints a line for each change of state."""

    look_s = GIVE_UP_S

    def __init__(self) -> None:
        self._states: dict[int, tuple[str, int]] = {}

    def show(self, runs: Sequence[RunView]) -> None:
        """Print the changes since the last call."""
        for run in runs:
            state = (run.state, run.attempt)
            if self._states.get(run.id) != state:
                self._states[run.id] = state
                echo(f"run {run.id} of {run.job}: {_state(run)}")
                sys.stdout.flush()

    def close(self) -> None:
        """Do nothing."""


class Bars:
    """Display with a progress bar for each run."""

    look_s = REDRAW_S

    def __init__(self) -> None:
        # Late: rich is only for terminals.
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}", markup=False),
        )
        self._tasks: dict[int, TaskID] = {}
        self._progress.start()

    def show(self, runs: Sequence[RunView]) -> None:
        """Update the bars."""
        for run in runs:
            if run.id not in self._tasks:
                self._tasks[run.id] = self._progress.add_task(
                    run.job, start=False, total=None, state=""
                )
            task = self._tasks[run.id]
            if run.state == "running":
                self._progress.start_task(task)
            self._progress.update(task, **_bar(run), state=_state(run))  # type: ignore[arg-type]
            if run.is_final:
                self._progress.stop_task(task)

    def close(self) -> None:
        """Stop updating and leave the bars on screen."""
        self._progress.stop()


def display(as_json: bool) -> Display:
    """Return the display that fits standard output."""
    if as_json:
        return Silence()
    return Bars() if sys.stdout.isatty() else Lines()


def until_final(client: "Client", numbers: Sequence[int], shown: Display) -> list[bytes]:
    """Return the response bodies of these runs, once all are final.

    Raises:
        CliError: a request fails.
    """
    bodies: dict[int, bytes] = {}
    is_open = list(numbers)
    listener = EventListener(client, frozenset(numbers))
    while is_open:
        asked = {number: client.get("v1", "runs", str(number)) for number in is_open[:MOST_ASKED]}
        bodies |= asked
        runs = [decode(body, RunView) for body in asked.values()]
        shown.show(runs)
        over = {run.id for run in runs if run.is_final}
        is_open = [number for number in is_open if number not in over]
        if is_open and not over:
            listener.wait(shown.look_s)
    return [bodies[number] for number in numbers]


def print_outcomes(bodies: Sequence[bytes], as_json: bool) -> bool:
    """Print the outcome of each run; return whether all succeeded."""
    runs = [decode(body, RunView) for body in bodies]
    if as_json:
        for body in bodies:
            print_json(body)
    else:
        table = Table("RUN", "JOB", "STATE", "TOOK", "DETAIL")
        for run in runs:
            lasted = format_seconds(run.duration_seconds)
            table.add(str(run.id), run.job, run.state, lasted, outcome(run))
        table.show()
    return all(run.state == "success" for run in runs)


def _state(run: RunView) -> str:
    attempt = f" (attempt {run.attempt})" if run.state == "running" and run.attempt > 1 else ""
    lasted = (
        f" in {format_seconds(run.duration_seconds)}" if run.is_final and run.started_at else ""
    )
    said = clean(detail(run))
    return f"{run.state}{attempt}{lasted}{': ' if said else ''}{said}"


def _bar(run: RunView) -> dict[str, float | None]:
    """Return the bar's total and progress; without a total the bar pulses until the run ends."""
    if run.is_final:
        return {"total": 1.0, "completed": float(run.state == "success")}
    if run.progress is None:
        return {}
    return {"total": run.progress.total, "completed": run.progress.done}
