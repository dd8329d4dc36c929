"""Results of loading jobs.yaml, and their transfer to another process through a file.

Imports neither YAML nor the readers: the supervisor loads the file in a child and
reads only the outcome.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from supervisor.config.files import write_private
from supervisor.core.config_model import Config, Problem, Severity
from workers.regular_file import read_regular


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disable garbage collection in the block.

    The collector would scan the new values repeatedly, which takes two thirds of the
    time to read ten thousand jobs.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


LARGEST_BYTES = 512 * 1024**2


class Location(Struct, frozen=True):
    """Position of a key of a job: `worker`, `python`, `with`, `with.database`."""

    key: str
    line: int
    column: int


class WorkerReference(Struct, frozen=True):
    """A worker to be checked for one job, with the positions of its keys.

    spots: never empty, `worker` first.
    """

    job: str
    worker: str
    params_json: str
    python: str | None
    cwd: str
    env: tuple[tuple[str, str], ...]
    inherit_env: bool
    enabled: bool
    spots: tuple[Location, ...]

    @property
    def is_own(self) -> bool:
        """Return whether the worker is the user's own, not a built-in one."""
        return ":" in self.worker

    def problem(self, key: str, message: str, hint: str = "") -> Problem:
        """Return a problem at `key`, at its closest enclosing key, or else at the worker.

        For a disabled job the problem is a warning, because the job may be disabled on
        account of its broken worker.
        """
        holding = [spot for spot in self.spots if f"{key}.".startswith(f"{spot.key}.")]
        spot = max(holding, key=lambda spot: len(spot.key), default=self.spots[0])
        severity = Severity.ERROR if self.enabled else Severity.WARNING
        path = f"jobs.{self.job}.{key}"
        return Problem(spot.line, spot.column, path, message, hint, severity)


class SourceRead(Struct, frozen=True):
    """A value read from outside the file: its kind, name and digest ("" if absent)."""

    kind: str
    name: str
    digest: str


class Parsed(Struct, frozen=True):
    """A parsed text. config is None if any problem is an error.

    problems: in file order. uses: workers still to be checked, of all jobs that are valid
    so far. reads: values from outside the text. secrets: those of the text, collected even
    if the text has errors.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    uses: tuple[WorkerReference, ...] = ()
    reads: tuple[SourceRead, ...] = ()
    secrets: tuple[str, ...] = ()


class Loaded(Struct, frozen=True):
    """A loaded file with its workers checked. config is None if any problem is an error.

    text: without byte order mark, "" if it could not be read. sha256: of the bytes of the
    file, in hex.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    text: str
    sha256: str


def write_outcome(loaded: Loaded, path: Path) -> None:
    """Write an outcome atomically. Raises: OSError."""
    write_private(path, msgspec.json.encode(loaded))


def read_outcome(path: Path) -> Loaded:
    """Read an outcome.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is damaged, or was written by another version.
    """
    with gc_paused():
        return msgspec.json.decode(read_regular(path, LARGEST_BYTES), type=Loaded)


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Return problems in file order, without duplicates."""
    once = dict.fromkeys(problems)
    return tuple(sorted(once, key=lambda p: (p.line, p.column, p.path, p.message)))


def has_error(problems: tuple[Problem, ...]) -> bool:
    """Return whether any problem is an error."""
    return any(problem.severity == Severity.ERROR for problem in problems)
