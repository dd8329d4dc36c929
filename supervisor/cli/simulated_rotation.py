"""Simulate which copies rotation keeps of the backups that a simulation makes.

The steps of a simulation pass through `BackupFolders.watch`. Each successful
`backup.run` adds a verified copy to its folder; each successful `rotation.run` removes
copies by the worker's own plan. The copies that exist today are there from the start.
Nothing is written to disk.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from supervisor.core import schedule
from supervisor.core.config_model import Job
from supervisor.core.effects import Record
from supervisor.core.model import Run, State, Trigger
from supervisor.core.simulation.engine import Step
from workers.backup import filenames, listing
from workers.backup.errors import BackupError
from workers.backup.listing import Backup
from workers.params import parse
from workers.rotation.params import Params
from workers.rotation.retention import Decision, plan, refusal


@dataclass(frozen=True, slots=True)
class Kept:
    """A remaining copy; is_there: it exists in the folder today."""

    copy: str
    taken_at: datetime
    reason: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """What one rotation job did in the simulated days, and the copies it left.

    refusal: why its last run would have removed nothing; "" if it would not refuse.
    """

    job: str
    directory: str
    made: int
    removed: int
    refusals: int
    refusal: str
    kept: tuple[Kept, ...]


class BackupFolder:
    """Simulated contents of one backup folder."""

    def __init__(self, rotation: Job, now: datetime) -> None:
        self.rotation = rotation
        self.params = parse(Params, _with(rotation))
        self.folder = _folder(rotation)
        self._zone = schedule.zone(rotation.timezone)
        self._copies = [copy for copy in _copies(self.folder) if copy.taken_at <= now]
        self._there = {copy.path for copy in self._copies}
        self._made = self._removed = self._refusals = 0
        self._refusal = ""

    def put(self, backup: Job, taken_at: datetime) -> None:
        """Add the copy that a backup job made."""
        database = Path(os.path.join(backup.cwd, str(_with(backup)["database"])))
        stem, self._made = filenames.stem(database), self._made + 1
        path = self.folder / filenames.copy_name(stem, taken_at)
        size = max((copy.size_bytes for copy in self._copies), default=0)
        state = listing.State.VERIFIED
        copy = Backup(path, stem, str(database), taken_at, size, 0, state, "", kept=False)
        self._copies.append(copy)

    def rotate(self, now: datetime) -> None:
        """Apply one run of the rotation job."""
        decided = self._plan(now)
        max_age_s = self.params.max_age
        max_age = None if max_age_s is None else timedelta(seconds=max_age_s)
        self._refusal = refusal(decided, max_age, self.params.max_delete, now)
        if self._refusal:
            self._refusals += 1
            return
        self._copies = [one.backup for one in decided if one.keep]
        self._removed += len(decided) - len(self._copies)

    def summary(self, until: datetime) -> Rotation:
        """Return the counts and the remaining copies, newest first."""
        kept = [
            Kept(
                one.backup.path.name,
                one.backup.taken_at,
                one.reason if one.keep else f"goes next: {one.reason}",
                one.backup.path in self._there,
            )
            for one in self._plan(until)
        ]
        return Rotation(
            self.rotation.name,
            str(self.folder),
            self._made,
            self._removed,
            self._refusals,
            self._refusal,
            tuple(kept),
        )

    def _plan(self, now: datetime) -> Sequence[Decision]:
        return plan(self._copies, self.params.policy, now, self._zone)


class BackupFolders:
    """The folders of all rotation jobs."""

    def __init__(self, jobs: Sequence[Job], now: datetime) -> None:
        self._backups = {job.name: job for job in jobs if job.worker == "backup.run"}
        rotations = [job for job in jobs if job.worker == "rotation.run"]
        self._shelves = {job.name: BackupFolder(job, now) for job in rotations}

    def watch(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Yield the steps unchanged, and apply the successful runs among them.

        In a cluster a shared run is applied once, by the turn of the leader. Hosts have
        folders of their own: of the jobs of each host those of the first one are applied.
        """
        ended: set[tuple[str, int]] = set()
        first = ""
        for step in steps:
            first = first or step.host
            for action in step.actions if self._shelves and step.host in ("", first) else ():
                match action:
                    case Record(Run(state=State.SUCCESS) as run):
                        key = step.host, run.id
                        if key not in ended and run.trigger is not Trigger.ASSIGNED:
                            ended.add(key)
                            self._take(run, step.event.at.wall)
            yield step

    def summaries(self, until: datetime) -> tuple[Rotation, ...]:
        """Return the summary of each folder at the end."""
        return tuple(shelf.summary(until) for shelf in self._shelves.values())

    def _take(self, run: Run, now: datetime) -> None:
        if run.job in self._shelves:
            self._shelves[run.job].rotate(now)
        elif run.job in self._backups:
            backup = self._backups[run.job]
            for shelf in self._shelves.values():
                if shelf.folder == _folder(backup):
                    shelf.put(backup, (run.started_at or now).astimezone(UTC))


def _with(job: Job) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.json.decode(job.params_json)
    return given


def _folder(job: Job) -> Path:
    return Path(os.path.normpath(os.path.join(job.cwd, str(_with(job)["directory"]))))


def _copies(folder: Path) -> list[Backup]:
    """Return today's copies; none if the folder cannot be read."""
    try:
        return listing.list_backups(folder)
    except BackupError:
        return []
