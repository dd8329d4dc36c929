"""The input of all checks: paths, job definitions, and the running service.

Values, and a few helpers that several checks share.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from supervisor.core.config_model import Config, Job


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel, the number of its undelivered alerts, and why they were not delivered."""

    name: str
    waiting: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunningService:
    """The supervisor that answers at the socket; pid: 0 if it is not visible."""

    pid: int
    version: str
    channels: tuple[ChannelState, ...] = ()


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """One installation, as seen by the user of this command.

    config: None if jobs.yaml has errors (`mistakes` is their number) or does not exist
    (`no_file` is the reason). living: None if no supervisor answers; then `silence` is
    the reason and `way_out` the remedy. version: of this command. zone_error: what is
    wrong with the default time zone, which is used if jobs.yaml sets none.
    """

    file: Path | None
    config: Config | None
    mistakes: int
    no_file: str
    state: Path
    socket: Path
    environ: Mapping[str, str]
    version: str
    running: RunningService | None
    silence: str
    way_out: str
    zone_error: str = ""

    @property
    def is_new(self) -> bool:
        """Return whether there is no ledger yet; False if permission to look is missing."""
        try:
            self.ledger.stat()
        except OSError as error:
            return isinstance(error, FileNotFoundError)
        return False

    @property
    def ledger(self) -> Path:
        """Return the path of the ledger."""
        return self.state / "ledger.sqlite3"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Return the enabled jobs."""
        found = self.config.jobs if self.config is not None else ()
        return tuple(job for job in found if job.enabled)

    def of_worker(self, *workers: str) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Yield the enabled jobs of these workers, each with its parameters."""
        for job in self.jobs:
            if job.worker in workers:
                yield job, parameters(job)


def parameters(job: Job) -> dict[str, Any]:
    """Return the `with` block of a job."""
    found: dict[str, Any] = msgspec.json.decode(job.params_json)
    return found


def local_copies(given: Mapping[str, Any]) -> list[str]:
    """Return the places of second copies in a `with` block that are folders of this machine."""
    copies = given.get("copies") or []
    every = copies if isinstance(copies, list) else [copies]
    named = [str(one.get("to", "") if isinstance(one, dict) else one) for one in every]
    return [text for text in named if text and "://" not in text]


def path_in(job: Job, text: object) -> Path:
    """Return a path from a `with` block, relative to the working directory of the job."""
    return Path(job.cwd, str(text))


def in_container(root: Path = Path("/")) -> bool:
    """Return whether a marker file of Docker or Podman exists."""
    return any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv"))
