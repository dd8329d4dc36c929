"""Parameters of a backup job from its `with` block."""

import os
from dataclasses import dataclass
from pathlib import Path

from workers.backup import filenames, gzip_codec
from workers.backup.places.place import Place


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `backup.run`.

    database: the SQLite file, which may be in use.
    directory: where copies go; its last component is made if it is missing.
    level: 1 (fast) to 9 (small); 1 to 3 by isal, 4 to 9 by zlib.
    copies: places that each get a second copy: folders, never made here, since one
        that is missing may be a disk that is not mounted; object stores; SFTP.
    allow_empty: also back up a database that has no tables.
    """

    database: Path
    directory: Path
    level: int = 1
    copies: tuple[Place, ...] = ()
    allow_empty: bool = False

    def __post_init__(self) -> None:
        if self.level not in gzip_codec.LEVELS:
            raise ValueError(f"level: expected 1 to 9, got {self.level}")
        try:
            filenames.stem(self.database)
        except ValueError as error:
            raise ValueError(f"database: {error}") from error
        named = [os.path.abspath(self.directory), *(one.key for one in self.copies)]
        twice = next((one for one in named if named.count(one) > 1), None)
        if twice:
            raise ValueError(f"copies: expected places that differ, got {twice} twice")
