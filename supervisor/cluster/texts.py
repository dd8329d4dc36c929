"""Which text of jobs.yaml this host runs, and which one is in force in the cluster.

Texts are numbered in the order in which hosts first ran them; the newest is in force. A
host that changes its file while it runs the newest text makes a new one, also by going
back to an older text. A host that comes with a text that was in force before is behind:
it takes no assignments and does not lead, until its file is the newest.
"""

import hashlib
from pathlib import Path

from supervisor.cluster.glance import Glance
from supervisor.cluster.session import Connection


class Texts:
    """The text of this host; config: its number if it is in force, else None."""

    def __init__(self, accepted: Path, host: str) -> None:
        """Know nothing yet; accepted: where the supervisor keeps the text that it runs."""
        self.config: int | None = None
        self.sha256 = ""
        self._accepted, self._host = accepted, host

    def look(self, db: Connection, seen: Glance) -> bool:
        """Compare the text of this host with the one in force; return whether its number changed.

        Raises: psycopg.Error, OSError.
        """
        sha256 = hashlib.sha256(self._accepted.read_bytes()).hexdigest()
        before = self.config
        was_newest = before is not None
        if seen.sha256 == sha256:
            self.config = seen.config
        elif was_newest and sha256 == self.sha256:
            self.config = None  # another host has a newer one
        elif was_newest or self._is_new(db, sha256):
            self.config = self._announce(db, sha256)
        else:
            self.config = None
        self.sha256 = sha256
        return self.config != before

    def _is_new(self, db: Connection, sha256: str) -> bool:
        row = db.execute("SELECT 1 FROM configs WHERE sha256 = %s LIMIT 1", (sha256,)).fetchone()
        return row is None

    def _announce(self, db: Connection, sha256: str) -> int:
        with db.transaction():
            db.execute("LOCK TABLE configs IN EXCLUSIVE MODE")
            row = db.execute("SELECT no, sha256 FROM configs ORDER BY no DESC LIMIT 1").fetchone()
            if row is not None and row[1] == sha256:
                return int(row[0])
            made = db.execute(
                "INSERT INTO configs (sha256, host) VALUES (%s, %s) RETURNING no",
                (sha256, self._host),
            ).fetchone()
            assert made is not None
            return int(made[0])
