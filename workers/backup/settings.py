"""What a backup works on, resolved once from its parameters.

    Params -> Settings -> preflight  (source, destination)
                       -> create     (source, destination)
                       -> second copies (places)

Only names are resolved here; whether they exist is for `preflight`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from workers.backup import filenames
from workers.backup.params import Params
from workers.backup.places.place import Place


@dataclass(frozen=True, slots=True)
class Source:
    """The database to back up.

    path: as it was given, for messages. stem: what its copies are named after.
    """

    path: Path
    stem: str
    allow_empty: bool = False

    @property
    def file(self) -> Path:
        """Return the file behind links; SQLite keeps -wal and -shm beside that one."""
        return Path(os.path.realpath(self.path))


@dataclass(frozen=True, slots=True)
class Destination:
    """The folder of the copies, and the level of compression (1 to 9)."""

    directory: Path
    level: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The parts of a backup job; second_copies: the places that each get a second copy."""

    source: Source
    destination: Destination
    second_copies: tuple[Place, ...]


def resolve(params: Params) -> Settings:
    """Return the settings that the parameters mean; pure."""
    source = Source(params.database, filenames.stem(params.database), params.allow_empty)
    return Settings(source, Destination(params.directory, params.level), params.copies)
