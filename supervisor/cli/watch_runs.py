"""Watching runs until they end: what is shown meanwhile, and the account at the end.

A display is given the same runs again and again and shows what is new: bars on
a terminal, a line for each change in a pipe, nothing beside JSON.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.event_listener import EventListener
from supervisor.cli.output import Table, clean, echo, format_seconds, print_json, results

if TYPE_CHECKING:
    from rich.progress import TaskID

# How often a bar is moved while its run only tells its progress.
REDRAW_S = 0.2
# Changes ring a bell; this is only for one that was missed.
GIVE_UP_S = 5.0
# Of a hundred pending runs only the first few can change soon.
MOST_ASKED = 20


class Display(Protocol):
    """Where a person watches runs; look_s: how often it wants to see one that goes on."""

    look_s: float

    def show(self, runs: Sequence[answers.Run]) -> None:
        """These runs as they are now."""

    def close(self) -> None:
        """Nothing more will be shown."""


class Silence:
    """Shows nothing."""

    look_s = GIVE_UP_S

    def show(self, runs: Sequence[answers.Run]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """A line for each change of state."""

    look_s = GIVE_UP_S

    def __init__(self) -> None:
        self._states: dict[int, tuple[str, int]] = {}

    def show(self, runs: Sequence[answers.Run]) -> None:
        """The changes since the last call."""
        for run in runs:
            state = (run.state, run.attempt)
            if self._states.get(run.id) != state:
                self._states[run.id] = state
                echo(f"run {run.id} of {run.job}: {_state(run)}")
                sys.stdout.flush()

    def close(self) -> None:
        """Nothing is left to be said."""


class Bars:
    """A progress bar for each run."""

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

    def show(self, runs: Sequence[answers.Run]) -> None:
        """Move the bars."""
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
        """Leave the bars as they are."""
        self._progress.stop()


def display(as_json: bool) -> Display:
    """What fits where the output goes."""
    if as_json:
        return Silence()
    return Bars() if sys.stdout.isatty() else Lines()


def until_final(client: Client, numbers: Sequence[int], shown: Display) -> list[bytes]:
    """The bodies of these runs, once all of them are final. Raises: Failure."""
    bodies: dict[int, bytes] = {}
    is_open = list(numbers)
    bell = EventListener(client, frozenset(numbers))
    while is_open:
        asked = {number: client.get("v1", "runs", str(number)) for number in is_open[:MOST_ASKED]}
        bodies |= asked
        runs = [answers.read(body, answers.Run) for body in asked.values()]
        shown.show(runs)
        over = {run.id for run in runs if run.is_final}
        is_open = [number for number in is_open if number not in over]
        if is_open and not over:
            bell.wait(shown.look_s)
    return [bodies[number] for number in numbers]


def print_outcomes(bodies: Sequence[bytes], as_json: bool) -> bool:
    """Print how each run stands; whether all of them succeeded."""
    runs = [answers.read(body, answers.Run) for body in bodies]
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


def outcome(run: answers.Run) -> str:
    """Why it stands where it does, and what its worker counted."""
    return "; ".join(text for text in (run.detail, results(run.result)) if text)


def _state(run: answers.Run) -> str:
    attempt = f" (attempt {run.attempt})" if run.state == "running" and run.attempt > 1 else ""
    lasted = (
        f" in {format_seconds(run.duration_seconds)}" if run.is_final and run.started_at else ""
    )
    detail = f": {clean(run.detail)}" if run.detail else ""
    return f"{run.state}{attempt}{lasted}{detail}"


def _bar(run: answers.Run) -> dict[str, float | None]:
    """A bar without a total moves by itself until its run ends."""
    if run.is_final:
        return {"total": 1.0, "completed": float(run.state == "success")}
    if run.progress is None:
        return {}
    return {"total": run.progress.total, "completed": run.progress.done}
