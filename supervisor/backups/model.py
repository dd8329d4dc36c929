"""Values of the list of backups: what is asked of the child, and what it answers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from supervisor.core.config_model import Job

WORKER = "supervisor.backups.read_folders:run"
LIMIT_S = 20
# First words of the child's log messages; JSON follows.
FOLDER, COPY = "folder", "copy"
MAKER, ROTATION = "backup.run", "rotation.run"
# More copies than these are not listed; the newest are.
MOST_COPIES = 1000


class Folder(Struct, frozen=True):
    """A folder to list. rotation: the `with` block of the job that rotates it, if any."""

    path: str
    jobs: tuple[str, ...]
    rotation: dict[str, Any] | None = None
    timezone: str = "UTC"


class BackupCopy(Struct, frozen=True):
    """A copy. taken_at: aware, UTC; sizes in bytes.

    state: `verified`, `unverified` or `damaged`; why: unless it is verified.
    kept_by_hand: exempted from rotation. stays: whether the next rotation keeps it, and
    reason: why; None and "": no job rotates the folder.
    database: the path of the database; "": unknown. database_size_bytes: 0 if unknown.
    """

    path: str
    folder: str
    database: str
    taken_at: datetime
    size_bytes: int
    database_size_bytes: int
    state: str
    why: str
    kept_by_hand: bool
    stays: bool | None
    reason: str


class BackupFolder(Struct, frozen=True):
    """A folder of copies; jobs: that write to it; error: why it cannot be read."""

    path: str
    jobs: tuple[str, ...]
    error: str
    copies_left_out: int = 0


class Backups(Struct, frozen=True):
    """The copies of all `backup.run` jobs, newest first, as they were at `read_at`."""

    read_at: datetime
    folders: tuple[BackupFolder, ...]
    backups: tuple[BackupCopy, ...]


def folders(jobs: Iterable[Job]) -> list[Folder]:
    """Return the folders into which these jobs write, each once, in their order."""
    makers: dict[str, list[str]] = {}
    rotations: dict[str, Job] = {}
    for job in jobs:
        if job.worker == MAKER:
            for path in _paths(job):
                makers.setdefault(path, []).append(job.name)
        elif job.worker == ROTATION:
            rotations |= dict.fromkeys(_paths(job), job)
    return [_folder(path, names, rotations.get(path)) for path, names in makers.items()]


def _folder(path: str, names: list[str], rotation: Job | None) -> Folder:
    if rotation is None:
        return Folder(path, tuple(names))
    given = msgspec.json.decode(rotation.params_json)
    return Folder(path, tuple(names), given, rotation.timezone)


def _paths(job: Job) -> list[str]:
    given = msgspec.json.decode(job.params_json)
    copies = given.get("copies", ())
    named = [given.get("directory"), *(copies if isinstance(copies, list) else ())]
    return [_absolute(job.cwd, path) for path in named if isinstance(path, str) and path]


def _absolute(cwd: str, path: str) -> str:
    return path if path.startswith("/") else f"{cwd.rstrip('/')}/{path}"
