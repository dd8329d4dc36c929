"""The parts of a session: the command of each, its time limit, and the rows it measures.

Limits are about three times what a part takes on two cores; they exist for parts that
hang. The quick parts show within minutes that each part runs. Their numbers mean little,
and they leave out what needs ten thousand jobs.
"""

from dataclasses import dataclass

from rows import (
    BACKUP_MB,
    BURST,
    CLUSTER,
    ENDURANCE,
    GROWTH,
    PAGE,
    REPLICATION_ROWS,
    SYNC,
    Row,
    backup,
    replication,
)


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part: a benchmark with options, and the time limit for one round and for the rest."""

    name: str
    command: tuple[str, ...]
    round_s: float
    rest_s: float
    rows: tuple[Row, ...]
    most_rounds: int = 99

    def rounds(self, wanted: int) -> int:
        """Return how many of the requested rounds this part runs."""
        return min(wanted, self.most_rounds)

    def bound_s(self, rounds: int) -> float:
        """Return the time limit for this number of rounds."""
        return self.rest_s + self.round_s * rounds


def _burst(name: str, letters: str, round_s: float, *options: str) -> PlannedPart:
    rows = tuple(row for letter in letters.split(",") for row in BURST[letter])
    return PlannedPart(name, ("burst.py", "--only", letters, *options), round_s, 60, rows)


def _backup(name: str, size_mb: int, round_s: float) -> PlannedPart:
    command = ("backup.py", "--megabytes", str(size_mb))
    return PlannedPart(name, command, round_s, 120, backup(size_mb))


def _replication(name: str, rows: int, round_s: float) -> PlannedPart:
    command = ("replication.py", "--rows", str(rows))
    return PlannedPart(name, command, round_s, 180, replication(rows))


def _growth(*options: str) -> PlannedPart:
    return PlannedPart("growth", ("growth.py", *options), 1800, 60, GROWTH, most_rounds=1)


def _endurance(*options: str) -> PlannedPart:
    return PlannedPart("endurance", ("endurance.py", *options), 1800, 60, ENDURANCE, most_rounds=1)


def _cluster(*parts: str, round_s: float) -> PlannedPart:
    command = ("cluster.py", "--only", ",".join(parts))
    return PlannedPart("cluster", command, round_s, 60, CLUSTER, most_rounds=1)


_PAGE = PlannedPart("page", ("page.py",), 60, 120, PAGE)
FULL = (
    _burst("commands", "a,e", 900),
    _burst("shell", "b", 900),
    _burst("few", "c,g,h", 900),
    _burst("functions", "d", 500),
    _burst("ready", "f", 500),
    _burst("tick", "t", 500),
    _backup("backup", BACKUP_MB[0], 240),
    _backup("backup-large", BACKUP_MB[1], 600),
    _replication("replication", REPLICATION_ROWS[0], 300),
    _replication("replication-large", REPLICATION_ROWS[1], 900),
    PlannedPart("sync", ("sync.py",), 120, 120, SYNC),
    _PAGE,
    _cluster("latency", "burst", "idle", "takeover", "tick", "growth", round_s=900),
    _growth(),
    _endurance(),
)
QUICK = (
    _burst("commands", "a,e", 600, "--quick"),
    _burst("shell", "b", 600, "--quick"),
    _burst("few", "c,g,h", 900, "--quick"),
    _burst("functions", "d", 500, "--quick"),
    _burst("ready", "f", 300, "--quick"),
    _backup("backup", 10, 120),
    _replication("replication", 10_000, 180),
    PlannedPart("sync", ("sync.py",), 120, 120, SYNC),
    _PAGE,
    _cluster("latency", "growth", round_s=300),
    _growth("--quick"),
    _endurance("--runs", "100", "--every", "50"),
)
