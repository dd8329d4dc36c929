"""Parameters of a backup job from its `with` block."""

import os
from dataclasses import dataclass
from pathlib import Path

from workers.backup import filenames, gzip_codec


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `backup.run`.

    database: the SQLite file, which may be in use.
    directory: where copies go; its last component is made if it is missing.
    level: 1 (fast) to 9 (small); 1 to 3 by isal, 4 to 9 by zlib.
    copies: folders that each get a second copy; never made here, since one
        that is missing may be a disk that is not mounted.
    allow_empty: back a database without tables up, too.
    """

    database: Path
    directory: Path
    level: int = 1
    copies: tuple[Path, ...] = ()
    allow_empty: bool = False

    def __post_init__(self) -> None:
        if self.level not in gzip_codec.LEVELS:
            raise ValueError(f"level: expected 1 to 9, got {self.level}")
        try:
            filenames.stem(self.database)
        except ValueError as error:
            raise ValueError(f"database: {error}") from error
        folders = [os.path.abspath(folder) for folder in (self.directory, *self.copies)]
        twice = next((one for one in folders if folders.count(one) > 1), None)
        if twice:
            raise ValueError(f"copies: expected folders that differ, got {twice} twice")
