"""One of our sides of backup.py, in a process that loads nothing else.

python benchmarks/backup_peer.py packed|proved DATABASE FOLDER
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path


def packed(database: Path, folder: Path) -> None:
    """Make and compress a snapshot without the proof; sync it to disk, as the peers do."""
    from workers.backup import stream
    from workers.backup.snapshot import snapshot

    prefix = folder / "bench.db.gz.scratch-"
    with (
        snapshot(database, prefix, lambda: None) as shot,
        open(folder / "bench.db.gz", "wb") as to,
    ):
        sums = stream.pack(shot.descriptor, shot.size_bytes, to.fileno(), 1, 0, lambda _: None)
        shot.rows.result()
        os.fsync(to.fileno())
    (folder / "bench.db.gz.sha256").write_text(f"{sums.sha256}  bench.db.gz\n")


def proved(database: Path, folder: Path) -> None:
    """Run the whole worker."""
    from workers import backup
    from workers.report import Report

    backup.run(backup.Params(database, folder), Report(lambda _: None, datetime.now(UTC)))


if __name__ == "__main__":
    {"packed": packed, "proved": proved}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
