"""What rotation keeps of the copies that simulated backups make.

The steps of a simulation pass through `Shelves.watch`; each successful
`backup.run` puts a verified copy on its folder's shelf, each successful
`rotation.run` thins the shelf by the plan of the worker itself. What lies in
the folders now is there from the beginning; nothing is written.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from supervisor.core import schedule
from supervisor.core.effects import Record
from supervisor.core.model import Job, Run, State
from supervisor.core.simulation import Step
from workers.backup import catalogue, names
from workers.backup.catalogue import Backup
from workers.backup.trouble import Trouble
from workers.params import parse
from workers.rotation.params import Params
from workers.rotation.retention import Decision, plan, refusal


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy that stays: taken when, why; is_there: it lies in the folder today."""

    copy: str
    taken_at: datetime
    reason: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """What one rotation job did in the simulated days, and left.

    refusal: why its last run would not have removed anything, "" if it would.
    """

    job: str
    directory: str
    made: int
    removed: int
    refusals: int
    refusal: str
    kept: tuple[Kept, ...]


class Shelf:
    """One folder of copies, as it would be."""

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
        """A backup job has made a copy."""
        database = Path(os.path.join(backup.cwd, str(_with(backup)["database"])))
        stem, self._made = names.stem(database), self._made + 1
        path = self.folder / names.copy_name(stem, taken_at)
        size = max((copy.size_bytes for copy in self._copies), default=0)
        state = catalogue.State.VERIFIED
        copy = Backup(path, stem, str(database), taken_at, size, 0, state, "", kept=False)
        self._copies.append(copy)

    def thin(self, now: datetime) -> None:
        """The rotation job has run."""
        decided = self._plan(now)
        max_age_s = self.params.max_age
        max_age = None if max_age_s is None else timedelta(seconds=max_age_s)
        self._refusal = refusal(decided, max_age, self.params.max_delete, now)
        if self._refusal:
            self._refusals += 1
            return
        self._copies = [one.backup for one in decided if one.keep]
        self._removed += len(decided) - len(self._copies)

    def account(self, until: datetime) -> Rotation:
        """What is left at the end, newest first."""
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


class Shelves:
    """The folders of all rotation jobs."""

    def __init__(self, jobs: Sequence[Job], now: datetime) -> None:
        self._backups = {job.name: job for job in jobs if job.worker == "backup.run"}
        rotations = [job for job in jobs if job.worker == "rotation.run"]
        self._shelves = {job.name: Shelf(job, now) for job in rotations}

    def watch(self, steps: Iterator[Step]) -> Iterator[Step]:
        """The same steps, looked at in passing."""
        ended: set[int] = set()
        for step in steps:
            for action in step.actions if self._shelves else ():
                match action:
                    case Record(Run(state=State.SUCCESS) as run) if run.id not in ended:
                        ended.add(run.id)
                        self._take(run, step.event.at.wall)
            yield step

    def accounts(self, until: datetime) -> tuple[Rotation, ...]:
        """What is left on each, at the end."""
        return tuple(shelf.account(until) for shelf in self._shelves.values())

    def _take(self, run: Run, now: datetime) -> None:
        if run.job in self._shelves:
            self._shelves[run.job].thin(now)
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
    """The copies that are there today; none in a folder that cannot be read."""
    try:
        return catalogue.list_backups(folder)
    except Trouble:
        return []
