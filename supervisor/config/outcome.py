"""What came of reading jobs.yaml, and its way through a file to another process.

Imports neither YAML nor the readers: the supervisor has a child read the file
and takes what that wrote.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from supervisor.config.collector import collector_paused
from supervisor.config.files import read_regular, write_private
from supervisor.core.model import Config, Problem, Severity

LARGEST_BYTES = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a key of a job stands: `worker`, `python`, `with`, `with.database`."""

    key: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class WorkerUse:
    """A job that has a worker: what is to be checked, and where it stands in the file.

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
    spots: tuple[Spot, ...]

    @property
    def is_own(self) -> bool:
        """Whether the worker is the user's own, not one of ours."""
        return ":" in self.worker

    def problem(self, key: str, message: str, hint: str = "") -> Problem:
        """A problem at `key`, at what holds it, or at the worker if that stands nowhere.

        In a disabled job it is a warning: a job may be disabled because its
        worker is broken.
        """
        holding = [spot for spot in self.spots if f"{key}.".startswith(f"{spot.key}.")]
        spot = max(holding, key=lambda spot: len(spot.key), default=self.spots[0])
        severity = Severity.ERROR if self.enabled else Severity.WARNING
        path = f"jobs.{self.job}.{key}"
        return Problem(spot.line, spot.column, path, message, hint, severity)


@dataclass(frozen=True, slots=True)
class Read:
    """A value from outside the file: what it was, and its digest ("": not there)."""

    kind: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text that was read. config is None if any problem is an error.

    problems are in the order of the file. uses: the workers still to be checked,
    of all jobs that are right so far. reads: what came from outside the text.
    secrets: of the text, whatever else is wrong with it.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    uses: tuple[WorkerUse, ...] = ()
    reads: tuple[Read, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read and whose workers were checked.

    config is None if any problem is an error. text: without byte order mark,
    "" if it could not be read; sha256: of the bytes of the file, in hex.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    text: str
    sha256: str


def write_outcome(loaded: Loaded, path: Path) -> None:
    """Keep an outcome, whole or not at all. Raises: OSError."""
    write_private(path, msgspec.json.encode(loaded))


def read_outcome(path: Path) -> Loaded:
    """The outcome that was kept.

    Raises:
        OSError: there is none.
        ValueError: it is damaged, or of another version.
    """
    with collector_paused():
        return msgspec.json.decode(read_regular(path, LARGEST_BYTES), type=Loaded)


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Problems in the order of the file, each once."""
    once = dict.fromkeys(problems)
    return tuple(sorted(once, key=lambda p: (p.line, p.column, p.path, p.message)))


def has_error(problems: tuple[Problem, ...]) -> bool:
    """Whether any of them stops a load."""
    return any(problem.severity is Severity.ERROR for problem in problems)
