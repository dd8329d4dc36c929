"""What every check measures from: places, definitions, and who answers at the socket.

Values, and the few questions to them that several checks ask.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from supervisor.core.model import Config, Job


@dataclass(frozen=True, slots=True)
class Living:
    """The supervisor that answers.

    pid: 0 if it is out of our sight. alerts_waiting, alerts_error: of those that were
    not delivered.
    """

    pid: int
    version: str
    alerts_waiting: int = 0
    alerts_error: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """One installation, as the person who asks sees it.

    config: None, if jobs.yaml has so many `mistakes`, or is not there: `no_file` says so.
    living: None, and then `silence` says why nobody answers, and `way_out` what to do.
    version: ours. zone_trouble: what is wrong with the zone that holds where jobs.yaml
    names none.
    """

    file: Path | None
    config: Config | None
    mistakes: int
    no_file: str
    state: Path
    socket: Path
    environ: Mapping[str, str]
    version: str
    living: Living | None
    silence: str
    way_out: str
    zone_trouble: str = ""

    @property
    def is_new(self) -> bool:
        """Whether no supervisor has lived here yet; who may not look, cannot say so."""
        try:
            self.ledger.stat()
        except OSError as error:
            return isinstance(error, FileNotFoundError)
        return False

    @property
    def ledger(self) -> Path:
        """The file of the ledger."""
        return self.state / "ledger.sqlite3"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The enabled jobs."""
        found = self.config.jobs if self.config is not None else ()
        return tuple(job for job in found if job.enabled)

    def of_worker(self, *workers: str) -> Iterator[tuple[Job, dict[str, Any]]]:
        """The enabled jobs of these workers, each with its parameters."""
        for job in self.jobs:
            if job.worker in workers:
                yield job, parameters(job)


def parameters(job: Job) -> dict[str, Any]:
    """The `with` block."""
    found: dict[str, Any] = msgspec.json.decode(job.params_json)
    return found


def path_in(job: Job, text: object) -> Path:
    """A path of a `with` block, as the job's own process will read it."""
    return Path(job.cwd, str(text))


def in_container(root: Path = Path("/")) -> bool:
    """Whether we are in a container, as far as one leaves a mark."""
    return any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv"))
